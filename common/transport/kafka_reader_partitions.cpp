// SPDX-License-Identifier: Apache-2.0
//
// Which partitions a Kafka reader has. A member of a group gets and loses them in rebalances; a follower looks for
// them itself, also for those that are added later, and makes topics that are missing.
#include <algorithm>
#include <utility>

#include "common/base/clock.hpp"
#include "common/transport/kafka_reader.hpp"

namespace ff::transport {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kListTimeout = std::chrono::seconds(1);
constexpr nanoseconds kCreateTimeout = std::chrono::seconds(5);
constexpr std::int64_t kListIntervalNs = 2'000'000'000;
constexpr std::int64_t kFirstListIntervalNs = 200'000'000;  ///< while a topic is still missing

}  // namespace

void KafkaReader::on_rebalance(rd_kafka_t* client, rd_kafka_resp_err_t code,
                               rd_kafka_topic_partition_list_t* partitions, void* opaque) {
  auto* const self = static_cast<KafkaReader*>(opaque);
  rd_kafka_error_t* failed = nullptr;
  if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    self->assign(partitions);
    failed = rd_kafka_incremental_assign(client, partitions);
  } else {
    self->revoke(partitions);
    failed = rd_kafka_incremental_unassign(client, partitions);
  }
  if (failed == nullptr) return;
  self->trouble_ = std::string("kafka rebalance: ") + rd_kafka_error_string(failed);
  rd_kafka_error_destroy(failed);
}

/// A new group has no committed offset: it starts at the oldest record, said here and not left to a default. What was
/// freed before is told as a gap.
void KafkaReader::assign(rd_kafka_topic_partition_list_t* partitions) {
  const auto code = rd_kafka_committed(consumer_->client.get(), partitions, kKafkaRequestTimeoutMs);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    trouble_ = kafka_error(code, "asking for committed offsets").message;
  was_assigned_ = true;
  for (int i = 0; i < partitions->cnt; ++i) {
    rd_kafka_topic_partition_t& p = partitions->elems[i];
    const bool known = code == RD_KAFKA_RESP_ERR_NO_ERROR && p.err == RD_KAFKA_RESP_ERR_NO_ERROR;
    const bool is_new = known && p.offset < 0;
    if (is_new) p.offset = RD_KAFKA_OFFSET_BEGINNING;
    if (!known)
      p.offset = RD_KAFKA_OFFSET_STORED;  // the fetcher asks for itself; take_error() handles "none"
    KafkaPartition partition =
        make_partition(p.topic, std::max<std::int64_t>(p.offset, RD_KAFKA_OFFSET_INVALID));
    if (is_new) partition.refused_offset = first_promised(p.topic);
    partitions_.insert_or_assign(Place{p.topic, p.partition}, std::move(partition));
    if (on_assigned && topics_.contains(p.topic)) on_assigned(topics_.at(p.topic), p.partition);
  }
}

void KafkaReader::revoke(const rd_kafka_topic_partition_list_t* partitions) {
  for (int i = 0; i < partitions->cnt; ++i) {
    const rd_kafka_topic_partition_t& p = partitions->elems[i];
    partitions_.erase({p.topic, p.partition});
    if (on_revoked && topics_.contains(p.topic)) on_revoked(topics_.at(p.topic), p.partition);
  }
  if (holds_back_) hold_back(std::nullopt);  // the one that was read on may be gone
}

/// Follower: looks for partitions that it does not have yet, and makes topics that are missing. Failures pass:
/// it looks again.
void KafkaReader::find_partitions() {
  const std::int64_t now_ns = monotonic_now_ns();
  if (now_ns < next_list_ns_) return;
  rd_kafka_t* const client = consumer_->client.get();
  const auto counts = list_topics(client, kListTimeout);
  next_list_ns_ = monotonic_now_ns() + (all_found_ ? kListIntervalNs : kFirstListIntervalNs);
  if (!counts.ok()) {
    trouble_ = "no broker answers at " + brokers_ + " (" + counts.error().message + ")";
    return;
  }
  std::vector<std::pair<std::string, Topic>> missing;
  for (const auto& [name, topic] : topics_)
    if (!counts->contains(name)) missing.emplace_back(name, topic);
  Status done = follow_new(*counts);
  if (done.ok() && !missing.empty() && !all_found_)
    done = create_topics(client, missing, options_, kCreateTimeout);
  all_found_ = all_found_ || missing.empty();
  trouble_ = done.ok() ? "" : done.error().message;
}

Status KafkaReader::follow_new(const std::map<std::string, std::uint32_t>& counts) {
  const KafkaPartitions list(rd_kafka_topic_partition_list_new(1));
  for (const auto& [name, topic] : topics_) {
    const auto count = counts.find(name);
    const auto end = count == counts.end() ? 0 : static_cast<std::int32_t>(count->second);
    for (std::int32_t p = 0; p < end; ++p)
      if (!partitions_.contains({name, p}))
        rd_kafka_topic_partition_list_add(list.get(), name.c_str(), p)->offset = RD_KAFKA_OFFSET_BEGINNING;
  }
  if (list->cnt == 0) return {};
  rd_kafka_error_t* const failed = rd_kafka_incremental_assign(consumer_->client.get(), list.get());
  if (failed != nullptr) {
    const Error why{Errc::io_error, std::string("kafka: following: ") + rd_kafka_error_string(failed)};
    rd_kafka_error_destroy(failed);
    return why;
  }
  was_assigned_ = true;
  for (int i = 0; i < list->cnt; ++i) {
    const rd_kafka_topic_partition_t& p = list->elems[i];
    partitions_.try_emplace(Place{p.topic, p.partition}, make_partition(p.topic, RD_KAFKA_OFFSET_INVALID));
    if (on_assigned) on_assigned(topics_.at(p.topic), p.partition);
  }
  return {};
}

}  // namespace ff::transport
