// SPDX-License-Identifier: Apache-2.0
// Values through a real broker: bytes, order, chunk sets, bounded queues and memory.
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

TEST_CASE("blocks go through Kafka byte for byte, ordered within their partitions", "[kafka]") {
  const LogOptions options = fresh_options();
  const auto writer = open_writer(options);
  CHECK(*writer->partition_count(Topic::blocks) == 4);
  write(*writer, 0, 100, 200'000);
  const auto reader = open_reader(options);
  std::map<std::int32_t, std::int64_t> next;
  for (const LogRecord& record : read(*reader, 100)) {
    const auto n = std::stoull(record.key);
    REQUIRE(record.position.partition == static_cast<std::int32_t>(n % 4));
    REQUIRE(record.position.offset == next[record.position.partition]++);
    REQUIRE(record.first_offset == record.position.offset);
    REQUIRE(same(record.value, value_of(n, 200'000)));
  }
  for (int i = 0; i < 100 && !reader->caught_up(); ++i)
    CHECK_FALSE((*reader->poll(milliseconds(50))).has_value());
  CHECK(reader->caught_up());
  write(*writer, 100, 101, 10);
  CHECK_FALSE(reader->caught_up());
  CHECK(writer->produce(Topic::blocks, 4, "", {}, {}).error().code == Errc::out_of_range);
  CHECK(writer->produce(Topic::ledger, 0, "", {}, {}).error().code == Errc::invalid_argument);
}

TEST_CASE("a value above the record limit travels as a chunk set", "[kafka]") {
  LogOptions options = fresh_options();
  options.record_bytes_max = 100'000;
  const auto writer = open_writer(options);
  write(*writer, 0, 12, 1'234'567);
  const auto reader = open_reader(options);
  for (const LogRecord& record : read(*reader, 12)) {
    REQUIRE(same(record.value, value_of(std::stoull(record.key), 1'234'567)));
    REQUIRE(record.position.offset - record.first_offset == 12);  // 13 chunks
    REQUIRE(reader->commit(Topic::blocks, record.position.partition, record.position.offset + 1).ok());
  }
}

TEST_CASE("a producer whose queue is full says so and loses nothing", "[kafka]") {
  LogOptions options = fresh_options();
  options.queue_bytes = 2'000'000;
  const auto writer = open_writer(options);
  write(*writer, 0, 60, 500'000);
  std::set<std::string> keys;
  for (const LogRecord& record : read(*open_reader(options), 60)) keys.insert(record.key);
  CHECK(keys.size() == 60);
}

TEST_CASE("a record is still readable after its reader is gone", "[kafka]") {
  const LogOptions options = fresh_options();
  write(*open_writer(options), 0, 1, 300'000);
  auto records = read(*open_reader(options), 1);
  CHECK(same(records[0].value, value_of(0, 300'000)));
}

TEST_CASE("a reader holds incomplete values of all partitions within one bound, and loses none", "[kafka]") {
  LogOptions options = fresh_options();
  options.record_bytes_max = 20'000;  // 50 chunks a value
  options.queue_bytes = 64 << 20;
  write(*open_writer(options), 0, 40, 1'000'000);
  options.assembly_bytes_max = 1'200'000;
  options.kafka["fetch.message.max.bytes"] = "30000";  // partitions take turns after a chunk or two
  options.kafka["fetch.max.bytes"] = "60000";
  options.kafka["message.max.bytes"] = "60000";
  const auto reader = open_reader(options);
  std::uint64_t most_held = 0;
  std::set<std::string> keys;
  const auto deadline = std::chrono::steady_clock::now() + seconds(60);
  while (keys.size() < 40 && std::chrono::steady_clock::now() < deadline) {
    const auto record = reader->poll(milliseconds(1));
    REQUIRE(record.ok());
    most_held = std::max(most_held, reader->held_bytes());
    if (!record->has_value()) continue;
    CHECK(same((*record)->value, value_of(std::stoull((*record)->key), 1'000'000)));
    keys.insert((*record)->key);
  }
  CHECK(keys.size() == 40);
  CHECK(most_held > 1'000'000);  // it was tried
  CHECK(most_held < options.assembly_bytes_max + 1'000'000);
  CHECK(reader->held_bytes() == 0);
}

}  // namespace ff::transport
