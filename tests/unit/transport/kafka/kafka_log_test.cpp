// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <librdkafka/rdkafka.h>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "common/base/uuid.hpp"
#include "common/transport/kafka_handle.hpp"
#include "common/transport/log.hpp"

namespace ff::transport {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Topics of its own for each test, so that tests don't see each other.
LogOptions fresh_options() {
  LogOptions options;
  options.url = std::string("kafka://") + std::getenv("FF_KAFKA_BOOTSTRAP");
  options.topic_prefix = "test." + Uuid::mint().to_string();
  options.partitions = 4;
  return options;
}

std::unique_ptr<LogWriter> open_writer(const LogOptions& options) {
  auto writer = open_log_writer(options, {Topic::blocks, Topic::series});
  if (!writer.ok()) FAIL(writer.error().message);
  return std::move(writer).value();
}

std::unique_ptr<LogReader> open_reader(const LogOptions& options, const std::string& group = "sink",
                                       const std::vector<Topic>& topics = {Topic::blocks}) {
  auto reader = open_log_reader(options, group, topics);
  if (!reader.ok()) FAIL(reader.error().message);
  return std::move(reader).value();
}

Payload value_of(std::uint64_t number, std::size_t bytes) {
  std::vector<std::byte> value(bytes);
  for (std::size_t i = 0; i < bytes; ++i) value[i] = static_cast<std::byte>(number * 131 + i * 7 + (i >> 8));
  return Payload::own(std::move(value));
}

bool same(const Payload& a, const Payload& b) {
  return std::equal(a.bytes().begin(), a.bytes().end(), b.bytes().begin(), b.bytes().end());
}

/// Record n goes to partition n mod 4 with key "n".
void write(LogWriter& writer, std::uint64_t first, std::uint64_t end, std::size_t bytes) {
  std::size_t delivered = 0;
  for (std::uint64_t n = first; n < end; ++n) {
    for (;;) {
      const Status status = writer.produce(
          Topic::blocks, static_cast<std::uint32_t>(n % 4), std::to_string(n), value_of(n, bytes),
          [&delivered](const auto& position) { delivered += position.ok(); });
      if (status.ok()) break;
      REQUIRE(status.error().code == Errc::queue_full);
      writer.poll(milliseconds(10));
    }
  }
  REQUIRE(writer.flush(seconds(30)).ok());
  REQUIRE(delivered == end - first);
}

/// Reads until `count` records are there; 30 s at most.
std::vector<LogRecord> read(LogReader& reader, std::size_t count, std::vector<Error>* errors = nullptr) {
  std::vector<LogRecord> records;
  const auto deadline = std::chrono::steady_clock::now() + seconds(30);
  while (records.size() < count && std::chrono::steady_clock::now() < deadline) {
    auto record = reader.poll(milliseconds(100));
    if (!record.ok()) {
      if (errors == nullptr) FAIL(record.error().message);
      errors->push_back(record.error());
      continue;
    }
    if (record->has_value()) records.push_back(std::move(**record));
  }
  REQUIRE(records.size() == count);
  return records;
}

KafkaClient open_admin(const LogOptions& options) {
  auto conf = make_conf({{"bootstrap.servers", options.url.substr(8)}}, {});
  return std::move(*make_client(RD_KAFKA_PRODUCER, std::move(conf).value()));
}

/// What retention does, done at once.
void free_below(const LogOptions& options, Topic topic, std::int32_t partition, std::int64_t offset) {
  const KafkaClient admin = open_admin(options);
  const std::string name = options.topic_prefix + "." + std::string(topic_word(topic));
  const KafkaPartitions list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), name.c_str(), partition)->offset = offset;
  rd_kafka_DeleteRecords_t* request = rd_kafka_DeleteRecords_new(list.get());
  rd_kafka_queue_t* queue = rd_kafka_queue_new(admin.get());
  rd_kafka_DeleteRecords(admin.get(), &request, 1, nullptr, queue);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 10'000);
  REQUIRE(event != nullptr);
  CHECK(rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR);
  rd_kafka_event_destroy(event);
  rd_kafka_queue_destroy(queue);
  rd_kafka_DeleteRecords_destroy(request);
}

void add_partitions(const LogOptions& options, Topic topic, std::size_t total) {
  const KafkaClient admin = open_admin(options);
  const std::string name = options.topic_prefix + "." + std::string(topic_word(topic));
  std::array<char, 256> why{};
  rd_kafka_NewPartitions_t* request = rd_kafka_NewPartitions_new(name.c_str(), total, why.data(), why.size());
  REQUIRE(request != nullptr);
  rd_kafka_queue_t* queue = rd_kafka_queue_new(admin.get());
  rd_kafka_CreatePartitions(admin.get(), &request, 1, nullptr, queue);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 10'000);
  REQUIRE(event != nullptr);
  CHECK(rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR);
  rd_kafka_event_destroy(event);
  rd_kafka_queue_destroy(queue);
  rd_kafka_NewPartitions_destroy(request);
}

/// A topic's own setting as the broker has it.
std::string topic_setting(const LogOptions& options, Topic topic, const std::string& setting) {
  const KafkaClient admin = open_admin(options);
  const std::string name = options.topic_prefix + "." + std::string(topic_word(topic));
  rd_kafka_ConfigResource_t* request = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name.c_str());
  rd_kafka_queue_t* queue = rd_kafka_queue_new(admin.get());
  rd_kafka_DescribeConfigs(admin.get(), &request, 1, nullptr, queue);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 10'000);
  REQUIRE(event != nullptr);
  std::size_t resources = 0, entries = 0;
  const auto* result = rd_kafka_event_DescribeConfigs_result(event);
  const auto* const* found = rd_kafka_DescribeConfigs_result_resources(result, &resources);
  REQUIRE(resources == 1);
  const auto* const* list = rd_kafka_ConfigResource_configs(found[0], &entries);
  std::string value;
  for (std::size_t i = 0; i < entries; ++i)
    if (setting == rd_kafka_ConfigEntry_name(list[i])) value = rd_kafka_ConfigEntry_value(list[i]);
  rd_kafka_event_destroy(event);
  rd_kafka_queue_destroy(queue);
  rd_kafka_ConfigResource_destroy(request);
  return value;
}

}  // namespace

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

TEST_CASE("an existing topic keeps its partition count", "[kafka]") {
  LogOptions options = fresh_options();
  options.partitions = 2;
  static_cast<void>(open_writer(options));
  options.partitions = 7;
  CHECK(*open_writer(options)->partition_count(Topic::blocks) == 2);
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

TEST_CASE("records freed by retention before they were read are a named gap", "[kafka]") {
  const LogOptions options = fresh_options();
  const auto writer = open_writer(options);
  write(*writer, 0, 40, 100);  // ten in each partition
  {
    const auto reader = open_reader(options);
    for (const LogRecord& record : read(*reader, 40))
      if (record.position.offset == 1)
        REQUIRE(reader->commit(Topic::blocks, record.position.partition, 2).ok());
  }
  free_below(options, Topic::blocks, 3, 7);

  const auto reader = open_reader(options);
  std::vector<LogGap> gaps;
  reader->on_gap = [&](const LogGap& gap) { gaps.push_back(gap); };
  std::vector<Error> errors;
  const auto records = read(*reader, 3 * 8 + 3, &errors);
  REQUIRE(gaps.size() == 1);
  CHECK(gaps[0].topic == Topic::blocks);
  CHECK(gaps[0].partition == 3);
  CHECK(gaps[0].first_offset == 2);
  CHECK(gaps[0].next_offset == 7);
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].code == Errc::out_of_range);
  CHECK_THAT(errors[0].message, Catch::Contains("partition 3: records 2 to 7"));
  for (const LogRecord& record : records)
    CHECK(record.position.offset >= (record.position.partition == 3 ? 7 : 2));
}

TEST_CASE("a record is still readable after its reader is gone", "[kafka]") {
  const LogOptions options = fresh_options();
  write(*open_writer(options), 0, 1, 300'000);
  auto records = read(*open_reader(options), 1);
  CHECK(same(records[0].value, value_of(0, 300'000)));
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

TEST_CASE("a log shorter than what was committed is read from its oldest record, and this is said",
          "[kafka]") {
  const LogOptions options = fresh_options();
  write(*open_writer(options), 0, 8, 100);
  {  // as an unclean leader election leaves it
    auto conf = make_conf({{"bootstrap.servers", options.url.substr(8)}, {"group.id", "sink"}}, {});
    const KafkaClient member = std::move(*make_client(RD_KAFKA_CONSUMER, std::move(conf).value()));
    const KafkaPartitions list(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(list.get(), (options.topic_prefix + ".blocks").c_str(), 1)->offset =
        1000;
    REQUIRE(rd_kafka_commit(member.get(), list.get(), 0) == RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  const auto reader = open_reader(options);
  int gaps = 0;
  reader->on_gap = [&](const LogGap&) { ++gaps; };
  std::vector<Error> errors;
  CHECK(read(*reader, 8, &errors).size() == 8);
  CHECK(gaps == 0);  // nothing is lost that this group had not read
  REQUIRE(errors.size() == 1);
  CHECK_THAT(errors[0].message, Catch::Contains("partition 1: the log ends before offset 1000"));
}

TEST_CASE("a member that returns under its name keeps its partitions, without a rebalance", "[kafka]") {
  LogOptions options = fresh_options();
  write(*open_writer(options), 0, 4, 100);
  const auto named = [&](const std::string& member) {
    LogOptions o = options;
    o.member = member;
    return open_reader(o);
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
