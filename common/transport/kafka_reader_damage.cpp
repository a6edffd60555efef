// SPDX-License-Identifier: Apache-2.0
//
// Bytes that cannot be read: librdkafka says that a batch's CRC is wrong, or a record comes that is not the next one,
// or a partition stands still although its log goes on. KafkaDamage decides; here is what it is told and what it asks
// for.
#include <algorithm>
#include <utility>

#include "common/base/clock.hpp"
#include "common/service/logging.hpp"
#include "common/transport/kafka_reader.hpp"

namespace ff::transport {
namespace {

/// Looks at a partition, one a second, after which it is taken to stand at bytes that librdkafka passes over in
/// silence (a batch whose length is wrong).
constexpr int kLooksWithoutMoveMax = 10;

}  // namespace

bool is_kafka_damage(rd_kafka_resp_err_t code) noexcept {
  switch (code) {
    case RD_KAFKA_RESP_ERR__BAD_MSG:          // CRC
    case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:  // format version of the batch
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
    case RD_KAFKA_RESP_ERR_INVALID_MSG: return true;  // the broker found it
    default: return false;
  }
}

KafkaPartition KafkaReader::make_partition(const std::string& topic, std::int64_t first) const {
  const auto known = topics_.find(topic);
  const KafkaDamageLimits limits{.patience = options_.damage_patience,
                                 .tries = options_.damage_tries,
                                 .has_holes = known != topics_.end() && topic_is_state(known->second)};
  return {patience_, limits, first};
}

/// As of the last answer to a fetch; -1: not known.
std::int64_t KafkaReader::end_of_log(const Place& place) const {
  std::int64_t oldest = -1, end = -1;
  const auto code = rd_kafka_get_watermark_offsets(consumer_->client.get(), place.first.c_str(), place.second,
                                                   &oldest, &end);
  return code == RD_KAFKA_RESP_ERR_NO_ERROR ? end : -1;
}

/// Where a partition begins whose bytes don't tell.
std::int64_t KafkaReader::oldest_offset(const Place& place, std::int64_t otherwise) const {
  std::int64_t oldest = -1, end = -1;
  const auto code = rd_kafka_query_watermark_offsets(consumer_->client.get(), place.first.c_str(),
                                                     place.second, &oldest, &end, kKafkaRequestTimeoutMs);
  return code == RD_KAFKA_RESP_ERR_NO_ERROR ? oldest : otherwise;
}

/// Whether a record of this offset can't be the next one: only compacted topics have holes.
bool KafkaReader::jumps(const Place& place, const KafkaPartition& partition, std::int64_t offset) const {
  return partition.next_offset >= 0 && offset > partition.next_offset &&
         !topic_is_state(topics_.at(place.first));
}

/// False: the message is not to be used. Errors: crc_mismatch (records are skipped; on_gap has said which).
Result<bool> KafkaReader::pass_damage(const Place& place, KafkaPartition& partition,
                                      const rd_kafka_message_t& message) {
  const bool is_bad = is_kafka_damage(message.err);
  if (!is_bad && !partition.damage.is_active() && !jumps(place, partition, message.offset)) return true;
  if (!partition.damage.is_active()) {
    if (partition.next_offset < 0) partition.next_offset = oldest_offset(place, message.offset);
    service::log_warning("kafka: damaged bytes are fetched again",
                         {{"topic", place.first},
                          {"partition", place.second},
                          {"offset", partition.next_offset},
                          {"reason", is_bad ? rd_kafka_message_errstr(&message) : "records are left out"}});
  }
  const std::int64_t end = end_of_log(place), now_ns = monotonic_now_ns();
  const bool comes_well = !is_bad && partition.damage.is_active();
  const auto verdict = comes_well ? partition.damage.came(message.offset, end, now_ns)
                                  : partition.damage.bad(partition.next_offset, end, now_ns);
  FF_TRY(follow_verdict(place, partition, verdict));
  return verdict == KafkaDamage::Verdict::take;
}

Status KafkaReader::follow_verdict(const Place& place, KafkaPartition& partition,
                                   KafkaDamage::Verdict verdict) {
  KafkaDamage& damage = partition.damage;
  meets_damage_ = meets_damage_ || damage.is_active();
  if (verdict != KafkaDamage::Verdict::skip) {
    if (damage.is_active()) partition.at_end = false;
    const auto from = damage.take_fetch(monotonic_now_ns());
    return from ? fetch_from(place, *from) : Status{};
  }
  partition.next_offset = damage.gap_end();
  const Status fetched = fetch_from(place, damage.gap_end());
  if (!fetched.ok()) trouble_ = fetched.error().message;
  const auto& [topic, number] = place;
  if (on_gap)
    on_gap({topics_.at(topic), number, damage.gap_first(), damage.gap_end(), LogGap::Cause::damaged});
  return fail(Errc::crc_mismatch, "kafka: " + topic + " partition " + std::to_string(number) + ": records " +
                                      std::to_string(damage.gap_first()) + " to " +
                                      std::to_string(damage.gap_end()) +
                                      " (not included) are damaged on the broker's disk and are skipped");
}

/// What is due for partitions that meet damage: a fetch that had to wait, or the verdict on one without answer.
Status KafkaReader::try_damaged() {
  meets_damage_ = false;
  for (auto& [place, partition] : partitions_) {
    if (!partition.damage.is_active()) continue;
    meets_damage_ = true;
    const auto verdict = partition.damage.nothing(end_of_log(place), monotonic_now_ns());
    FF_TRY(follow_verdict(place, partition, verdict));
  }
  return {};
}

void KafkaReader::look_at_standing(const Place& place, KafkaPartition& partition) {
  const bool should_move = !partition.paused && !partition.at_end && !partition.damage.is_active() &&
                           partition.next_offset >= 0 && end_of_log(place) > partition.next_offset;
  const bool moved =
      std::exchange(partition.looked_at_offset, partition.next_offset) != partition.next_offset;
  partition.looks_without_move = should_move && !moved ? partition.looks_without_move + 1 : 0;
  if (partition.looks_without_move < kLooksWithoutMoveMax) return;
  partition.looks_without_move = 0;
  trouble_ = "kafka: " + place.first + " partition " + std::to_string(place.second) +
             " stands still at offset " + std::to_string(partition.next_offset) + " although its log goes on";
  const auto verdict = partition.damage.bad(partition.next_offset, end_of_log(place), monotonic_now_ns());
  const Status fetched = follow_verdict(place, partition, verdict);
  if (!fetched.ok()) trouble_ = fetched.error().message;
}

/// Taking the partition anew starts its fetcher in every state, and what it had fetched before is dropped.
Status KafkaReader::fetch_from(const Place& place, std::int64_t offset) {
  const KafkaPartitions list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), place.first.c_str(), place.second)->offset = offset;
  rd_kafka_error_t* const left = rd_kafka_incremental_unassign(consumer_->client.get(), list.get());
  if (left != nullptr) rd_kafka_error_destroy(left);  // the last try got no further than this
  rd_kafka_error_t* const failed = rd_kafka_incremental_assign(consumer_->client.get(), list.get());
  if (failed == nullptr) return {};
  const Error why{Errc::io_error, std::string("kafka: ") + rd_kafka_error_string(failed)};
  rd_kafka_error_destroy(failed);
  return why;
}

}  // namespace ff::transport
