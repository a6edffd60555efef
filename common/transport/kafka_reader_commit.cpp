// SPDX-License-Identifier: Apache-2.0
//
// Committed offsets of a Kafka reader, and what is done once a second: commits that failed are tried again, chunk
// sets that nobody completes are given up.
#include <algorithm>
#include <utility>

#include "common/base/clock.hpp"
#include "common/service/logging.hpp"
#include "common/transport/kafka_reader.hpp"

namespace ff::transport {
namespace {

constexpr int kCommitTimeoutMs = 2'000;
constexpr std::int64_t kHousekeepingIntervalNs = 1'000'000'000;

/// A commit that no later try can bring through. All else passes: the broker comes back, or the partition goes
/// to another reader, who reads again what was not committed.
bool is_final(rd_kafka_resp_err_t code) noexcept {
  switch (code) {
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE: return true;
    default: return false;
  }
}

}  // namespace

Status KafkaReader::commit(Topic topic, std::int32_t partition, std::int64_t next_offset) {
  const auto name = names_.find(topic);
  const auto found = name == names_.end() ? partitions_.end() : partitions_.find({name->second, partition});
  if (found == partitions_.end())
    return fail(Errc::refused, "commit to " + std::string(topic_word(topic)) + " partition " +
                                   std::to_string(partition) + ": this reader doesn't hold it");
  if (follows_) return fail(Errc::refused, "a follower commits nothing");
  if (next_offset > found->second.next_offset)
    return fail(Errc::out_of_range, "commit to " + name->second + " partition " + std::to_string(partition) +
                                        ": offset " + std::to_string(next_offset) + " was not read yet");
  const auto incomplete = found->second.assembly.first_incomplete_offset();
  found->second.commit_to = std::min(next_offset, incomplete.value_or(next_offset));
  // After a failure the next try is keep_house()'s: the caller must not wait for each of its partitions.
  return commit_fails_ ? Status{} : commit_wanted();
}

/// Commits what is wanted of all partitions in one request.
Status KafkaReader::commit_wanted() {
  const KafkaPartitions list(rd_kafka_topic_partition_list_new(1));
  for (const auto& [place, partition] : partitions_)
    if (partition.commit_to >= 0)
      rd_kafka_topic_partition_list_add(list.get(), place.first.c_str(), place.second)->offset =
          partition.commit_to;
  if (list->cnt == 0) return {};
  const KafkaQueue queue(rd_kafka_queue_new(consumer_->client.get()));
  auto code = rd_kafka_commit_queue(consumer_->client.get(), list.get(), queue.get(), nullptr, nullptr);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const KafkaEvent event(rd_kafka_queue_poll(queue.get(), kCommitTimeoutMs));
    code = event ? rd_kafka_event_error(event.get()) : RD_KAFKA_RESP_ERR__TIMED_OUT;
  }
  const bool failed_before = std::exchange(commit_fails_, code != RD_KAFKA_RESP_ERR_NO_ERROR);
  if (!commit_fails_) {
    if (failed_before) trouble_.clear();
    for (auto& [place, partition] : partitions_) partition.commit_to = RD_KAFKA_OFFSET_INVALID;
    return {};
  }
  Error why = kafka_error(code, "committing offsets");
  if (is_final(code)) return why;
  trouble_ = std::move(why.message);
  return {};
}

void KafkaReader::keep_house() {
  const std::int64_t now_ns = monotonic_now_ns();
  next_housekeeping_ns_ = now_ns + kHousekeepingIntervalNs;
  bound_assembly();
  if (commit_fails_) {
    const Status again = commit_wanted();
    if (!again.ok()) trouble_ = again.error().message;
  }
  for (auto& [place, partition] : partitions_) {
    look_at_standing(place, partition);
    if (partition.paused) partition.assembly.forgive(now_ns);
    const std::size_t given_up = partition.assembly.give_up_old(now_ns);
    if (given_up > 0)
      service::log_warning("incomplete chunk sets given up; their writer sends them again",
                           {{"topic", place.first}, {"partition", place.second}, {"sets", given_up}});
  }
}

}  // namespace ff::transport
