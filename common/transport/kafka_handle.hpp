// SPDX-License-Identifier: Apache-2.0
//
// librdkafka's handles that free themselves, settings with errors that name the setting, and topics made when
// missing. Private to common/transport.
#pragma once

#include <chrono>
#include <librdkafka/rdkafka.h>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.hpp"
#include "common/transport/log.hpp"

namespace ff::transport {

template <typename T, void (*kFree)(T*)>
struct KafkaFree {
  void operator()(T* handle) const noexcept { kFree(handle); }
};
template <typename T, void (*kFree)(T*)>
using KafkaOwned = std::unique_ptr<T, KafkaFree<T, kFree>>;

using KafkaConf = KafkaOwned<rd_kafka_conf_t, rd_kafka_conf_destroy>;
using KafkaClient = KafkaOwned<rd_kafka_t, rd_kafka_destroy>;
using KafkaTopic = KafkaOwned<rd_kafka_topic_t, rd_kafka_topic_destroy>;
using KafkaPartitions = KafkaOwned<rd_kafka_topic_partition_list_t, rd_kafka_topic_partition_list_destroy>;

/// Key, headers and the record's own framing beside a value of record_bytes_max.
inline constexpr std::uint64_t kKafkaRecordOverheadBytes = 100'000;

using KafkaQueue = KafkaOwned<rd_kafka_queue_t, rd_kafka_queue_destroy>;
using KafkaEvent = KafkaOwned<rd_kafka_event_t, rd_kafka_event_destroy>;

using KafkaSettings = std::vector<std::pair<std::string, std::string>>;

/// `ours` first, then the operator's own on top. Errors: config_error (names the setting and why).
[[nodiscard]] Result<KafkaConf> make_conf(const KafkaSettings& ours,
                                          const std::map<std::string, std::string>& operators);
/// Takes `conf` over. Errors: config_error.
[[nodiscard]] Result<KafkaClient> make_client(rd_kafka_type_t type, KafkaConf conf);

/// What librdkafka's code means in our words; `what` says what was tried.
[[nodiscard]] Error kafka_error(rd_kafka_resp_err_t code, const std::string& what);

/// Partition counts of all topics of the cluster (full names) whose partitions all have leaders.
/// Errors: timed_out (no broker answers), io_error.
[[nodiscard]] Result<std::map<std::string, std::uint32_t>> list_topics(rd_kafka_t* client,
                                                                       std::chrono::nanoseconds timeout);
/// Makes topics: `options.partitions` partitions, state topics compacted, receipts and dead letters kept by
/// age and size. One that exists meanwhile is no error. Errors: timed_out, refused (not allowed), io_error.
[[nodiscard]] Status create_topics(rd_kafka_t* client,
                                   const std::vector<std::pair<std::string, Topic>>& missing,
                                   const LogOptions& options, std::chrono::nanoseconds timeout);
/// Partition counts of `topics` (full names), making those that are missing. An existing topic keeps its count.
/// Errors: timed_out (no broker answers), refused (not allowed to make it), io_error.
[[nodiscard]] Result<std::map<std::string, std::uint32_t>> ensure_topics(
    rd_kafka_t* client, const std::vector<std::pair<std::string, Topic>>& topics, const LogOptions& options,
    std::chrono::nanoseconds timeout);

[[nodiscard]] int to_milliseconds(std::chrono::nanoseconds duration) noexcept;

}  // namespace ff::transport
