// SPDX-License-Identifier: Apache-2.0
//
// Offsets that should come and that the log no longer has: reading begins anew at the oldest record, and what lies
// between is told once, when that record has come.
#include <utility>

#include "common/transport/kafka_reader.hpp"

namespace ff::transport {

/// A fetcher has stopped since the log has no record with its offset. It may be one that damaged bytes have told it:
/// then it goes on where it should be.
Status KafkaReader::restart(const Place& place, std::int64_t refused) {
  const auto found = partitions_.find(place);
  if (found == partitions_.end()) return {};
  const KafkaPartition& partition = found->second;
  const std::int64_t wanted = partition.damage.is_active() ? partition.damage.place() : partition.next_offset;
  if (wanted >= 0 && refused >= 0 && refused != wanted) return fetch_from(place, wanted);
  return begin_at_oldest(place);
}

/// The log has no record with the offset that should come next. What was missed is known when the first record comes.
Status KafkaReader::begin_at_oldest(const Place& place) {
  KafkaPartition& partition = partitions_.at(place);
  partition.damage.forget();
  partition.at_end = false;
  if (partition.next_offset >= 0)
    partition.refused_offset = partition.next_offset;
  else
    partition.refused_offset = first_promised(place.first);
  return fetch_from(place, RD_KAFKA_OFFSET_BEGINNING);
}

/// A group that has committed nothing is owed the log from its very first record; of a compacted topic, where old
/// values give way to new ones, and outside of groups nothing is owed.
std::optional<std::int64_t> KafkaReader::first_promised(const std::string& topic) const {
  const auto known = topics_.find(topic);
  if (follows_ || known == topics_.end() || topic_is_state(known->second)) return std::nullopt;
  return 0;
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
