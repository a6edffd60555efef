// SPDX-License-Identifier: Apache-2.0
//
// Topics of a real broker, each test with its own, and what an operator or retention does to them, for the tests of
// the log on Kafka.
#pragma once

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

namespace ff::transport::kafka_test {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Topics of its own for each test, so that tests don't see each other.
inline LogOptions fresh_options() {
  LogOptions options;
  options.url = std::string("kafka://") + std::getenv("FF_KAFKA_BOOTSTRAP");
  options.topic_prefix = "test." + Uuid::mint().to_string();
  options.partitions = 4;
  return options;
}

inline std::unique_ptr<LogWriter> open_writer(const LogOptions& options) {
  auto writer = open_log_writer(options, {Topic::blocks, Topic::series});
  if (!writer.ok()) FAIL(writer.error().message);
  return std::move(writer).value();
}

inline std::unique_ptr<LogReader> open_reader(const LogOptions& options, const std::string& group = "sink",
                                              const std::vector<Topic>& topics = {Topic::blocks}) {
  auto reader = open_log_reader(options, group, topics);
  if (!reader.ok()) FAIL(reader.error().message);
  return std::move(reader).value();
}

inline Payload value_of(std::uint64_t number, std::size_t bytes) {
  std::vector<std::byte> value(bytes);
  for (std::size_t i = 0; i < bytes; ++i) value[i] = static_cast<std::byte>(number * 131 + i * 7 + (i >> 8));
  return Payload::own(std::move(value));
}

inline bool same(const Payload& a, const Payload& b) {
  return std::equal(a.bytes().begin(), a.bytes().end(), b.bytes().begin(), b.bytes().end());
}

/// Record n goes to partition n mod 4 with key "n".
inline void write(LogWriter& writer, std::uint64_t first, std::uint64_t end, std::size_t bytes) {
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
inline std::vector<LogRecord> read(LogReader& reader, std::size_t count,
                                   std::vector<Error>* errors = nullptr) {
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

inline KafkaClient open_admin(const LogOptions& options) {
  auto conf = make_conf({{"bootstrap.servers", options.url.substr(8)}}, {});
  return std::move(*make_client(RD_KAFKA_PRODUCER, std::move(conf).value()));
}

/// What retention does, done at once.
inline void free_below(const LogOptions& options, Topic topic, std::int32_t partition, std::int64_t offset) {
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

inline void add_partitions(const LogOptions& options, Topic topic, std::size_t total) {
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

/// A setting as the broker has it.
inline std::string resource_setting(const LogOptions& options, rd_kafka_ResourceType_t type,
                                    const std::string& name, const std::string& setting) {
  const KafkaClient admin = open_admin(options);
  rd_kafka_ConfigResource_t* request = rd_kafka_ConfigResource_new(type, name.c_str());
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

inline std::string topic_setting(const LogOptions& options, Topic topic, const std::string& setting) {
  return resource_setting(options, RD_KAFKA_RESOURCE_TOPIC,
                          options.topic_prefix + "." + std::string(topic_word(topic)), setting);
}

/// Of the only broker.
inline std::string broker_setting(const LogOptions& options, const std::string& setting) {
  return resource_setting(options, RD_KAFKA_RESOURCE_BROKER, "1", setting);
}

}  // namespace ff::transport::kafka_test
