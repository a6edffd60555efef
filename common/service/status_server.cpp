// SPDX-License-Identifier: Apache-2.0
#include "common/service/status_server.hpp"

#include <charconv>
#include <httplib.h>
#include <thread>

#include "common/base/clock.hpp"

namespace ff::service {
namespace {

constexpr const char* kPlain = "text/plain; charset=utf-8";
constexpr const char* kPrometheus = "text/plain; version=0.0.4; charset=utf-8";
constexpr const char* kJson = "application/json";

struct HostPort {
  std::string host;
  int port = 0;
};

/// "127.0.0.1:9464", "[::1]:9464"
Result<HostPort> parse_listen(const std::string& listen) {
  const auto malformed = [&] {
    return fail(Errc::invalid_argument,
                "status.listen: '" + listen + "' is no address with a port, such as \"127.0.0.1:9464\"");
  };
  const std::size_t colon = listen.rfind(':');
  if (colon == std::string::npos || colon == 0) return malformed();
  HostPort result{listen.substr(0, colon), 0};
  if (result.host.front() == '[' && result.host.back() == ']')
    result.host = result.host.substr(1, result.host.size() - 2);
  const char* end = listen.data() + listen.size();
  const auto [rest, error] = std::from_chars(listen.data() + colon + 1, end, result.port);
  if (error != std::errc{} || rest != end || result.port < 0 || result.port > 65535) return malformed();
  return result;
}

void configure(httplib::Server& server) {
  // httplib's own choice is SO_REUSEPORT, with which two daemons would share a port without a word.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  server.new_task_queue = [] { return new httplib::ThreadPool(2); };
  server.set_keep_alive_max_count(100);
  server.set_keep_alive_timeout(2);
  server.set_read_timeout(5);
  server.set_write_timeout(5);
  server.set_payload_max_length(4096);
}

}  // namespace

Health::Health(std::chrono::nanoseconds stall_limit) noexcept
    : stall_limit_ns_(stall_limit.count()), last_progress_ns_(monotonic_now_ns()) {}

void Health::progress() noexcept { last_progress_ns_.store(monotonic_now_ns(), std::memory_order_relaxed); }

void Health::set_trouble(const std::string& part, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (reason.empty()) {
    troubles_.erase(part);
  } else {
    troubles_[part] = reason;
  }
}

bool Health::alive() const noexcept {
  return monotonic_now_ns() - last_progress_ns_.load(std::memory_order_relaxed) <= stall_limit_ns_;
}

std::string Health::troubles() const {
  const std::lock_guard lock(mutex_);
  std::string lines;
  for (const auto& [part, reason] : troubles_) lines += part + ": " + reason + "\n";
  return lines;
}

struct StatusServer::Body {
  httplib::Server server;
  std::thread thread;
  std::string address;
  std::mutex mutex;
  std::map<std::string, std::function<std::string()>> pages;

  void answer(const httplib::Request& request, httplib::Response& response) {
    std::function<std::string()> json;
    std::string known = "/metrics\n/healthz\n/readyz\n";
    {
      const std::lock_guard lock(mutex);
      for (const auto& [path, page] : pages) known += path + "\n";
      if (const auto at = pages.find(request.path); at != pages.end()) json = at->second;
    }
    if (json) return response.set_content(json(), kJson);
    response.status = request.path == "/" ? 200 : 404;
    response.set_content(known, kPlain);
  }
};

StatusServer::StatusServer() : body_(std::make_unique<Body>()) {}

Result<std::unique_ptr<StatusServer>> StatusServer::start(const std::string& listen, const Metrics& metrics,
                                                          const Health& health) {
  std::unique_ptr<StatusServer> status(new StatusServer);
  if (listen.empty()) return status;
  FF_ASSIGN(HostPort where, parse_listen(listen));

  httplib::Server& server = status->body_->server;
  configure(server);
  server.Get("/metrics", [&metrics](const httplib::Request&, httplib::Response& response) {
    response.set_content(metrics.render(), kPrometheus);
  });
  server.Get("/healthz", [&health](const httplib::Request&, httplib::Response& response) {
    response.status = health.alive() ? 200 : 503;
    response.set_content(health.alive() ? "alive\n" : "stalled: the main loop has not moved\n", kPlain);
  });
  server.Get("/readyz", [&health](const httplib::Request&, httplib::Response& response) {
    const std::string troubles =
        health.alive() ? health.troubles() : "stalled: the main loop has not moved\n";
    response.status = troubles.empty() ? 200 : 503;
    response.set_content(troubles.empty() ? "ready\n" : troubles, kPlain);
  });
  server.Get("/.*",
             [body = status->body_.get()](const httplib::Request& request, httplib::Response& response) {
               body->answer(request, response);
             });

  const bool any = where.port == 0;
  if (any) where.port = server.bind_to_any_port(where.host);
  if (where.port <= 0 || (!any && !server.bind_to_port(where.host, where.port)))
    return fail(Errc::io_error,
                "status.listen: " + listen +
                    " can't be bound; another process has the port or the address is not this host's");
  const bool v6 = where.host.find(':') != std::string::npos;
  status->body_->address = (v6 ? "[" + where.host + "]" : where.host) + ":" + std::to_string(where.port);
  status->body_->thread = std::thread([&server] { server.listen_after_bind(); });
  // stop() before the thread has begun to listen would be lost, and the destructor would wait for ever.
  while (!server.is_running()) std::this_thread::yield();
  return status;
}

StatusServer::~StatusServer() {
  if (!body_->thread.joinable()) return;
  body_->server.stop();
  body_->thread.join();
}

void StatusServer::page(const std::string& path, std::function<std::string()> json) {
  const std::lock_guard lock(body_->mutex);
  body_->pages[path] = std::move(json);
}

std::string StatusServer::address() const { return body_->address; }

}  // namespace ff::service
