// SPDX-License-Identifier: Apache-2.0
//
// The log on Apache Kafka, reading end: a member of a consumer group that moves its committed offset only
// when told to, or a follower that reads all partitions outside every group. Never skips silently
// (auto.offset.reset = error), and puts chunk sets together again.
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
constexpr int kCommitTimeoutMs = 2'000;
constexpr std::uint64_t kAssemblyBytesMax = 512ull << 20;
constexpr std::int64_t kHousekeepingIntervalNs = 1'000'000'000;
constexpr nanoseconds kListTimeout = std::chrono::seconds(1);
constexpr nanoseconds kCreateTimeout = std::chrono::seconds(5);
constexpr std::int64_t kListIntervalNs = 2'000'000'000;
constexpr std::int64_t kFirstListIntervalNs = 200'000'000;  ///< while a topic is still missing

/// The consumer outlives the reader as long as a record is in use: librdkafka's messages point into it.
struct Consumer {
  KafkaClient client;
};

struct Partition {
  Partition(nanoseconds patience, std::int64_t first)
      : assembly(kAssemblyBytesMax, patience), next_offset(first) {}

  ChunkAssembly assembly;
  std::int64_t next_offset = RD_KAFKA_OFFSET_INVALID;  ///< of the record that should come next
  bool at_end = false;
  std::int64_t commit_to = RD_KAFKA_OFFSET_INVALID;  ///< wanted, and not yet known to be committed
  bool paused = false;                               ///< held back while others complete their sets
  /// Set while its fetcher begins anew at the oldest record: what was expected when its offset was refused.
  std::optional<std::int64_t> refused_offset;
};

class KafkaReader final : public LogReader {
 public:
  Status open(const LogOptions& options, const LogUrl& url, const std::string& group,
              const std::vector<Topic>& topics);
  Status follow(const LogOptions& options, const LogUrl& url, const std::string& name,
                const std::vector<Topic>& topics);
  ~KafkaReader() override;

  Result<std::optional<LogRecord>> poll(nanoseconds timeout) override;
  Status commit(Topic topic, std::int32_t partition, std::int64_t next_offset) override;
  bool caught_up() const override;
  std::uint64_t held_bytes() const override;
  std::string trouble() const override { return trouble_; }

 private:
  using Place = std::pair<std::string, std::int32_t>;
  using Message = std::shared_ptr<rd_kafka_message_t>;

  void assign(rd_kafka_topic_partition_list_t* partitions);
  void revoke(const rd_kafka_topic_partition_list_t* partitions);
  Result<std::optional<LogRecord>> take(const Message& message);
  Result<std::optional<LogRecord>> take_record(const Message& message, Partition& partition);
  Result<std::optional<LogRecord>> take_error(const rd_kafka_message_t& message);
  Status connect(const LogOptions& options, const LogUrl& url, KafkaSettings settings,
                 const std::vector<Topic>& topics);
  Status begin_at_oldest(const Place& place);
  Status tell_gap(const Place& place, Partition& partition, std::int64_t oldest);
  void find_partitions();
  Status follow_new(const std::map<std::string, std::uint32_t>& counts);
  Status commit_wanted();
  void bound_assembly();
  void hold_back(const std::optional<Place>& all_but);
  void keep_house();

  static void on_rebalance(rd_kafka_t* client, rd_kafka_resp_err_t code,
                           rd_kafka_topic_partition_list_t* partitions, void* self);
  static void on_error(rd_kafka_t* client, int code, const char* reason, void* self);
  static int on_statistics(rd_kafka_t* client, char* json, std::size_t bytes, void* self);

  LogOptions options_;
  std::string brokers_;
  nanoseconds patience_{0};
  bool follows_ = false;    ///< outside every group
  bool all_found_ = false;  ///< follower: every topic is there
  std::int64_t next_list_ns_ = 0;
  Message held_;  ///< came first behind a gap that had to be told before it
  std::shared_ptr<Consumer> consumer_;
  std::map<std::string, Topic> topics_;
  std::map<Topic, std::string> names_;
  std::map<Place, Partition> partitions_;
  bool was_assigned_ = false;
  bool commit_fails_ = false;
  bool holds_back_ = false;  ///< partitions are paused, see bound_assembly()
  std::int64_t next_housekeeping_ns_ = 0;
  std::string trouble_;
};

/// Common to members of a group and followers.
KafkaSettings consumer_settings(const std::string& brokers, const std::string& group) {
  return {
      {"bootstrap.servers", brokers},
      {"client.id", "foreframe-reader"},
      {"group.id", group},
      {"enable.auto.commit", "false"},
      {"enable.auto.offset.store", "false"},
      {"auto.offset.reset", "error"},  // a gap must be seen, not jumped over
      {"partition.assignment.strategy", "cooperative-sticky"},
      {"enable.partition.eof", "true"},
      // Envelopes and control records have their own CRCs. With librdkafka's, a damaged batch on the broker's disk
      // would be fetched again for ever; without it, its records are asked for again and come as new ones.
      {"check.crcs", "false"},
      {"allow.auto.create.topics", "false"},
      {"topic.metadata.refresh.interval.ms", "2000"},  // finds topics that are made later
      {"socket.timeout.ms", "10000"},                  // a frozen broker is left after so long
      {"fetch.wait.max.ms", "50"},
      {"fetch.message.max.bytes", "16777216"},
      {"fetch.max.bytes", "67108864"},
      {"queued.max.messages.kbytes", "131072"},
      {"statistics.interval.ms", "1000"},
      {"log.connection.close", "false"}};
}

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

Status KafkaReader::connect(const LogOptions& options, const LogUrl& url, KafkaSettings settings,
                            const std::vector<Topic>& topics) {
  options_ = options;
  brokers_ = url.brokers;
  patience_ = 2 * options.delivery_timeout;  // by then its writer has given a set up and sent it anew
  for (const Topic topic : topics) {
    FF_ASSIGN(names_[topic], topic_name(options, topic));
    topics_[names_[topic]] = topic;
  }
  FF_ASSIGN(KafkaConf conf, make_conf(settings, options.kafka));
  rd_kafka_conf_set_opaque(conf.get(), this);
  rd_kafka_conf_set_rebalance_cb(conf.get(), &on_rebalance);
  rd_kafka_conf_set_error_cb(conf.get(), &on_error);
  rd_kafka_conf_set_stats_cb(conf.get(), &on_statistics);
  consumer_ = std::make_shared<Consumer>();
  FF_ASSIGN(consumer_->client, make_client(RD_KAFKA_CONSUMER, std::move(conf)));
  rd_kafka_poll_set_consumer(consumer_->client.get());
  return {};
}

Status KafkaReader::open(const LogOptions& options, const LogUrl& url, const std::string& group,
                         const std::vector<Topic>& topics) {
  KafkaSettings settings = consumer_settings(url.brokers, group);
  settings.emplace_back("session.timeout.ms", std::to_string(to_milliseconds(options.session_timeout)));
  if (!options.member.empty()) settings.emplace_back("group.instance.id", options.member);
  FF_TRY(connect(options, url, std::move(settings), topics));
  const KafkaPartitions wanted(rd_kafka_topic_partition_list_new(static_cast<int>(topics.size())));
  for (const auto& [name, topic] : topics_)
    rd_kafka_topic_partition_list_add(wanted.get(), name.c_str(), RD_KAFKA_PARTITION_UA);
  const auto code = rd_kafka_subscribe(consumer_->client.get(), wanted.get());
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_error(code, "subscribing");
  return {};
}

/// librdkafka wants a group's name even for partitions that are taken without one; nothing is committed to it.
Status KafkaReader::follow(const LogOptions& options, const LogUrl& url, const std::string& name,
                           const std::vector<Topic>& topics) {
  follows_ = true;
  return connect(options, url, consumer_settings(url.brokers, "foreframe-follower-" + name), topics);
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
    partitions_.try_emplace(Place{p.topic, p.partition}, Partition(patience_, RD_KAFKA_OFFSET_INVALID));
    if (on_assigned) on_assigned(topics_.at(p.topic), p.partition);
  }
  return {};
}

KafkaReader::~KafkaReader() {
  on_assigned = nullptr;
  on_revoked = nullptr;
  held_.reset();
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
    partitions_.insert_or_assign(
        Place{p.topic, p.partition},
        Partition(patience_, std::max<std::int64_t>(p.offset, RD_KAFKA_OFFSET_INVALID)));
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

Result<std::optional<LogRecord>> KafkaReader::poll(nanoseconds timeout) {
  const std::int64_t deadline_ns = monotonic_now_ns() + timeout.count();
  for (;;) {
    if (monotonic_now_ns() >= next_housekeeping_ns_) keep_house();
    if (follows_) find_partitions();
    if (held_) {
      FF_ASSIGN(auto record, take(std::exchange(held_, nullptr)));
      if (record) return record;
    }
    const std::int64_t left_ns = std::max<std::int64_t>(deadline_ns - monotonic_now_ns(), 0);
    rd_kafka_message_t* const raw =
        rd_kafka_consumer_poll(consumer_->client.get(), to_milliseconds(nanoseconds(left_ns)));
    if (raw == nullptr) {
      if (left_ns == 0) return std::optional<LogRecord>{};
      continue;
    }
    FF_ASSIGN(auto record,
              take(Message(raw, [keep = consumer_](rd_kafka_message_t* m) { rd_kafka_message_destroy(m); })));
    if (record) return record;
  }
}

Result<std::optional<LogRecord>> KafkaReader::take(const Message& message) {
  const rd_kafka_message_t& m = *message;
  const bool is_end = m.err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
  if (m.err != RD_KAFKA_RESP_ERR_NO_ERROR && !is_end) return take_error(m);
  if (!is_end) trouble_.clear();
  const Place place{rd_kafka_topic_name(m.rkt), m.partition};
  const auto found = partitions_.find(place);
  if (found == partitions_.end()) return std::optional<LogRecord>{};  // lost meanwhile
  Partition& partition = found->second;
  if (partition.refused_offset) {
    Status told = tell_gap(place, partition, m.offset);
    if (!told.ok()) {
      held_ = message;
      return std::move(told).error();
    }
  }
  if (!is_end) return take_record(message, partition);
  partition.at_end = true;
  partition.next_offset = m.offset;
  return std::optional<LogRecord>{};
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
  bound_assembly();
  if (!whole) return std::optional<LogRecord>{};
  record.first_offset = whole->first_offset;
  record.value = std::move(whole->value);
  record.key.resize(std::min<std::size_t>(record.key.size(), chunk.key_bytes));
  return std::optional(std::move(record));
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

Result<std::optional<LogRecord>> KafkaReader::take_error(const rd_kafka_message_t& message) {
  const std::string topic = message.rkt == nullptr ? "" : rd_kafka_topic_name(message.rkt);
  switch (message.err) {
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: {
      FF_TRY(begin_at_oldest({topic, message.partition}));
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
Status KafkaReader::tell_gap(const Place& place, Partition& partition, std::int64_t oldest) {
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

bool KafkaReader::caught_up() const {
  if (!was_assigned_ || (follows_ && !all_found_)) return false;
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
  bound_assembly();
  if (commit_fails_) {
    const Status again = commit_wanted();
    if (!again.ok()) trouble_ = again.error().message;
  }
  for (auto& [place, partition] : partitions_) {
    if (partition.paused) partition.assembly.forgive(now_ns);
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

Result<std::unique_ptr<LogReader>> open_kafka_follower(const LogOptions& options, const LogUrl& url,
                                                       const std::string& name,
                                                       const std::vector<Topic>& topics) {
  auto reader = std::make_unique<KafkaReader>();
  FF_TRY(reader->follow(options, url, name, topics));
  return std::unique_ptr<LogReader>(std::move(reader));
}

}  // namespace ff::transport
