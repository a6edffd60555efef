// SPDX-License-Identifier: Apache-2.0
//
// The status pages as Prometheus, systemd units and operators ask for them.
#include "common/service/status_server.hpp"

#include <httplib.h>
#include <thread>

#include <catch2/catch.hpp>

using namespace ff::service;
using namespace std::chrono_literals;

namespace {

struct ServerFixture {
  Metrics metrics{"agent"};
  Health health{50ms};
  std::unique_ptr<StatusServer> server = StatusServer::start("127.0.0.1:0", metrics, health).value();
  httplib::Client client{"http://" + server->address()};
};

}  // namespace

TEST_CASE("a free loopback port is chosen and named", "[status]") {
  ServerFixture f;
  CHECK(f.server->address().find("127.0.0.1:") == 0);
  CHECK(f.server->address() != "127.0.0.1:0");
}

TEST_CASE("/metrics shows the counters as they are now", "[status]") {
  ServerFixture f;
  Counter counter = f.metrics.counter("frames_total", "Frames.");
  counter.add(7);
  const auto answer = f.client.Get("/metrics");
  REQUIRE(answer);
  CHECK(answer->status == 200);
  CHECK(answer->get_header_value("Content-Type").find("version=0.0.4") != std::string::npos);
  CHECK(answer->body.find("foreframe_agent_frames_total 7\n") != std::string::npos);
}

TEST_CASE("/healthz turns to 503 when the main loop stands, and back when it moves", "[status]") {
  ServerFixture f;
  f.health.progress();
  CHECK(f.health.alive());
  while (f.health.alive()) std::this_thread::yield();
  const auto stalled = f.client.Get("/healthz");
  REQUIRE(stalled);
  CHECK(stalled->status == 503);
  CHECK(f.client.Get("/readyz")->status == 503);
  Health moving;  // the shipped limit: 30 s
  auto server = StatusServer::start("127.0.0.1:0", f.metrics, moving).value();
  CHECK(httplib::Client("http://" + server->address()).Get("/healthz")->status == 200);
}

TEST_CASE("/readyz names every trouble until it is cleared", "[status]") {
  Metrics metrics("agent");
  Health health;
  auto server = StatusServer::start("127.0.0.1:0", metrics, health).value();
  httplib::Client client("http://" + server->address());
  CHECK(client.Get("/readyz")->status == 200);
  health.set_trouble("log", "no broker answers");
  health.set_trouble("disk", "full");
  const auto answer = client.Get("/readyz");
  CHECK(answer->status == 503);
  CHECK(answer->body == "disk: full\nlog: no broker answers\n");
  CHECK(client.Get("/healthz")->status == 200);  // troubled, but alive: a restart would not help
  health.set_trouble("log", "");
  health.set_trouble("disk", "");
  CHECK(client.Get("/readyz")->status == 200);
}

TEST_CASE("a daemon's own pages are served as JSON; unknown paths list what there is", "[status]") {
  ServerFixture f;
  f.server->page("/api/series", [] { return std::string(R"({"series":[]})"); });
  const auto page = f.client.Get("/api/series");
  CHECK(page->body == R"({"series":[]})");
  CHECK(page->get_header_value("Content-Type") == "application/json");
  const auto unknown = f.client.Get("/api/serious");
  CHECK(unknown->status == 404);
  CHECK(unknown->body.find("/api/series\n") != std::string::npos);
  CHECK(f.client.Get("/")->status == 200);
}

TEST_CASE("nothing can be written through the status port", "[status]") {
  ServerFixture f;
  CHECK(f.client.Post("/metrics", "x=1", "text/plain")->status == 404);
  CHECK(f.client.Delete("/metrics")->status == 404);
}

TEST_CASE("a port in use is refused by name, not shared in silence", "[status]") {
  ServerFixture f;
  const auto second = StatusServer::start(f.server->address(), f.metrics, f.health);
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == ff::Errc::io_error);
  CHECK(second.error().message.find(f.server->address()) != std::string::npos);
}

TEST_CASE("an address without a port, or with a wrong one, is refused", "[status]") {
  Metrics metrics("agent");
  Health health;
  for (const char* bad :
       {"127.0.0.1", "127.0.0.1:", ":9464", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:94x"})
    CHECK(StatusServer::start(bad, metrics, health).error().code == ff::Errc::invalid_argument);
}

TEST_CASE("an empty address serves nothing", "[status]") {
  Metrics metrics("agent");
  Health health;
  CHECK(StatusServer::start("", metrics, health).value()->address().empty());
}
