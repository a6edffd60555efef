// SPDX-License-Identifier: Apache-2.0
//
// From Kafka's messages to records: chunk sets are put together within a bound on their memory. Messages that are
// no records (ends, errors) are told apart here; what a missing offset means is in kafka_reader_gaps.cpp.
#include <algorithm>
#include <utility>

#include "common/base/clock.hpp"
#include "common/transport/kafka_reader.hpp"

namespace ff::transport {

Result<std::optional<LogRecord>> KafkaReader::take(const Message& message) {
  const rd_kafka_message_t& m = *message;
  const bool is_record = m.err == RD_KAFKA_RESP_ERR_NO_ERROR;
  if (!is_record && m.err != RD_KAFKA_RESP_ERR__PARTITION_EOF && !is_kafka_damage(m.err))
    return take_error(m);
  if (is_record) trouble_.clear();
  const Place place{rd_kafka_topic_name(m.rkt), m.partition};
  const auto found = partitions_.find(place);
  if (found == partitions_.end()) return std::optional<LogRecord>{};  // lost meanwhile
  KafkaPartition& partition = found->second;
  if (partition.refused_offset) {
    const std::int64_t oldest = is_kafka_damage(m.err) ? oldest_offset(place, m.offset) : m.offset;
    Status told = tell_gap(place, partition, oldest);
    if (!told.ok()) {
      held_ = message;
      return std::move(told).error();
    }
  }
  FF_ASSIGN(const bool usable, pass_damage(place, partition, m));
  if (!usable) return std::optional<LogRecord>{};
  if (is_record) return take_record(message, partition);
  partition.at_end = true;
  partition.next_offset = m.offset;
  return std::optional<LogRecord>{};
}

Result<std::optional<LogRecord>> KafkaReader::take_record(const Message& message, KafkaPartition& partition) {
  const rd_kafka_message_t& m = *message;
  const std::int64_t offset = m.offset;
  partition.next_offset = offset + 1;
  partition.at_end = false;
  LogRecord record{
      topics_.at(rd_kafka_topic_name(m.rkt)),
      {m.partition, offset},
      offset,
      std::string(static_cast<const char*>(m.key), m.key == nullptr ? 0 : m.key_len),
      Payload(message, ByteSpan(static_cast<const std::byte*>(m.payload), m.payload == nullptr ? 0 : m.len))};
  rd_kafka_headers_t* headers = nullptr;
  const void* chunk_bytes = nullptr;
  std::size_t chunk_header_bytes = 0;
  const bool chunked = rd_kafka_message_headers(&m, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR &&
                       rd_kafka_header_get_last(headers, kChunkHeaderName, &chunk_bytes,
                                                &chunk_header_bytes) == RD_KAFKA_RESP_ERR_NO_ERROR;
  if (!chunked) return std::optional(std::move(record));
  FF_ASSIGN(const ChunkHeader chunk,
            unpack_chunk_header({static_cast<const std::byte*>(chunk_bytes), chunk_header_bytes}));
  FF_ASSIGN(auto whole, partition.assembly.add(chunk, std::move(record.value), offset, monotonic_now_ns()));
  bound_assembly();
  if (!whole) return std::optional<LogRecord>{};
  record.first_offset = whole->first_offset;
  record.value = std::move(whole->value);
  record.key.resize(std::min<std::size_t>(record.key.size(), chunk.key_bytes));
  return std::optional(std::move(record));
}

Result<std::optional<LogRecord>> KafkaReader::take_error(const rd_kafka_message_t& message) {
  const std::string topic = message.rkt == nullptr ? "" : rd_kafka_topic_name(message.rkt);
  switch (message.err) {
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: {
      FF_TRY(restart({topic, message.partition}, message.offset));
      return std::optional<LogRecord>{};
    }
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
      return fail(Errc::refused,
                  "kafka: this reader is out of its group for good: another one has taken its name \"" +
                      options_.member + "\" (" + rd_kafka_message_errstr(&message) + ")");
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
      return fail(Errc::disconnected, "kafka: this reader was silent too long and lost its partitions");
    default:
      // Not there yet, or the broker is away: librdkafka goes on trying by itself.
      trouble_ = std::string("kafka: ") + rd_kafka_message_errstr(&message);
      return std::optional<LogRecord>{};
  }
}

std::uint64_t KafkaReader::held_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [place, partition] : partitions_) bytes += partition.assembly.held_bytes();
  return bytes;
}

/// Keeps the memory of incomplete sets within bounds without dropping any: one partition after the other is
/// read until its set is whole, or given up since its writer is gone.
void KafkaReader::bound_assembly() {
  const std::uint64_t held = held_bytes();
  if (!holds_back_ && held > options_.assembly_bytes_max) {
    const auto fullest = std::ranges::max_element(
        partitions_, {}, [](const auto& entry) { return entry.second.assembly.held_bytes(); });
    hold_back(fullest->first);
  } else if (holds_back_ && held <= options_.assembly_bytes_max) {
    hold_back(std::nullopt);
  }
}

/// Pauses all partitions but one, or none. What librdkafka has fetched of a paused one it fetches again later.
void KafkaReader::hold_back(const std::optional<Place>& all_but) {
  holds_back_ = all_but.has_value();
  const KafkaPartitions pause(rd_kafka_topic_partition_list_new(1)),
      resume(rd_kafka_topic_partition_list_new(1));
  for (auto& [place, partition] : partitions_) {
    const bool wanted = holds_back_ && place != *all_but;
    if (std::exchange(partition.paused, wanted) == wanted) continue;
    rd_kafka_topic_partition_list_add(wanted ? pause.get() : resume.get(), place.first.c_str(), place.second);
  }
  if (pause->cnt > 0) rd_kafka_pause_partitions(consumer_->client.get(), pause.get());
  if (resume->cnt > 0) rd_kafka_resume_partitions(consumer_->client.get(), resume.get());
}

bool KafkaReader::caught_up() const {
  if (!was_assigned_ || (follows_ && !all_found_)) return false;
  const auto at_end = [](const auto& entry) { return entry.second.at_end; };
  if (!std::ranges::all_of(partitions_, at_end)) return false;
  // The ends are as of the last fetch; only the broker knows them as of now.
  return std::ranges::all_of(partitions_, [this](const auto& entry) {
    std::int64_t oldest = 0, end = 0;
    const auto code =
        rd_kafka_query_watermark_offsets(consumer_->client.get(), entry.first.first.c_str(),
                                         entry.first.second, &oldest, &end, kKafkaRequestTimeoutMs);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR && entry.second.next_offset >= end;
  });
}

}  // namespace ff::transport
