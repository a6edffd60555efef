// SPDX-License-Identifier: Apache-2.0
//
// The log on Apache Kafka, writing end: an idempotent producer that never copies a value and calls nothing
// delivered before its report. When librdkafka declares the producer dead (a "fatal" error after a broker
// failed over), a new one takes its place and everything outstanding is produced again. A topic that was
// deleted is made again; a broker that takes only smaller records than was said gets smaller ones.
// Private to common/transport.
//
// kafka_writer.cpp           opening, and the way of a value to librdkafka
// kafka_writer_reports.cpp   what librdkafka tells about records and about itself
// kafka_writer_recovery.cpp  a new producer, a topic made again, smaller pieces
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/transport/chunk_set.hpp"
#include "common/transport/kafka_handle.hpp"
#include "common/transport/log.hpp"
#include "common/transport/log_url.hpp"

namespace ff::transport {

/// What the caller handed over: one record, or all chunks of one.
struct KafkaDelivery {
  Topic topic = Topic::blocks;
  std::int32_t partition = 0;
  std::string key;
  Payload value;
  LogWriter::Delivered delivered;
  std::uint64_t chunk_bytes = 0;  ///< that it was cut by
  std::uint32_t records_left = 0;
  LogPosition position;
  std::optional<Error> error;
};

/// One Kafka record that has no report yet. Keeps the value's owner alive: librdkafka only points into it.
struct KafkaOutstanding {
  std::string key;
  Payload value;
  std::optional<ChunkHeader> chunk;
  std::shared_ptr<KafkaDelivery> delivery;
};

class KafkaWriter final : public LogWriter {
 public:
  Status open(const LogOptions& options, const LogUrl& url, const std::vector<Topic>& topics);
  ~KafkaWriter() override { drop_client(); }

  Status produce(Topic topic, std::uint32_t partition, std::string_view key, Payload value,
                 Delivered delivered) override;
  void poll(std::chrono::nanoseconds timeout) override;
  Status flush(std::chrono::nanoseconds timeout) override;
  Result<std::uint32_t> partition_count(Topic topic) override;
  std::string trouble() const override { return trouble_; }

 private:
  KafkaSettings settings() const;
  Status make_producer();
  void drop_client();
  void recreate();
  void hand_over_unsent();
  bool hand_over(std::uint64_t id, const KafkaOutstanding& record);
  void cut_and_add(const std::shared_ptr<KafkaDelivery>& delivery);
  void add(KafkaOutstanding record);
  bool cut_smaller(const std::shared_ptr<KafkaDelivery>& delivery);
  void make_missing_topics();
  void produce_again(std::uint64_t id);
  void finish(std::uint64_t id, const rd_kafka_message_t* report, std::optional<Error> error);

  static void on_report(rd_kafka_t* client, const rd_kafka_message_t* report, void* self);
  static void on_error(rd_kafka_t* client, int code, const char* reason, void* self);
  static int on_statistics(rd_kafka_t* client, char* json, std::size_t bytes, void* self);

  LogOptions options_;
  std::uint64_t chunk_bytes_ =
      0;  ///< larger values are cut; options_.record_bytes_max or what a broker takes
  std::string brokers_;
  std::map<Topic, std::string> names_;
  std::map<Topic, std::uint32_t> partitions_;
  KafkaClient client_;
  std::map<Topic, KafkaTopic> topics_;

  std::map<std::uint64_t, KafkaOutstanding> outstanding_;  ///< in order of produce()
  std::deque<std::uint64_t> unsent_;                       ///< those that librdkafka has not taken (again)
  std::deque<std::uint64_t> refused_;                      ///< those it will never take; reported in poll()
  std::uint64_t next_id_ = 1;
  std::uint64_t outstanding_bytes_ = 0;
  std::uint64_t produced_again_ = 0;
  bool fatal_ = false;
  bool topic_missing_ = false;
  std::int64_t next_making_ns_ = 0;
  std::int64_t next_recreate_ns_ = 0;
  std::string trouble_;
};

}  // namespace ff::transport
