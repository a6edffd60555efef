// SPDX-License-Identifier: Apache-2.0
//
// Offsets that should come and that the log no longer has: reading begins anew at the oldest record, and what lies
// between is told once, when that record has come.
#include <utility>

#include "common/transport/kafka_reader.hpp"

namespace ff::transport {

/// The log has no record with the offset that should come next. Its fetcher has stopped; taking the partition
/// anew is what starts it again. What was missed is known when the first record comes.
Status KafkaReader::begin_at_oldest(const Place& place) {
  const auto found = partitions_.find(place);
  if (found == partitions_.end()) return {};
  const auto& [topic, partition] = place;
  const KafkaPartitions list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = RD_KAFKA_OFFSET_BEGINNING;
  for (auto* change : {&rd_kafka_incremental_unassign, &rd_kafka_incremental_assign}) {
    rd_kafka_error_t* const failed = change(consumer_->client.get(), list.get());
    if (failed == nullptr) continue;
    const Error why{Errc::io_error, std::string("kafka: ") + rd_kafka_error_string(failed)};
    rd_kafka_error_destroy(failed);
    return why;
  }
  found->second.at_end = false;
  // A new group expects nothing: it was promised nothing before the oldest record.
  if (found->second.next_offset >= 0) found->second.refused_offset = found->second.next_offset;
  return {};
}

/// Says once what lies between the offset that was expected and the oldest record that the log has.
Status KafkaReader::tell_gap(const Place& place, KafkaPartition& partition, std::int64_t oldest) {
  const std::int64_t expected = *std::exchange(partition.refused_offset, std::nullopt);
  partition.next_offset = oldest;
  if (oldest == expected) return {};
  const auto& [topic, number] = place;
  const std::string where = "kafka: " + topic + " partition " + std::to_string(number) + ": ";
  if (oldest < expected)
    return fail(Errc::out_of_range, where + "the log ends before offset " + std::to_string(expected) +
                                        ", which this group had reached: the topic was made anew or lost its "
                                        "end; it is read from its oldest record");
  if (on_gap) on_gap({topics_.at(topic), number, expected, oldest, LogGap::Cause::freed});
  return fail(Errc::out_of_range, where + "records " + std::to_string(expected) + " to " +
                                      std::to_string(oldest) +
                                      " (not included) were freed before this group had read them");
}

}  // namespace ff::transport
