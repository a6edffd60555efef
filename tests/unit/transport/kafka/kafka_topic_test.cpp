// SPDX-License-Identifier: Apache-2.0
// Topics that exist, are missing, are made, change and are deleted.
#include <array>
#include <chrono>
#include <librdkafka/rdkafka.h>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/transport/kafka/kafka_topics.hpp"

namespace ff::transport {

using namespace kafka_test;

TEST_CASE("an existing topic keeps its partition count", "[kafka]") {
  LogOptions options = fresh_options();
  options.partitions = 2;
  static_cast<void>(open_writer(options));
  options.partitions = 7;
  CHECK(*open_writer(options)->partition_count(Topic::blocks) == 2);
}

TEST_CASE("a reader finds a topic that is made after it", "[kafka]") {
  const LogOptions options = fresh_options();
  const auto reader = open_reader(options, "early", {Topic::blocks, Topic::series});
  CHECK_FALSE((*reader->poll(milliseconds(200))).has_value());
  CHECK_FALSE(reader->caught_up());
  write(*open_writer(options), 0, 4, 100);
  CHECK(read(*reader, 4).size() == 4);
}

TEST_CASE("a follower reads a topic whole, makes it when it is missing and notices new partitions",
          "[kafka]") {
  LogOptions options = fresh_options();
  options.partitions = 2;
  options.kept_for = std::chrono::hours(1);
  options.kept_bytes_max = 10'000'000;
  const auto follower = open_log_follower(options, "collector", {Topic::receipts, Topic::ledger});
  REQUIRE(follower.ok());
  for (int i = 0; i < 100 && !(*follower)->caught_up(); ++i)
    CHECK_FALSE((*(*follower)->poll(milliseconds(100))).has_value());
  CHECK((*follower)->caught_up());
  CHECK(topic_setting(options, Topic::receipts, "cleanup.policy") == "delete");
  CHECK(topic_setting(options, Topic::receipts, "retention.ms") == "3600000");
  CHECK(topic_setting(options, Topic::receipts, "retention.bytes") == "5000000");
  CHECK(topic_setting(options, Topic::ledger, "cleanup.policy") == "compact");

  const auto produce = [&](std::uint32_t partitions, int count) {
    const auto writer = open_log_writer(options, {Topic::receipts});
    REQUIRE(writer.ok());
    CHECK(*(*writer)->partition_count(Topic::receipts) == partitions);
    for (int i = 0; i < count; ++i)
      REQUIRE((*writer)
                  ->produce(Topic::receipts, static_cast<std::uint32_t>(i) % partitions, "r",
                            value_of(1, 100), {})
                  .ok());
    REQUIRE((*writer)->flush(seconds(20)).ok());
  };
  produce(2, 10);
  CHECK(read(**follower, 10).size() == 10);
  add_partitions(options, Topic::receipts, 4);
  produce(4, 8);
  CHECK(read(**follower, 8).size() == 8);
  const auto late = open_log_follower(options, "collector", {Topic::receipts});
  REQUIRE(late.ok());
  CHECK(read(**late, 18).size() == 18);
}

TEST_CASE("a topic that takes only small records gets values in small pieces", "[kafka]") {
  const LogOptions options = fresh_options();
  {
    const KafkaClient admin = open_admin(options);
    std::array<char, 256> why{};
    rd_kafka_NewTopic_t* topic =
        rd_kafka_NewTopic_new((options.topic_prefix + ".blocks").c_str(), 4, 1, why.data(), why.size());
    rd_kafka_NewTopic_set_config(topic, "max.message.bytes", "100000");
    rd_kafka_queue_t* queue = rd_kafka_queue_new(admin.get());
    rd_kafka_CreateTopics(admin.get(), &topic, 1, nullptr, queue);
    rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 10'000);
    REQUIRE(event != nullptr);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
  }
  const auto writer = open_writer(options);
  write(*writer, 0, 12, 300'000);
  write(*writer, 12, 60, 30'000);  // small ones go together into requests that must not be too large either
  std::set<std::string> keys;
  for (const LogRecord& record : read(*open_reader(options), 60)) {
    const auto n = std::stoull(record.key);
    REQUIRE(same(record.value, value_of(n, n < 12 ? 300'000 : 30'000)));
    keys.insert(record.key);
  }
  CHECK(keys.size() == 60);
}

TEST_CASE("a topic that is deleted under its writer is made again", "[kafka]") {
  const LogOptions options = fresh_options();
  const auto writer = open_writer(options);
  write(*writer, 0, 8, 1000);
  {
    const KafkaClient admin = open_admin(options);
    rd_kafka_DeleteTopic_t* request = rd_kafka_DeleteTopic_new((options.topic_prefix + ".blocks").c_str());
    rd_kafka_queue_t* queue = rd_kafka_queue_new(admin.get());
    rd_kafka_DeleteTopics(admin.get(), &request, 1, nullptr, queue);
    rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 10'000);
    REQUIRE(event != nullptr);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteTopic_destroy(request);
  }
  std::set<std::uint64_t> waiting;
  for (std::uint64_t n = 8; n < 16; ++n) waiting.insert(n);
  const auto deadline = std::chrono::steady_clock::now() + seconds(90);
  while (!waiting.empty() && std::chrono::steady_clock::now() < deadline) {
    const std::set<std::uint64_t> now = waiting;  // as the collector does: what fails is handed over again
    for (const std::uint64_t n : now)
      REQUIRE(writer
                  ->produce(Topic::blocks, static_cast<std::uint32_t>(n % 4), std::to_string(n),
                            value_of(n, 1000),
                            [&waiting, n](const auto& position) {
                              if (position.ok()) waiting.erase(n);
                            })
                  .ok());
    REQUIRE(writer->flush(seconds(60)).ok());
  }
  CHECK(waiting.empty());
  std::set<std::string> keys;
  for (const LogRecord& record : read(*open_reader(options, "late"), 8)) keys.insert(record.key);
  CHECK(keys.size() == 8);
}

}  // namespace ff::transport
