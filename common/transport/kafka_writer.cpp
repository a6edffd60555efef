// SPDX-License-Identifier: Apache-2.0
//
// The log on Apache Kafka, writing end: an idempotent producer that never copies a value and calls nothing
// delivered before its report. When librdkafka declares the producer dead (a "fatal" error after a broker
// failed over), a new one takes its place and everything outstanding is produced again. A topic that was
// deleted is made again; a broker that takes only smaller records than was said gets smaller ones.
#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <utility>

#include "common/base/check.hpp"
#include "common/base/clock.hpp"
#include "common/base/crc32c.hpp"
#include "common/service/logging.hpp"
#include "common/transport/chunk_set.hpp"
#include "common/transport/kafka_handle.hpp"
#include "common/transport/log_url.hpp"

namespace ff::transport {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kOpenTimeout = std::chrono::seconds(10);
constexpr std::int64_t kRecreateIntervalNs = 1'000'000'000;
constexpr std::int64_t kMakeTopicsIntervalNs = 2'000'000'000;
constexpr nanoseconds kMakeTopicsTimeout = std::chrono::seconds(2);
constexpr std::uint64_t kValueBytesMax = 1ull << 30;
constexpr std::uint64_t kChunkBytesLeast = 8'000;

/// What the caller handed over: one record, or all chunks of one.
struct Delivery {
  Topic topic = Topic::blocks;
  std::int32_t partition = 0;
  std::string key;
  Payload value;
  LogWriter::Delivered delivered;
  std::uint64_t chunk_bytes = 0;  ///< that it was cut by
  std::uint32_t records_left = 0;
  LogPosition position;
  std::optional<Error> error;
};

/// One Kafka record that has no report yet. Keeps the value's owner alive: librdkafka only points into it.
struct Outstanding {
  std::string key;
  Payload value;
  std::optional<ChunkHeader> chunk;
  std::shared_ptr<Delivery> delivery;
};

class KafkaWriter final : public LogWriter {
 public:
  Status open(const LogOptions& options, const LogUrl& url, const std::vector<Topic>& topics);
  ~KafkaWriter() override { drop_client(); }

  Status produce(Topic topic, std::uint32_t partition, std::string_view key, Payload value,
                 Delivered delivered) override;
  void poll(nanoseconds timeout) override;
  Status flush(nanoseconds timeout) override;
  Result<std::uint32_t> partition_count(Topic topic) override;
  std::string trouble() const override { return trouble_; }

 private:
  KafkaSettings settings() const;
  Status make_producer();
  void drop_client();
  void recreate();
  void hand_over_unsent();
  bool hand_over(std::uint64_t id, const Outstanding& record);
  void cut_and_add(const std::shared_ptr<Delivery>& delivery);
  void add(Outstanding record);
  bool cut_smaller(const std::shared_ptr<Delivery>& delivery);
  void make_missing_topics();
  void produce_again(std::uint64_t id);
  void finish(std::uint64_t id, const rd_kafka_message_t* report, std::optional<Error> error);

  static void on_report(rd_kafka_t* client, const rd_kafka_message_t* report, void* self);
  static void on_error(rd_kafka_t* client, int code, const char* reason, void* self);
  static int on_statistics(rd_kafka_t* client, char* json, std::size_t bytes, void* self);

  LogOptions options_;
  std::uint64_t chunk_bytes_ =
      0;  ///< larger values are cut; options_.record_bytes_max or what a broker takes
  std::string brokers_;
  std::map<Topic, std::string> names_;
  std::map<Topic, std::uint32_t> partitions_;
  KafkaClient client_;
  std::map<Topic, KafkaTopic> topics_;

  std::map<std::uint64_t, Outstanding> outstanding_;  ///< in order of produce()
  std::deque<std::uint64_t> unsent_;                  ///< those that librdkafka has not taken (again)
  std::deque<std::uint64_t> refused_;                 ///< those it will never take; reported in poll()
  std::uint64_t next_id_ = 1;
  std::uint64_t outstanding_bytes_ = 0;
  std::uint64_t produced_again_ = 0;
  bool fatal_ = false;
  bool topic_missing_ = false;
  std::int64_t next_making_ns_ = 0;
  std::int64_t next_recreate_ns_ = 0;
  std::string trouble_;
};

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

  auto delivery = std::make_shared<Delivery>();
  delivery->topic = topic;
  delivery->partition = static_cast<std::int32_t>(partition);
  delivery->key = key;
  delivery->value = std::move(value);
  delivery->delivered = std::move(delivered);
  cut_and_add(delivery);
  hand_over_unsent();
  return {};
}

void KafkaWriter::cut_and_add(const std::shared_ptr<Delivery>& delivery) {
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

void KafkaWriter::add(Outstanding record) {
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
bool KafkaWriter::hand_over(std::uint64_t id, const Outstanding& record) {
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

void KafkaWriter::finish(std::uint64_t id, const rd_kafka_message_t* report, std::optional<Error> error) {
  auto node = outstanding_.extract(id);
  FF_CHECK(!node.empty());
  Outstanding& record = node.mapped();
  outstanding_bytes_ -= record.value.size();
  Delivery& delivery = *record.delivery;
  if (error) delivery.error = std::move(error);
  if (report != nullptr) {
    const LogPosition position{report->partition, report->offset};
    if (position.offset >= delivery.position.offset) delivery.position = position;
  }
  if (--delivery.records_left > 0) return;
  if (delivery.error && delivery.error->code == Errc::too_large && cut_smaller(record.delivery)) return;
  if (!delivery.delivered) return;
  delivery.delivered(delivery.error ? Result<LogPosition>(*delivery.error)
                                    : Result<LogPosition>(delivery.position));
}

/// The broker or the topic takes less than log.record_max promised: from now on values are cut into pieces of half
/// the size, this one too. The producer is replaced since it gathers records into requests of the old size.
/// False when the pieces are as small as they may be.
bool KafkaWriter::cut_smaller(const std::shared_ptr<Delivery>& delivery) {
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

void KafkaWriter::on_report(rd_kafka_t* client, const rd_kafka_message_t* report, void* opaque) {
  auto* const self = static_cast<KafkaWriter*>(opaque);
  const auto id = reinterpret_cast<std::uint64_t>(report->_private);
  if (report->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    self->trouble_.clear();
    if (report->offset < 0) {
      self->produce_again(id);
    } else {
      self->finish(id, report, std::nullopt);
    }
    return;
  }
  // A dead producer's reports say nothing about the record: it stays outstanding for the next producer.
  std::array<char, 256> why{};
  if (self->fatal_ || rd_kafka_fatal_error(client, why.data(), why.size()) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    self->fatal_ = true;
    return;
  }
  Error error = kafka_error(report->err, "writing to " + std::string(rd_kafka_topic_name(report->rkt)));
  self->trouble_ = error.message;
  if (error.code == Errc::not_found) self->topic_missing_ = true;
  self->finish(id, nullptr, std::move(error));
}

/// A report of success without an offset: the broker answered "duplicate sequence", and librdkafka takes that
/// for delivered. It need not be. A broker that knows nothing of this producer yet (new topic, new leader)
/// takes any first sequence: when the first batch fails and the second is stored, the first one's retry is
/// called a duplicate although it is nowhere. Seen on Kafka 3.9; the record goes out once more.
void KafkaWriter::produce_again(std::uint64_t id) {
  ++produced_again_;
  service::log_warning("kafka called a record a duplicate and named no offset; it is produced again",
                       {{"records_so_far", produced_again_}});
  unsent_.push_back(id);
}

void KafkaWriter::on_error(rd_kafka_t* client, int code, const char* reason, void* opaque) {
  auto* const self = static_cast<KafkaWriter*>(opaque);
  if (code == RD_KAFKA_RESP_ERR__FATAL) {
    std::array<char, 256> why{};
    rd_kafka_fatal_error(client, why.data(), why.size());
    self->fatal_ = true;
    self->trouble_ = std::string("kafka producer is being replaced: ") + why.data();
    return;
  }
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) self->trouble_ = "no broker answers at " + self->brokers_;
  if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL) self->trouble_ = reason;
}

/// librdkafka tells when all brokers are gone but not when one is back; its statistics do.
int KafkaWriter::on_statistics(rd_kafka_t* /*client*/, char* json, std::size_t bytes, void* opaque) {
  auto* const self = static_cast<KafkaWriter*>(opaque);
  const bool connected = std::string_view(json, bytes).find("\"state\":\"UP\"") != std::string_view::npos;
  if (connected && self->trouble_.starts_with("no broker")) self->trouble_.clear();
  return 0;
}

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

}  // namespace

Result<std::unique_ptr<LogWriter>> open_kafka_writer(const LogOptions& options, const LogUrl& url,
                                                     const std::vector<Topic>& topics) {
  auto writer = std::make_unique<KafkaWriter>();
  FF_TRY(writer->open(options, url, topics));
  return std::unique_ptr<LogWriter>(std::move(writer));
}

}  // namespace ff::transport
