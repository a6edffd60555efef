// SPDX-License-Identifier: Apache-2.0
// Receipts on their way back: written by a sink into log://, told by a collector to the agents that watch.
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "collector/collector_pipeline.hpp"
#include "common/base/clock.hpp"
#include "tests/unit/collector/envelope_samples.hpp"
#include "tests/unit/collector/receipt_samples.hpp"
#include "tests/unit/transport/temporary_folder.hpp"

namespace ff::collector {
namespace {

using std::chrono::milliseconds;
using transport::Topic;

struct Agent {
  std::unique_ptr<transport::LinkSender> link;
  std::vector<proto::Receipt> receipts;
  std::vector<proto::ReplayRequest> replays;
  std::vector<proto::SinkAbility> abilities;
  std::vector<proto::SequenceRange> missing;

  Agent(const std::string& name, const std::string& collector) {
    transport::LinkSenderOptions options;
    options.agent = name;
    options.collectors = {collector};
    auto opened = transport::LinkSender::open(options);
    REQUIRE(opened.ok());
    link = std::move(*opened);
    link->on_news = [this](const proto::ReceiptNews& news) {
      receipts.insert(receipts.end(), news.receipts().begin(), news.receipts().end());
      replays.insert(replays.end(), news.replays().begin(), news.replays().end());
      abilities.insert(abilities.end(), news.abilities().begin(), news.abilities().end());
    };
    link->on_missing = [this](const proto::SequenceRange& range) { missing.push_back(range); };
  }
};

/// A collector on log://, the sink's end of its receipts topic, and agents.
struct Site {
  transport::TemporaryFolder folder;
  CollectorConfig config;
  std::unique_ptr<service::Metrics> registry;
  std::unique_ptr<transport::LogWriter> sink;
  std::unique_ptr<CollectorPipeline> collector;
  std::vector<std::unique_ptr<Agent>> agents;

  Site() {
    config.link_listen = "tcp://127.0.0.1:*";
    config.log_url = "log://" + folder.path().string();
    config.link_gap_timeout = milliseconds(100);
    auto writer = transport::open_log_writer(*config.log_options(), {Topic::receipts});
    REQUIRE(writer.ok());
    sink = std::move(*writer);
  }

  void start() {
    registry = std::make_unique<service::Metrics>("collector");
    auto log = transport::open_log_writer(*config.log_options(), {Topic::blocks, Topic::series});
    REQUIRE(log.ok());
    auto opened = CollectorPipeline::open(config, std::move(*log), *registry);
    REQUIRE(opened.ok());
    collector = std::move(*opened);
  }

  Agent& join(const std::string& name) {
    agents.push_back(std::make_unique<Agent>(name, collector->link_address()));
    Agent& agent = *agents.back();
    turn_until([&] { return agent.link->connected(); });
    return agent;
  }

  void write(const wire::ReceiptRecord& record) {
    auto sealed = wire::seal_control(record);
    REQUIRE(sealed.ok());
    REQUIRE(sink->produce(Topic::receipts, 0, "r", std::move(*sealed), {}).ok());
  }

  void turn_until(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
      REQUIRE(std::chrono::steady_clock::now() < deadline);
      for (const auto& agent : agents) agent->link->poll(milliseconds(1));
      collector->turn(milliseconds(1));
    }
  }
};

}  // namespace

TEST_CASE("an agent is told what was receipted before it asked, and what comes after",
          "[collector][receipts]") {
  Site site;
  site.write(record_of(receipt(record_set(1, {{0, 5}}))));
  site.write(record_of(ability("store-1"), utc_now_ns()));
  site.write(record_of(ability("store-old"), 1));
  REQUIRE(site.sink->flush(std::chrono::seconds(5)).ok());
  site.start();
  Agent& agent = site.join("agent-1");
  REQUIRE(agent.link->watch({record_set(1, {{3, 10}})}).ok());
  site.turn_until([&] { return agent.receipts.size() == 1; });
  CHECK(words_of(agent.receipts[0].records()) == "3-5");
  CHECK(agent.receipts[0].outcome() == proto::Receipt::STORED);
  REQUIRE(agent.abilities.size() == 1);
  CHECK(agent.abilities[0].sink() == "store-1");

  Agent& other = site.join("agent-2");
  REQUIRE(other.link->watch({record_set(2, {})}).ok());
  site.turn_until([&] { return other.abilities.size() == 1; });  // its question has been answered
  site.write(record_of(receipt(record_set(1, {{5, 2}}), "store", proto::Receipt::DEAD_LETTERED)));
  site.write(record_of(replay(record_set(1, {{7, 1}}))));
  site.write(record_of(receipt(record_set(3, {{0, 1}}))));  // nobody watches
  site.write(record_of(receipt(record_set(2, {{9, 1}}))));
  site.turn_until([&] { return other.receipts.size() == 1 && agent.replays.size() == 1; });
  REQUIRE(agent.receipts.size() == 2);
  CHECK(words_of(agent.receipts[1].records()) == "5-7");
  CHECK(agent.receipts[1].reason() == "because");
  CHECK(words_of(agent.replays[0].records()) == "7-8");
  CHECK(words_of(other.receipts[0].records()) == "9-10");
  CHECK(other.replays.empty());
}

TEST_CASE("a restarted collector knows all receipts again and asks no stale replays",
          "[collector][receipts]") {
  Site site;
  site.write(record_of(replay(record_set(1, {{0, 3}}))));
  site.write(record_of(replay(record_set(1, {{5, 1}}))));
  for (std::uint64_t w = 0; w < 1000; ++w)
    if (w != 5) site.write(record_of(receipt(record_set(1, {{w, 1}}))));
  REQUIRE(site.sink->flush(std::chrono::seconds(5)).ok());
  for (int start = 0; start < 2; ++start) {
    site.agents.clear();
    site.collector.reset();
    site.start();
    Agent& agent = site.join("agent-1");
    REQUIRE(agent.link->watch({record_set(1, {{0, 2000}})}).ok());
    site.turn_until([&] { return !agent.receipts.empty() && !agent.replays.empty(); });
    REQUIRE(agent.receipts.size() == 1);
    CHECK(words_of(agent.receipts[0].records()) == "0-5 6-1000");
    REQUIRE(agent.replays.size() == 1);
    CHECK(words_of(agent.replays[0].records()) == "5-6");
    CHECK(site.collector->receipts_trouble().empty());
  }
}

TEST_CASE("broken records of the receipts topic are counted and passed over", "[collector][receipts]") {
  Site site;
  REQUIRE(site.sink->produce(Topic::receipts, 0, "r", Payload::copy(as_bytes("no control record")), {}).ok());
  site.write(record_of(receipt(record_set(1, {{0, 1}}))));
  site.start();
  Agent& agent = site.join("agent-1");
  REQUIRE(agent.link->watch({record_set(1, {{0, 1}})}).ok());
  site.turn_until([&] { return agent.receipts.size() == 1; });
  CHECK_THAT(site.registry->render(), Catch::Contains("foreframe_collector_receipts_malformed_total 1"));
}

TEST_CASE("records that were jumped over and don't come are asked for, a few times",
          "[collector][receipts]") {
  Site site;
  site.start();
  Agent& agent = site.join("agent-1");
  for (const std::uint64_t n : {1, 2, 6}) {
    const auto header = block_header("agent-1", 5, n, 0);
    REQUIRE(agent.link->send(id_of(header), sealed(header)).ok());
  }
  site.turn_until([&] { return !agent.missing.empty(); });
  CHECK(agent.missing[0].detector() == "eiger");
  CHECK(agent.missing[0].epoch() == 5);
  CHECK(agent.missing[0].first_sequence() == 3);
  CHECK(agent.missing[0].count() == 3);
  for (const std::uint64_t n : {3, 5}) {
    const auto header = block_header("agent-1", 5, n, 0);
    REQUIRE(agent.link->send(id_of(header), sealed(header)).ok());
  }
  site.turn_until([&] { return agent.missing.size() == 2; });
  CHECK(agent.missing[1].first_sequence() == 4);
  CHECK(agent.missing[1].count() == 1);
}

TEST_CASE("an agent's watch ends with its connection", "[collector][receipts]") {
  Site site;
  site.start();
  Agent& agent = site.join("agent-1");
  REQUIRE(agent.link->watch({record_set(1, {{0, 1}})}).ok());
  site.write(record_of(receipt(record_set(1, {{0, 1}}))));
  site.turn_until([&] { return agent.receipts.size() == 1; });
  agent.link->say_bye("done");
  site.agents.clear();
  Agent& witness = site.join("agent-2");
  REQUIRE(witness.link->watch({record_set(1, {{1, 1}})}).ok());
  site.turn_until([&] { return site.collector->streams_json().find("\"agents\":1") != std::string::npos; });
  site.write(record_of(receipt(record_set(1, {{1, 1}}))));
  site.turn_until([&] { return witness.receipts.size() == 1; });
  CHECK_THAT(site.registry->render(), Catch::Contains("foreframe_collector_receipt_news_dropped_total 0"));
}

}  // namespace ff::collector
