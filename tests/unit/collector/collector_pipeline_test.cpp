// SPDX-License-Identifier: Apache-2.0
#include "collector/collector_pipeline.hpp"

#include <chrono>
#include <fstream>
#include <set>
#include <sstream>

#include <catch2/catch.hpp>

#include "tests/unit/collector/envelope_samples.hpp"
#include "tests/unit/transport/temporary_folder.hpp"

namespace ff::collector {
namespace {

using std::chrono::milliseconds;
using transport::TemporaryFolder;
using transport::Topic;

/// A collector on log:// and an agent, turned by hand.
struct Path {
  TemporaryFolder folder;
  CollectorConfig config;
  service::Metrics registry{"collector"};
  std::unique_ptr<CollectorPipeline> collector;
  std::unique_ptr<transport::LinkSender> agent;
  std::set<std::uint64_t> acknowledged;
  std::vector<foreframe::wire::Refuse> refused;

  explicit Path(std::uint64_t log_bytes_max = 16ull << 30) {
    config.link_listen = "tcp://127.0.0.1:*";
    config.log_url = "log://" + folder.path().string();
    config.log_bytes_max = log_bytes_max;
    config.link_credit_bytes = 1 << 20;
    auto log = transport::open_log_writer(*config.log_options(), {Topic::blocks, Topic::series});
    REQUIRE(log.ok());
    auto opened = CollectorPipeline::open(config, std::move(*log), registry);
    REQUIRE(opened.ok());
    collector = std::move(*opened);
    transport::LinkSenderOptions options;
    options.agent = "agent-1";
    options.collectors = {collector->link_address()};
    auto sender = transport::LinkSender::open(options);
    REQUIRE(sender.ok());
    agent = std::move(*sender);
    agent->on_acknowledged = [this](const auto& id) { acknowledged.insert(id.sequence()); };
    agent->on_refused = [this](const auto& refuse) { refused.push_back(refuse); };
    turn_until([this] { return agent->connected(); });
  }

  void turn_until(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
      REQUIRE(std::chrono::steady_clock::now() < deadline);
      agent->poll(milliseconds(1));
      collector->turn(milliseconds(1));
    }
  }

  std::vector<transport::LogRecord> read(const std::string& group = "sink") {
    auto reader = transport::open_log_reader(*config.log_options(), group, {Topic::blocks, Topic::series});
    REQUIRE(reader.ok());
    std::vector<transport::LogRecord> records;
    while (auto record = *(*reader)->poll(milliseconds(0))) {
      REQUIRE((*reader)->commit(record->topic, 0, record->position.offset + 1).ok());
      records.push_back(std::move(*record));
    }
    return records;
  }
};

}  // namespace

TEST_CASE("what an agent sends is in the log, byte for byte, before it is acknowledged", "[collector]") {
  Path path;
  std::vector<Payload> sent;
  for (std::uint64_t n = 1; n <= 50; ++n) {
    const auto header = n == 1 ? start_header("agent-1", 5, n) : block_header("agent-1", 5, n, n / 8);
    sent.push_back(sealed(header, "payload " + std::to_string(n)));
    REQUIRE(path.agent->send(id_of(header), sent.back()).ok());
  }
  path.turn_until([&] { return path.acknowledged.size() == 50; });
  const auto records = path.read();
  REQUIRE(records.size() == 50);
  for (const auto& record : records) {
    const auto parsed = wire::parse_envelope(record.value.bytes());
    REQUIRE(parsed.ok());
    const Payload& original = sent[parsed->header.sequence() - 1];
    CHECK(std::equal(original.bytes().begin(), original.bytes().end(), record.value.bytes().begin()));
    CHECK((record.topic == Topic::series) == parsed->header.has_series_start());
  }
  CHECK(path.collector->drain(milliseconds(100)).ok());
  CHECK_THAT(path.collector->summary(), Catch::Contains("published 50"));
}

TEST_CASE("a broken envelope is refused with its reason, the ones around it pass", "[collector]") {
  Path path;
  const auto good = block_header("agent-1", 5, 1, 0), bad = block_header("agent-1", 5, 2, 0),
             also_good = block_header("agent-1", 5, 3, 0);
  REQUIRE(path.agent->send(id_of(good), sealed(good)).ok());
  REQUIRE(path.agent->send(id_of(bad), Payload::copy(as_bytes("this is no envelope"))).ok());
  REQUIRE(path.agent->send(id_of(also_good), sealed(also_good)).ok());
  path.turn_until([&] { return path.acknowledged.size() == 2 && path.refused.size() == 1; });
  CHECK(path.refused[0].record().sequence() == 2);
  CHECK_FALSE(path.refused[0].message().empty());
  CHECK(path.read().size() == 2);
  CHECK_THAT(path.registry.render(), Catch::Contains("foreframe_collector_refused_records_total"));
}

TEST_CASE("a full log holds the agent by its credit and goes on when a sink has read", "[collector]") {
  Path path(1 << 20);
  const std::string payload(50'000, 'x');
  std::uint64_t next = 1;
  const auto send_all = [&] {
    for (; next <= 60; ++next) {
      const auto header = block_header("agent-1", 5, next, 0);
      if (!path.agent->can_send(payload.size() + 1000)) return;
      REQUIRE(path.agent->send(id_of(header), sealed(header, payload)).ok());
    }
  };
  path.turn_until([&] {
    send_all();
    return !path.collector->trouble().empty();
  });
  CHECK(path.acknowledged.size() < 60);
  CHECK_THAT(path.collector->trouble(), Catch::Contains("the log holds"));
  std::set<std::uint64_t> stored;
  path.turn_until([&] {
    for (const auto& record : path.read())
      stored.insert(wire::parse_envelope(record.value.bytes())->header.sequence());
    send_all();
    return path.acknowledged.size() == 60;
  });
  for (const auto& record : path.read())
    stored.insert(wire::parse_envelope(record.value.bytes())->header.sequence());
  CHECK(stored.size() == 60);
  CHECK(path.collector->trouble().empty());
}

TEST_CASE("the streams page names agents, epochs and gaps", "[collector]") {
  Path path;
  for (const std::uint64_t n : {1, 5}) {
    const auto header = block_header("agent-1", 5, n, 0);
    REQUIRE(path.agent->send(id_of(header), sealed(header)).ok());
  }
  path.turn_until([&] { return path.collector->streams_json().find("\"missing\":3") != std::string::npos; });
  CHECK_THAT(path.collector->streams_json(),
             Catch::Contains("\"agent\":\"agent-1\"") && Catch::Contains("\"epoch\":5"));
}

TEST_CASE("configs/collector.toml is what the program's defaults are", "[collector][config]") {
  service::CommonConfig common;
  common.status_listen = "127.0.0.1:9465";
  service::ConfigSchema whole("foreframe-collector");
  CollectorConfig defaults;
  describe(whole, defaults);
  service::describe(whole, common);
  std::ifstream file(FF_CONFIGS_DIR "/collector.toml");
  std::stringstream text;
  text << file.rdbuf();
  CHECK(text.str() == whole.render());
  CHECK(whole.load_text(text.str(), "collector.toml").ok());
}

TEST_CASE("settings that can't work together are refused by --check", "[collector][config]") {
  CollectorConfig config;
  CHECK(check(config).ok());
  config.log_url = "file:///tmp";
  CHECK(check(config).error().code == Errc::config_error);
  config = {};
  config.log_kafka = {"no equals sign"};
  CHECK_THAT(check(config).error().message, Catch::Contains("key=value"));
  config = {};
  config.link_agent_timeout = config.link_heartbeat;
  CHECK(check(config).error().code == Errc::config_error);
}

}  // namespace ff::collector
