// SPDX-License-Identifier: Apache-2.0
//
// The log on Apache Kafka, reading end: a member of a consumer group that moves its committed offset only
// when told to, never skips silently (auto.offset.reset = error), and puts chunk sets together again.
#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <utility>

#include "common/base/clock.hpp"
#include "common/service/logging.hpp"
#include "common/transport/chunk_set.hpp"
#include "common/transport/kafka_handle.hpp"
#include "common/transport/log_url.hpp"

namespace ff::transport {
namespace {

using std::chrono::nanoseconds;

constexpr int kRequestTimeoutMs = 5'000;
constexpr std::uint64_t kAssemblyBytesMax = 512ull << 20;
constexpr std::int64_t kHousekeepingIntervalNs = 1'000'000'000;

/// The consumer outlives the reader as long as a record is in use: librdkafka's messages point into it.
struct Consumer {
  KafkaClient client;
};

struct Partition {
  ChunkAssembly assembly;
  std::int64_t next_offset = RD_KAFKA_OFFSET_INVALID;  ///< of the record that should come next
  bool at_end = false;
};

class KafkaReader final : public LogReader {
 public:
  Status open(const LogOptions& options, const LogUrl& url, const std::string& group,
              const std::vector<Topic>& topics);
  ~KafkaReader() override;

  Result<std::optional<LogRecord>> poll(nanoseconds timeout) override;
  Status commit(Topic topic, std::int32_t partition, std::int64_t next_offset) override;
  bool caught_up() const override;
  std::string trouble() const override { return trouble_; }

 private:
  using Place = std::pair<std::string, std::int32_t>;
  using Message = std::shared_ptr<rd_kafka_message_t>;

  void assign(rd_kafka_topic_partition_list_t* partitions);
  void revoke(const rd_kafka_topic_partition_list_t* partitions);
  Result<std::optional<LogRecord>> take(rd_kafka_message_t* raw);
  Result<std::optional<LogRecord>> take_record(const Message& message, Partition& partition);
  Result<std::optional<LogRecord>> take_error(const rd_kafka_message_t& message);
  Status skip_freed(const Place& place);
  void keep_house();

  static void on_rebalance(rd_kafka_t* client, rd_kafka_resp_err_t code,
                           rd_kafka_topic_partition_list_t* partitions, void* self);
  static void on_error(rd_kafka_t* client, int code, const char* reason, void* self);
  static int on_statistics(rd_kafka_t* client, char* json, std::size_t bytes, void* self);

  std::string brokers_;
  nanoseconds patience_{0};
  std::shared_ptr<Consumer> consumer_;
  std::map<std::string, Topic> topics_;
  std::map<Topic, std::string> names_;
  std::map<Place, Partition> partitions_;
  bool was_assigned_ = false;
  std::int64_t next_housekeeping_ns_ = 0;
  std::string trouble_;
};

KafkaSettings consumer_settings(const std::string& brokers, const std::string& group) {
  return {{"bootstrap.servers", brokers},
          {"client.id", "foreframe-reader"},
          {"group.id", group},
          {"enable.auto.commit", "false"},
          {"enable.auto.offset.store", "false"},
          {"auto.offset.reset", "error"},  // a gap must be seen, not jumped over
          {"partition.assignment.strategy", "cooperative-sticky"},
          {"enable.partition.eof", "true"},
          {"allow.auto.create.topics", "false"},
          {"topic.metadata.refresh.interval.ms", "2000"},  // finds topics that are made later
          {"session.timeout.ms", "10000"},
          {"fetch.wait.max.ms", "50"},
          {"fetch.message.max.bytes", "16777216"},
          {"fetch.max.bytes", "67108864"},
          {"queued.max.messages.kbytes", "131072"},
          {"statistics.interval.ms", "1000"},
          {"log.connection.close", "false"}};
}

Status KafkaReader::open(const LogOptions& options, const LogUrl& url, const std::string& group,
                         const std::vector<Topic>& topics) {
  brokers_ = url.brokers;
  patience_ = 2 * options.delivery_timeout;  // by then its writer has given a set up and sent it anew
  FF_ASSIGN(KafkaConf conf, make_conf(consumer_settings(url.brokers, group), options.kafka));
  rd_kafka_conf_set_opaque(conf.get(), this);
  rd_kafka_conf_set_rebalance_cb(conf.get(), &on_rebalance);
  rd_kafka_conf_set_error_cb(conf.get(), &on_error);
  rd_kafka_conf_set_stats_cb(conf.get(), &on_statistics);
  consumer_ = std::make_shared<Consumer>();
  FF_ASSIGN(consumer_->client, make_client(RD_KAFKA_CONSUMER, std::move(conf)));
  rd_kafka_poll_set_consumer(consumer_->client.get());
  const KafkaPartitions wanted(rd_kafka_topic_partition_list_new(static_cast<int>(topics.size())));
  for (const Topic topic : topics) {
    FF_ASSIGN(names_[topic], topic_name(options, topic));
    topics_[names_[topic]] = topic;
    rd_kafka_topic_partition_list_add(wanted.get(), names_[topic].c_str(), RD_KAFKA_PARTITION_UA);
  }
  const auto code = rd_kafka_subscribe(consumer_->client.get(), wanted.get());
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_error(code, "subscribing");
  return {};
}

KafkaReader::~KafkaReader() {
  on_assigned = nullptr;
  on_revoked = nullptr;
  partitions_.clear();
  if (consumer_ && consumer_->client) rd_kafka_consumer_close(consumer_->client.get());
}

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

/// A new group has no committed offset: it starts at the oldest record, said here and not left to a default.
void KafkaReader::assign(rd_kafka_topic_partition_list_t* partitions) {
  const auto code = rd_kafka_committed(consumer_->client.get(), partitions, kRequestTimeoutMs);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    trouble_ = kafka_error(code, "asking for committed offsets").message;
  was_assigned_ = true;
  for (int i = 0; i < partitions->cnt; ++i) {
    rd_kafka_topic_partition_t& p = partitions->elems[i];
    const bool known = code == RD_KAFKA_RESP_ERR_NO_ERROR && p.err == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (known && p.offset < 0) p.offset = RD_KAFKA_OFFSET_BEGINNING;
    if (!known)
      p.offset = RD_KAFKA_OFFSET_STORED;  // the fetcher asks for itself; take_error() handles "none"
    partitions_.insert_or_assign(Place{p.topic, p.partition},
                                 Partition{ChunkAssembly(kAssemblyBytesMax, patience_),
                                           std::max<std::int64_t>(p.offset, RD_KAFKA_OFFSET_INVALID), false});
    if (on_assigned && topics_.contains(p.topic)) on_assigned(topics_.at(p.topic), p.partition);
  }
}

void KafkaReader::revoke(const rd_kafka_topic_partition_list_t* partitions) {
  for (int i = 0; i < partitions->cnt; ++i) {
    const rd_kafka_topic_partition_t& p = partitions->elems[i];
    partitions_.erase({p.topic, p.partition});
    if (on_revoked && topics_.contains(p.topic)) on_revoked(topics_.at(p.topic), p.partition);
  }
}

Result<std::optional<LogRecord>> KafkaReader::poll(nanoseconds timeout) {
  const std::int64_t deadline_ns = monotonic_now_ns() + timeout.count();
  for (;;) {
    if (monotonic_now_ns() >= next_housekeeping_ns_) keep_house();
    const std::int64_t left_ns = std::max<std::int64_t>(deadline_ns - monotonic_now_ns(), 0);
    rd_kafka_message_t* const raw =
        rd_kafka_consumer_poll(consumer_->client.get(), to_milliseconds(nanoseconds(left_ns)));
    if (raw == nullptr) {
      if (left_ns == 0) return std::optional<LogRecord>{};
      continue;
    }
    FF_ASSIGN(auto record, take(raw));
    if (record) return record;
  }
}

Result<std::optional<LogRecord>> KafkaReader::take(rd_kafka_message_t* raw) {
  const Message message(raw, [keep = consumer_](rd_kafka_message_t* m) { rd_kafka_message_destroy(m); });
  if (raw->err != RD_KAFKA_RESP_ERR_NO_ERROR) return take_error(*raw);
  trouble_.clear();
  const auto found = partitions_.find({rd_kafka_topic_name(raw->rkt), raw->partition});
  if (found == partitions_.end()) return std::optional<LogRecord>{};  // lost meanwhile
  return take_record(message, found->second);
}

Result<std::optional<LogRecord>> KafkaReader::take_record(const Message& message, Partition& partition) {
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
  if (!whole) return std::optional<LogRecord>{};
  record.first_offset = whole->first_offset;
  record.value = std::move(whole->value);
  record.key.resize(std::min<std::size_t>(record.key.size(), chunk.key_bytes));
  return std::optional(std::move(record));
}

Result<std::optional<LogRecord>> KafkaReader::take_error(const rd_kafka_message_t& message) {
  const std::string topic = message.rkt == nullptr ? "" : rd_kafka_topic_name(message.rkt);
  switch (message.err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF: {
      const auto found = partitions_.find({topic, message.partition});
      if (found != partitions_.end()) {
        found->second.at_end = true;
        found->second.next_offset = message.offset;
      }
      return std::optional<LogRecord>{};
    }
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET: {
      FF_TRY(skip_freed({topic, message.partition}));
      return std::optional<LogRecord>{};
    }
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
      return fail(Errc::disconnected, "kafka: this reader was silent too long and lost its partitions");
    default:
      // Not there yet, or the broker is away: librdkafka goes on trying by itself.
      trouble_ = std::string("kafka: ") + rd_kafka_message_errstr(&message);
      return std::optional<LogRecord>{};
  }
}

/// The offset that should come next isn't in the log any more: names the gap and goes on at the oldest
/// record.
Status KafkaReader::skip_freed(const Place& place) {
  const auto& [topic, partition] = place;
  std::int64_t oldest = 0, end = 0;
  const auto code = rd_kafka_query_watermark_offsets(consumer_->client.get(), topic.c_str(), partition,
                                                     &oldest, &end, kRequestTimeoutMs);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) oldest = RD_KAFKA_OFFSET_BEGINNING;
  const KafkaPartitions list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = oldest;
  // Its fetcher has stopped; taking the partition anew is what starts it again.
  for (auto* change : {&rd_kafka_incremental_unassign, &rd_kafka_incremental_assign}) {
    rd_kafka_error_t* const failed = change(consumer_->client.get(), list.get());
    if (failed == nullptr) continue;
    const Error why{Errc::io_error, std::string("kafka: ") + rd_kafka_error_string(failed)};
    rd_kafka_error_destroy(failed);
    return why;
  }
  const auto found = partitions_.find(place);
  const std::int64_t expected =
      found == partitions_.end() ? RD_KAFKA_OFFSET_INVALID : found->second.next_offset;
  if (found != partitions_.end()) found->second.next_offset = oldest;
  if (expected < 0) return {};  // a new group: nothing was promised before the oldest
  return fail(Errc::out_of_range, "kafka: " + topic + " partition " + std::to_string(partition) +
                                      ": records " + std::to_string(expected) + " to " +
                                      std::to_string(oldest) +
                                      " (not included) were freed before this group had read them");
}

Status KafkaReader::commit(Topic topic, std::int32_t partition, std::int64_t next_offset) {
  const auto name = names_.find(topic);
  const auto found = name == names_.end() ? partitions_.end() : partitions_.find({name->second, partition});
  if (found == partitions_.end())
    return fail(Errc::refused, "commit to " + std::string(topic_word(topic)) + " partition " +
                                   std::to_string(partition) + ": this reader doesn't hold it");
  if (next_offset > found->second.next_offset)
    return fail(Errc::out_of_range, "commit to " + name->second + " partition " + std::to_string(partition) +
                                        ": offset " + std::to_string(next_offset) + " was not read yet");
  const auto incomplete = found->second.assembly.first_incomplete_offset();
  const KafkaPartitions list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), name->second.c_str(), partition)->offset =
      std::min(next_offset, incomplete.value_or(next_offset));
  const auto code = rd_kafka_commit(consumer_->client.get(), list.get(), 0);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_error(code, "committing to " + name->second);
  return {};
}

bool KafkaReader::caught_up() const {
  if (!was_assigned_) return false;
  const auto at_end = [](const auto& entry) { return entry.second.at_end; };
  if (!std::ranges::all_of(partitions_, at_end)) return false;
  // The ends are as of the last fetch; only the broker knows them as of now.
  return std::ranges::all_of(partitions_, [this](const auto& entry) {
    std::int64_t oldest = 0, end = 0;
    const auto code = rd_kafka_query_watermark_offsets(consumer_->client.get(), entry.first.first.c_str(),
                                                       entry.first.second, &oldest, &end, kRequestTimeoutMs);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR && entry.second.next_offset >= end;
  });
}

void KafkaReader::keep_house() {
  const std::int64_t now_ns = monotonic_now_ns();
  next_housekeeping_ns_ = now_ns + kHousekeepingIntervalNs;
  for (auto& [place, partition] : partitions_) {
    const std::size_t given_up = partition.assembly.give_up_old(now_ns);
    if (given_up > 0)
      service::log_warning("incomplete chunk sets given up; their writer sends them again",
                           {{"topic", place.first}, {"partition", place.second}, {"sets", given_up}});
  }
}

void KafkaReader::on_error(rd_kafka_t* /*client*/, int code, const char* reason, void* opaque) {
  auto* const self = static_cast<KafkaReader*>(opaque);
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
    self->trouble_ = "no broker answers at " + self->brokers_;
  } else if (code != RD_KAFKA_RESP_ERR__TRANSPORT) {
    self->trouble_ = std::string("kafka: ") + reason;
  }
}

int KafkaReader::on_statistics(rd_kafka_t* /*client*/, char* json, std::size_t bytes, void* opaque) {
  auto* const self = static_cast<KafkaReader*>(opaque);
  const bool connected = std::string_view(json, bytes).find("\"state\":\"UP\"") != std::string_view::npos;
  if (connected && self->trouble_.starts_with("no broker")) self->trouble_.clear();
  return 0;
}

}  // namespace

Result<std::unique_ptr<LogReader>> open_kafka_reader(const LogOptions& options, const LogUrl& url,
                                                     const std::string& group,
                                                     const std::vector<Topic>& topics) {
  auto reader = std::make_unique<KafkaReader>();
  FF_TRY(reader->open(options, url, group, topics));
  return std::unique_ptr<LogReader>(std::move(reader));
}

}  // namespace ff::transport
