// SPDX-License-Identifier: Apache-2.0
//
// How a Kafka writer goes on after what librdkafka does not survive: a dead producer, a deleted topic, a broker that
// takes only smaller records.
#include <algorithm>
#include <utility>

#include "common/base/clock.hpp"
#include "common/service/logging.hpp"
#include "common/transport/kafka_writer.hpp"

namespace ff::transport {
namespace {

using std::chrono::nanoseconds;

constexpr std::int64_t kRecreateIntervalNs = 1'000'000'000;
constexpr std::int64_t kMakeTopicsIntervalNs = 2'000'000'000;
constexpr nanoseconds kMakeTopicsTimeout = std::chrono::seconds(2);
constexpr std::uint64_t kChunkBytesLeast = 8'000;

}  // namespace

void KafkaWriter::drop_client() {
  topics_.clear();
  client_.reset();  // waits for librdkafka's threads: from here on nobody points into the outstanding values
}

void KafkaWriter::recreate() {
  next_recreate_ns_ = monotonic_now_ns() + kRecreateIntervalNs;
  service::log_warning("kafka producer replaced, outstanding records are produced again",
                       {{"records", outstanding_.size()}, {"reason", trouble_}});
  drop_client();
  const Status made = make_producer();
  if (!made.ok()) {
    trouble_ = made.error().message;
    return;  // fatal_ stays set: tried again after the interval
  }
  fatal_ = false;
  trouble_.clear();
  for (const auto& [topic, name] : names_)
    topics_[topic].reset(rd_kafka_topic_new(client_.get(), name.c_str(), nullptr));
  unsent_.clear();
  for (const auto& [id, record] : outstanding_)
    if (std::ranges::find(refused_, id) == refused_.end()) unsent_.push_back(id);
}

/// The broker or the topic takes less than log.record_max promised: from now on values are cut into pieces of half
/// the size, this one too. The producer is replaced since it gathers records into requests of the old size.
/// False when the pieces are as small as they may be.
bool KafkaWriter::cut_smaller(const std::shared_ptr<KafkaDelivery>& delivery) {
  if (delivery->chunk_bytes <= kChunkBytesLeast) return false;
  if (chunk_bytes_ >= delivery->chunk_bytes) {
    chunk_bytes_ = std::max(kChunkBytesLeast, delivery->chunk_bytes / 2);
    fatal_ = true;
    trouble_ = "records are too large for " + names_.at(delivery->topic);
    service::log_warning("kafka takes no records of this size; values are cut smaller",
                         {{"topic", names_.at(delivery->topic)},
                          {"refused_bytes", delivery->chunk_bytes},
                          {"now_bytes", chunk_bytes_}});
  }
  delivery->error.reset();
  delivery->position = {};
  cut_and_add(delivery);
  return true;
}

/// Somebody deleted a topic that we write: it is made again, so that the path goes on.
void KafkaWriter::make_missing_topics() {
  next_making_ns_ = monotonic_now_ns() + kMakeTopicsIntervalNs;
  std::vector<std::pair<std::string, Topic>> wanted;
  for (const auto& [topic, name] : names_) wanted.emplace_back(name, topic);
  const auto counts = ensure_topics(client_.get(), wanted, options_, kMakeTopicsTimeout);
  if (!counts.ok()) {
    trouble_ = counts.error().message;
    return;
  }
  topic_missing_ = false;
  for (const auto& [topic, name] : names_) partitions_[topic] = counts->at(name);
  service::log_warning("a topic of the log was missing and is made again", {{"brokers", brokers_}});
}

}  // namespace ff::transport
