// SPDX-License-Identifier: Apache-2.0
//
// Opening a Kafka writer, and the way of a value to librdkafka: cut into chunks where it is large, handed over in
// order, held until its report.
#include "common/transport/kafka_writer.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/clock.hpp"
#include "common/base/crc32c.hpp"

namespace ff::transport {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kOpenTimeout = std::chrono::seconds(10);
constexpr std::uint64_t kValueBytesMax = 1ull << 30;

}  // namespace

KafkaSettings KafkaWriter::settings() const {
  const std::string record_max =
      std::to_string(chunk_bytes_ + std::min(kKafkaRecordOverheadBytes, chunk_bytes_ / 8 + 2'000));
  // The queue limit is ours (produce() says queue_full before librdkafka would), so that a chunk set is taken
  // whole or not at all.
  const std::uint64_t queue_kbytes =
      std::min<std::uint64_t>(options_.queue_bytes / 512 + (1u << 20), 2'097'151);
  return {{"bootstrap.servers", brokers_},
          {"client.id", "foreframe-collector"},
          {"enable.idempotence", "true"},
          {"acks", "all"},
          {"max.in.flight.requests.per.connection", "5"},
          {"compression.type", "none"},  // blocks are compressed already; it would cost the no-copy path
          {"message.max.bytes", record_max},
          {"batch.size", record_max},
          {"linger.ms", "2"},
          {"socket.timeout.ms", "10000"},                   // a frozen broker is left after so long
          {"topic.metadata.refresh.interval.ms", "10000"},  // and the new leader found
          {"message.timeout.ms", std::to_string(to_milliseconds(options_.delivery_timeout))},
          {"queue.buffering.max.kbytes", std::to_string(queue_kbytes)},
          {"queue.buffering.max.messages", "1000000"},
          {"socket.nagle.disable", "true"},
          {"statistics.interval.ms", "1000"},
          {"log.connection.close", "false"}};
}

Status KafkaWriter::make_producer() {
  FF_ASSIGN(KafkaConf conf, make_conf(settings(), options_.kafka));
  rd_kafka_conf_set_opaque(conf.get(), this);
  rd_kafka_conf_set_dr_msg_cb(conf.get(), &on_report);
  rd_kafka_conf_set_error_cb(conf.get(), &on_error);
  rd_kafka_conf_set_stats_cb(conf.get(), &on_statistics);
  FF_ASSIGN(client_, make_client(RD_KAFKA_PRODUCER, std::move(conf)));
  return {};
}

Status KafkaWriter::open(const LogOptions& options, const LogUrl& url, const std::vector<Topic>& topics) {
  options_ = options;
  chunk_bytes_ = options.record_bytes_max;
  brokers_ = url.brokers;
  if (options.record_bytes_max < 1024)
    return fail(Errc::invalid_argument, "kafka: records of at most " +
                                            std::to_string(options.record_bytes_max) +
                                            " bytes; at least 1024 are needed");
  FF_TRY(make_producer());
  std::vector<std::pair<std::string, Topic>> wanted;
  for (const Topic topic : topics) {
    FF_ASSIGN(names_[topic], topic_name(options, topic));
    wanted.emplace_back(names_[topic], topic);
  }
  auto counts =
      ensure_topics(client_.get(), wanted, options, std::min(kOpenTimeout, options.delivery_timeout));
  if (!counts.ok()) {
    if (counts.error().code == Errc::timed_out)
      return fail(Errc::timed_out, "no broker answers at " + brokers_ + " (" + counts.error().message + ")");
    return std::move(counts).error();
  }
  for (const Topic topic : topics) partitions_[topic] = counts->at(names_[topic]);
  for (const auto& [topic, name] : names_)
    topics_[topic].reset(rd_kafka_topic_new(client_.get(), name.c_str(), nullptr));
  return {};
}

Result<std::uint32_t> KafkaWriter::partition_count(Topic topic) {
  const auto found = partitions_.find(topic);
  if (found == partitions_.end())
    return fail(Errc::invalid_argument, "topic " + std::string(topic_word(topic)) + " was not opened");
  return found->second;
}

Status KafkaWriter::produce(Topic topic, std::uint32_t partition, std::string_view key, Payload value,
                            Delivered delivered) {
  FF_ASSIGN(const std::uint32_t partitions, partition_count(topic));
  if (partition >= partitions)
    return fail(Errc::out_of_range,
                "partition " + std::to_string(partition) + " of " + std::to_string(partitions));
  if (value.size() > kValueBytesMax)
    return fail(Errc::too_large, "record of " + std::to_string(value.size()) + " bytes; at most 1 GiB");
  if (outstanding_bytes_ > 0 && outstanding_bytes_ + value.size() > options_.queue_bytes)
    return fail(Errc::queue_full,
                "kafka: " + std::to_string(outstanding_bytes_) + " bytes wait for their reports");

  auto delivery = std::make_shared<KafkaDelivery>();
  delivery->topic = topic;
  delivery->partition = static_cast<std::int32_t>(partition);
  delivery->key = key;
  delivery->value = std::move(value);
  delivery->delivered = std::move(delivered);
  cut_and_add(delivery);
  hand_over_unsent();
  return {};
}

void KafkaWriter::cut_and_add(const std::shared_ptr<KafkaDelivery>& delivery) {
  const Payload& value = delivery->value;
  const std::uint64_t chunk_bytes = delivery->chunk_bytes = chunk_bytes_;
  if (value.size() <= chunk_bytes) {
    delivery->records_left = 1;
    return add({delivery->key, value, {}, delivery});
  }
  ChunkHeader chunk{Uuid::mint(),
                    0,
                    0,
                    value.size(),
                    crc32c(value.bytes()),
                    static_cast<std::uint32_t>(delivery->key.size())};
  chunk.count = static_cast<std::uint32_t>((chunk.total_bytes + chunk_bytes - 1) / chunk_bytes);
  delivery->records_left = chunk.count;
  for (; chunk.index < chunk.count; ++chunk.index) {
    const std::uint64_t at = chunk.index * chunk_bytes;
    add({chunk_key(delivery->key, chunk.index), value.part(at, std::min(chunk_bytes, chunk.total_bytes - at)),
         chunk, delivery});
  }
}

void KafkaWriter::add(KafkaOutstanding record) {
  outstanding_bytes_ += record.value.size();
  unsent_.push_back(next_id_);
  outstanding_.emplace(next_id_++, std::move(record));
}

void KafkaWriter::hand_over_unsent() {
  while (!unsent_.empty() && !fatal_ && client_) {
    if (!hand_over(unsent_.front(), outstanding_.at(unsent_.front()))) return;
    unsent_.pop_front();
  }
}

/// False when librdkafka can't take it now.
bool KafkaWriter::hand_over(std::uint64_t id, const KafkaOutstanding& record) {
  std::array<std::byte, kChunkHeaderBytes> packed{};
  rd_kafka_headers_t* headers = nullptr;
  if (record.chunk) {
    packed = pack(*record.chunk);
    headers = rd_kafka_headers_new(1);
    rd_kafka_header_add(headers, kChunkHeaderName, -1, packed.data(), static_cast<ssize_t>(packed.size()));
  }
  // An empty value goes out as null, Kafka's word for "forget this key".
  void* const value = record.value.empty() ? nullptr : const_cast<std::byte*>(record.value.bytes().data());
  const Topic topic = record.delivery->topic;
  const rd_kafka_resp_err_t code = rd_kafka_producev(
      client_.get(), RD_KAFKA_V_RKT(topics_.at(topic).get()),
      RD_KAFKA_V_PARTITION(record.delivery->partition), RD_KAFKA_V_MSGFLAGS(0),
      RD_KAFKA_V_KEY(record.key.data(), record.key.size()), RD_KAFKA_V_VALUE(value, record.value.size()),
      RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(reinterpret_cast<void*>(id)), RD_KAFKA_V_END);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return true;
  if (headers != nullptr) rd_kafka_headers_destroy(headers);
  if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) return false;
  if (code == RD_KAFKA_RESP_ERR__FATAL) {
    fatal_ = true;
    return false;
  }
  record.delivery->error = kafka_error(code, "producing to " + names_.at(topic));
  refused_.push_back(id);
  return true;
}

void KafkaWriter::poll(nanoseconds timeout) {
  while (!refused_.empty()) {
    const std::uint64_t id = refused_.front();
    refused_.pop_front();
    finish(id, nullptr, outstanding_.at(id).delivery->error);
  }
  hand_over_unsent();
  if (client_) rd_kafka_poll(client_.get(), outstanding_.empty() ? 0 : to_milliseconds(timeout));
  if (fatal_ && monotonic_now_ns() >= next_recreate_ns_) recreate();
  if (topic_missing_ && !fatal_ && monotonic_now_ns() >= next_making_ns_) make_missing_topics();
  hand_over_unsent();
}

Status KafkaWriter::flush(nanoseconds timeout) {
  const std::int64_t deadline_ns = monotonic_now_ns() + timeout.count();
  while (!outstanding_.empty()) {
    if (monotonic_now_ns() >= deadline_ns)
      return fail(Errc::timed_out,
                  "kafka: " + std::to_string(outstanding_.size()) + " records have no report yet");
    poll(std::chrono::milliseconds(20));
  }
  return {};
}

Result<std::unique_ptr<LogWriter>> open_kafka_writer(const LogOptions& options, const LogUrl& url,
                                                     const std::vector<Topic>& topics) {
  auto writer = std::make_unique<KafkaWriter>();
  FF_TRY(writer->open(options, url, topics));
  return std::unique_ptr<LogWriter>(std::move(writer));
}

}  // namespace ff::transport
