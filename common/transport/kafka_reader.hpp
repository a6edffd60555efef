// SPDX-License-Identifier: Apache-2.0
//
// The log on Apache Kafka, reading end: a member of a consumer group that moves its committed offset only
// when told to, or a follower that reads all partitions outside every group. Never skips silently
// (auto.offset.reset = error), and puts chunk sets together again. Private to common/transport.
//
// kafka_reader.cpp             opening and closing, the poll loop, librdkafka's callbacks
// kafka_reader_partitions.cpp  which partitions it reads: a group's rebalances, a follower's own search
// kafka_reader_records.cpp     from messages to records: chunk sets, bounds of their memory, ends
// kafka_reader_gaps.cpp        offsets that the log no longer has
// kafka_reader_damage.cpp      bytes that cannot be read
// kafka_reader_commit.cpp      committed offsets, and what is done once a second
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/transport/chunk_set.hpp"
#include "common/transport/kafka_damage.hpp"
#include "common/transport/kafka_handle.hpp"
#include "common/transport/log.hpp"
#include "common/transport/log_url.hpp"

namespace ff::transport {

inline constexpr int kKafkaRequestTimeoutMs = 5'000;

/// The consumer outlives the reader as long as a record is in use: librdkafka's messages point into it.
struct KafkaConsumer {
  KafkaClient client;
};

struct KafkaPartition {
  KafkaPartition(std::chrono::nanoseconds patience, const KafkaDamageLimits& limits, std::int64_t first)
      : assembly(kAssemblyBytesMax, patience), damage(limits), next_offset(first) {}

  static constexpr std::uint64_t kAssemblyBytesMax = 512ull << 20;

  ChunkAssembly assembly;
  KafkaDamage damage;
  std::int64_t next_offset = RD_KAFKA_OFFSET_INVALID;  ///< of the record that should come next
  bool at_end = false;
  std::int64_t commit_to = RD_KAFKA_OFFSET_INVALID;  ///< wanted, and not yet known to be committed
  bool paused = false;                               ///< held back while others complete their sets
  /// Set while its fetcher begins anew at the oldest record: what was expected when its offset was refused.
  std::optional<std::int64_t> refused_offset;
  std::int64_t looked_at_offset = RD_KAFKA_OFFSET_INVALID;  ///< next_offset when keep_house() came by
  int looks_without_move = 0;  ///< as often it stood there although the log goes on
};

/// What librdkafka says of bytes that it cannot use.
[[nodiscard]] bool is_kafka_damage(rd_kafka_resp_err_t code) noexcept;

class KafkaReader final : public LogReader {
 public:
  Status open(const LogOptions& options, const LogUrl& url, const std::string& group,
              const std::vector<Topic>& topics);
  Status follow(const LogOptions& options, const LogUrl& url, const std::string& name,
                const std::vector<Topic>& topics);
  ~KafkaReader() override;

  Result<std::optional<LogRecord>> poll(std::chrono::nanoseconds timeout) override;
  Status commit(Topic topic, std::int32_t partition, std::int64_t next_offset) override;
  bool caught_up() const override;
  std::uint64_t held_bytes() const override;
  std::string trouble() const override { return trouble_; }

 private:
  using Place = std::pair<std::string, std::int32_t>;
  using Message = std::shared_ptr<rd_kafka_message_t>;

  void assign(rd_kafka_topic_partition_list_t* partitions);
  void revoke(const rd_kafka_topic_partition_list_t* partitions);
  Result<std::optional<LogRecord>> take(const Message& message);
  Result<std::optional<LogRecord>> take_record(const Message& message, KafkaPartition& partition);
  Result<std::optional<LogRecord>> take_error(const rd_kafka_message_t& message);
  Result<bool> pass_damage(const Place& place, KafkaPartition& partition, const rd_kafka_message_t& message);
  Status follow_verdict(const Place& place, KafkaPartition& partition, KafkaDamage::Verdict verdict);
  Status try_damaged();
  void look_at_standing(const Place& place, KafkaPartition& partition);
  bool jumps(const Place& place, const KafkaPartition& partition, std::int64_t offset) const;
  std::int64_t oldest_offset(const Place& place, std::int64_t otherwise) const;
  std::int64_t end_of_log(const Place& place) const;
  Status fetch_from(const Place& place, std::int64_t offset);
  Status restart(const Place& place, std::int64_t refused);
  std::optional<std::int64_t> first_promised(const std::string& topic) const;
  KafkaPartition make_partition(const std::string& topic, std::int64_t first) const;
  Status connect(const LogOptions& options, const LogUrl& url, KafkaSettings settings,
                 const std::vector<Topic>& topics);
  Status begin_at_oldest(const Place& place);
  Status tell_gap(const Place& place, KafkaPartition& partition, std::int64_t oldest);
  void find_partitions();
  Status follow_new(const std::map<std::string, std::uint32_t>& counts);
  Status commit_wanted();
  void bound_assembly();
  void hold_back(const std::optional<Place>& all_but);
  void keep_house();

  static void on_rebalance(rd_kafka_t* client, rd_kafka_resp_err_t code,
                           rd_kafka_topic_partition_list_t* partitions, void* self);
  static void on_error(rd_kafka_t* client, int code, const char* reason, void* self);
  static int on_statistics(rd_kafka_t* client, char* json, std::size_t bytes, void* self);

  LogOptions options_;
  std::string brokers_;
  std::chrono::nanoseconds patience_{0};
  bool follows_ = false;    ///< outside every group
  bool all_found_ = false;  ///< follower: every topic is there
  std::int64_t next_list_ns_ = 0;
  Message held_;  ///< came first behind a gap that had to be told before it
  std::shared_ptr<KafkaConsumer> consumer_;
  std::map<std::string, Topic> topics_;
  std::map<Topic, std::string> names_;
  std::map<Place, KafkaPartition> partitions_;
  bool was_assigned_ = false;
  bool commit_fails_ = false;
  bool meets_damage_ = false;  ///< at least one partition
  bool holds_back_ = false;    ///< partitions are paused, see bound_assembly()
  std::int64_t next_housekeeping_ns_ = 0;
  std::string trouble_;
};

}  // namespace ff::transport
