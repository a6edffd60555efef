// SPDX-License-Identifier: Apache-2.0
// Readers of a group: shared partitions, committed offsets, names that return.
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

TEST_CASE("a commit never passes the first chunk of an incomplete set", "[kafka]") {
  LogOptions options = fresh_options();
  options.record_bytes_max = 100'000;
  const auto writer = open_writer(options);
  write(*writer, 0, 2, 1'000'000);  // partitions 0 and 1, ten chunks each
  {
    const auto reader = open_reader(options);
    // Partition 0's set is whole; of partition 1's we take the offset that a careless caller would commit.
    const auto records = read(*reader, 1);
    const auto other = 1 - records[0].position.partition;
    for (int i = 0; i < 20; ++i) static_cast<void>(reader->commit(Topic::blocks, other, 5));
  }
  const auto again = open_reader(options);
  std::set<std::string> keys;
  for (const LogRecord& record : read(*again, 2)) keys.insert(record.key);
  CHECK(keys == std::set<std::string>{"0", "1"});
}

TEST_CASE("a new group starts at the oldest record and a known one where it committed", "[kafka]") {
  const LogOptions options = fresh_options();
  const auto writer = open_writer(options);
  write(*writer, 0, 8, 100);
  {
    const auto reader = open_reader(options);
    for (const LogRecord& record : read(*reader, 8))
      if (record.position.partition == 2)
        REQUIRE(reader->commit(Topic::blocks, 2, record.position.offset + 1).ok());
    CHECK(reader->commit(Topic::blocks, 9, 1).error().code == Errc::refused);
  }
  const auto reader = open_reader(options);
  for (const LogRecord& record : read(*reader, 6)) CHECK(record.position.partition != 2);
  CHECK(read(*open_reader(options, "another"), 8).size() == 8);
}

TEST_CASE("two readers of a group share the partitions and hand them over", "[kafka]") {
  const LogOptions options = fresh_options();
  const auto writer = open_writer(options);
  write(*writer, 0, 4, 100);
  std::set<std::int32_t> first_has, second_has;
  auto first = open_reader(options);
  first->on_assigned = [&](Topic, std::int32_t p) { first_has.insert(p); };
  first->on_revoked = [&](Topic, std::int32_t p) { first_has.erase(p); };
  CHECK(read(*first, 4).size() == 4);
  CHECK(first_has.size() == 4);
  auto second = open_reader(options);
  second->on_assigned = [&](Topic, std::int32_t p) { second_has.insert(p); };
  for (int i = 0; i < 300 && second_has.size() < 2; ++i) {
    CHECK(first->poll(milliseconds(50)).ok());
    CHECK(second->poll(milliseconds(50)).ok());
  }
  CHECK(first_has.size() == 2);
  CHECK(second_has.size() == 2);
  for (const std::int32_t p : second_has) {
    CHECK_FALSE(first_has.contains(p));
    CHECK(first->commit(Topic::blocks, p, 1).error().code == Errc::refused);
  }
  first.reset();
  for (int i = 0; i < 300 && second_has.size() < 4; ++i) CHECK(second->poll(milliseconds(50)).ok());
  CHECK(second_has.size() == 4);
}

TEST_CASE("a member that returns under its name keeps its partitions, without a rebalance", "[kafka]") {
  LogOptions options = fresh_options();
  write(*open_writer(options), 0, 4, 100);
  const auto named = [&](const std::string& member) {
    LogOptions o = options;
    o.member = member;
    return open_reader(o, "members");  // a group that no other test waits for
  };
  std::set<std::int32_t> first_has, second_has;
  int second_changes = 0;
  auto first = named("one");
  auto second = named("two");
  first->on_assigned = [&](Topic, std::int32_t p) { first_has.insert(p); };
  first->on_revoked = [&](Topic, std::int32_t p) { first_has.erase(p); };
  second->on_assigned = [&](Topic, std::int32_t p) { second_has.insert(p), ++second_changes; };
  second->on_revoked = [&](Topic, std::int32_t p) { second_has.erase(p), ++second_changes; };
  for (int i = 0; i < 400 && (first_has.size() != 2 || second_has.size() != 2); ++i) {
    CHECK(first->poll(milliseconds(25)).ok());
    CHECK(second->poll(milliseconds(25)).ok());
  }
  REQUIRE(first_has.size() == 2);
  REQUIRE(second_has.size() == 2);
  const auto had = first_has;
  second_changes = 0;
  first.reset();
  first_has.clear();
  first = named("one");
  first->on_assigned = [&](Topic, std::int32_t p) { first_has.insert(p); };
  for (int i = 0; i < 400 && first_has.size() != 2; ++i) {
    CHECK(first->poll(milliseconds(25)).ok());
    CHECK(second->poll(milliseconds(25)).ok());
  }
  CHECK(first_has == had);
  CHECK(second_changes == 0);

  // Twice the same name: the older one is out, and says so.
  const auto thief = named("one");
  Errc code = Errc::stopped;
  for (int i = 0; i < 400 && code == Errc::stopped; ++i) {
    CHECK(thief->poll(milliseconds(25)).ok());
    const auto record = first->poll(milliseconds(25));
    if (!record.ok()) code = record.error().code;
  }
  CHECK(code == Errc::refused);
}

}  // namespace ff::transport
