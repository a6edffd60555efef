// SPDX-License-Identifier: Apache-2.0
//
// THE PATH ON ONE SCREEN: SinkPath::consume() polls and routes; decode_loop() puts windows together and
// compresses their frames; store_loop() writes them; receipts_ tells the log, and only then are offsets committed. run_sink() begins again after trouble.
#include "hpc_sink/sink_pipeline.hpp"

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "common/base/bounded_queue.hpp"
#include "common/base/clock.hpp"
#include "common/service/logging.hpp"
#include "hpc_sink/store/series_store.hpp"

namespace ff::sink {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kShardQueueRecords = 32;
constexpr std::size_t kStoreQueueWindows = 16;
constexpr auto kPoll = milliseconds(50);
constexpr auto kDrain = std::chrono::seconds(5);
constexpr std::int64_t kCommitIntervalNs = 100'000'000;

using ShardTask = std::variant<WindowRecord, StreamKey>;  // a record; a stream that has ended
using StoreTask = std::variant<FinishedWindow, SeriesRecord, LostRecords, FeedNews>;

struct FeedEnd {
  std::unique_ptr<LedgerFeed>& feed;
  std::atomic<bool>& ended;
  ~FeedEnd() {
    ended = true;
    feed.reset();
  }
};

/// One life of the path: from opening the log to the next trouble or the end.
class SinkPath {
 public:
  SinkPath(const SinkConfig& config, SinkSurroundings& around, SinkMetrics& metrics)
      : config_(config),
        around_(around),
        metrics_(metrics),
        budget_(config.memory_max_bytes),
        store_queue_(kStoreQueueWindows) {}

  Status run();

 private:
  Status consume();
  void take(transport::LogRecord record);
  void route(wire::ParsedEnvelope parsed, Payload payload, transport::LogRecord record, RecordTicket ticket);
  template <typename Task>
  void push(BoundedQueue<Task>& queue, Task task);
  void refuse(transport::LogRecord record, const RecordTicket& ticket, const Error& why);
  void poll_trouble(const Error& why);
  void note_gap(const transport::LogGap& gap);
  Status commit(bool now);
  bool all_closed() const;

  void decode_loop(BoundedQueue<ShardTask>& queue);
  void store_loop();
  Status store_task(StoreTask& task);
  Status retry_while_full(const std::function<Status()>& attempt);
  void give_up(const Error& why);
  bool stopping() const { return failed_.load(); }
  void open_receipts();
  void start_feed();
  void take_news(FeedNews news);
  void start_threads();
  void stop_threads();

  const SinkConfig& config_;
  SinkSurroundings& around_;
  SinkMetrics& metrics_;
  OffsetLedger offsets_;
  WindowBudget budget_;
  DoneWindows done_;
  SettledWindows settled_;
  FailedWindows failed_windows_;
  PatienceClock clock_;
  std::unique_ptr<transport::LogReader> reader_;
  std::unique_ptr<ReceiptStage> receipts_;
  LedgerOwnership ownership_;
  std::unique_ptr<SeriesStore> store_;
  std::unique_ptr<LedgerFeed> feed_;
  std::vector<std::unique_ptr<BoundedQueue<ShardTask>>> shard_queues_;
  BoundedQueue<StoreTask> store_queue_;
  std::vector<std::thread> decoders_;
  std::thread storer_;
  std::atomic<bool> failed_{false}, ending_{false}, feed_ended_{false};
  std::mutex failure_mutex_;
  Error failure_;
  std::int64_t last_commit_ns_ = 0;
  service::LogLimiter refusals_, poll_troubles_;
};

Status SinkPath::run() {
  StoreOptions options = config_.store_options();
  options.step = around_.step;
  options.open_ledger = around_.open_ledger;
  open_receipts();
  FF_ASSIGN(store_, SeriesStore::open(std::move(options), {offsets_, done_, settled_, failed_windows_,
                                                           *receipts_, clock_, metrics_, ownership_}));
  Error why;
  reader_ = around_.open_log(why);
  if (!reader_) return why;
  reader_->on_assigned = [this](transport::Topic topic, std::int32_t partition) {
    offsets_.assign(topic, partition);
  };
  reader_->on_revoked = [this](transport::Topic topic, std::int32_t partition) {
    offsets_.revoke(topic, partition);
  };
  reader_->on_gap = [this](const transport::LogGap& gap) { note_gap(gap); };
  around_.health.set_trouble("store", "");
  around_.ready();
  start_threads();
  Status consumed = consume();
  stop_threads();
  // The feed holds the ledger's partitions until the last seal is public; what it brings is dropped by now.
  const FeedEnd feed_end{feed_, feed_ended_};
  if (failed_) return failure_;
  FF_TRY(consumed);
  // A graceful stop: what is complete becomes durable, the rest is read again by the next run.
  FF_TRY(store_->finish());
  if (const Status said = receipts_->drain(kDrain); !said.ok())
    service::log_warning("stopped before all receipts were written", {{"why", said.error().message}});
  return commit(true);
}

void SinkPath::open_receipts() {
  receipts_ = std::make_unique<ReceiptStage>(
      ReceiptSender{config_.log_group, config_.sink_name},
      ReceiptSurroundings{
          .offsets = offsets_,
          .metrics = metrics_,
          .open_writer = around_.open_receipts,
          .trouble = [this](const std::string& why) { around_.health.set_trouble("receipts", why); },
          .stopping = [this] { return stopping() || around_.stop.requested(); },
          .step = around_.step});
}

void SinkPath::start_threads() {
  for (std::uint64_t i = 0; i < config_.decode_threads; ++i)
    shard_queues_.push_back(std::make_unique<BoundedQueue<ShardTask>>(kShardQueueRecords));
  for (auto& queue : shard_queues_) {
    decoders_.emplace_back([this, &queue] { decode_loop(*queue); });
    pthread_setname_np(decoders_.back().native_handle(),
                       ("decode-" + std::to_string(decoders_.size() - 1)).c_str());
  }
  storer_ = std::thread([this] { store_loop(); });
  pthread_setname_np(storer_.native_handle(), "store");
  start_feed();
}

// Series that other sinks read in the group are heard of too: their windows come here all the same.
void SinkPath::take_news(FeedNews news) {
  if (const auto* heard = std::get_if<SeriesHeard>(&news); heard && heard->header.has_series_end()) {
    const auto uid = Uuid::from_bytes(as_bytes(heard->header.series_uid()));
    if (!uid.ok()) return;
    for (auto& queue : shard_queues_) push<ShardTask>(*queue, StreamKey{*uid, heard->header.stream()});
  }
  push<StoreTask>(store_queue_, std::move(news));
}

void SinkPath::start_feed() {
  if (!around_.open_ledger_reader) return;
  feed_ = std::make_unique<LedgerFeed>(
      FeedSurroundings{.open_ledger = around_.open_ledger_reader,
                       .open_series = around_.open_series_follower,
                       .ownership = ownership_,
                       .may_open = [this] { return store_->has_ledger(); },
                       .deliver = [this](FeedNews news) { take_news(std::move(news)); },
                       .fatal = [this](const Error& why) { give_up(why); },
                       .stopping = [this] { return feed_ended_ || stopping(); }});
}

void SinkPath::stop_threads() {
  ending_ = true;
  for (auto& queue : shard_queues_) queue->close();
  for (std::thread& decoder : decoders_) decoder.join();
  store_queue_.close();
  storer_.join();
}

Status SinkPath::consume() {
  while (!around_.stop.requested() && !failed_) {
    const std::int64_t began_ns = monotonic_now_ns();
    auto record = reader_->poll(kPoll);
    if (reader_->caught_up()) clock_.advance(monotonic_now_ns() - began_ns);
    if (!record.ok() && record.error().code == Errc::refused) return record.error();  // another has our name
    if (!record.ok())
      poll_trouble(record.error());
    else if (*record)
      take(std::move(**record));
    around_.health.set_trouble("log", reader_->trouble());
    around_.progress();
    metrics_.memory_bytes.set(static_cast<double>(budget_.used()));
    FF_TRY(commit(false));
    if (config_.exit_when_closed && all_closed()) return {};
  }
  return {};
}

// A batch job that is started again may find that all was done before: then nothing comes, and it ends too.
bool SinkPath::all_closed() const {
  const bool met = store_->series_met() > 0 || clock_.now_ns() > config_.series_idle_timeout.count();
  return met && reader_->caught_up() && offsets_.pending() == 0 && store_->quiet();
}

void SinkPath::poll_trouble(const Error& why) {
  if (why.code == Errc::out_of_range)
    metrics_.log_gaps.add();
  else
    metrics_.refused(why.code).add();
  std::uint64_t held_back = 0;
  if (poll_troubles_.allow(held_back))
    service::log_error("reading the log", {{"why", why.message}, {"held_back", held_back}});
  if (why.code != Errc::out_of_range) std::this_thread::sleep_for(kPoll);
}

// Bytes that went bad in log:// are lost in the log, as is what never came: only what was freed has a stage of
// its own.
void SinkPath::note_gap(const transport::LogGap& gap) {
  service::log_error("the log lost records before they were read",
                     {{"topic", transport::topic_word(gap.topic)},
                      {"partition", gap.partition},
                      {"first_offset", gap.first_offset},
                      {"next_offset", gap.next_offset},
                      {"freed", gap.cause == transport::LogGap::Cause::freed}});
  if (gap.cause == transport::LogGap::Cause::freed && gap.first_offset < gap.next_offset)
    push<StoreTask>(store_queue_, LostRecords{gap, offsets_.skip(gap)});
}

Status SinkPath::commit(bool now) {
  const std::int64_t now_ns = monotonic_now_ns();
  if (!now && now_ns - last_commit_ns_ < kCommitIntervalNs) return {};
  last_commit_ns_ = now_ns;
  for (const CommitPosition& position : offsets_.take_commits()) {
    FF_TRY(reader_->commit(position.topic, position.partition, position.next_offset));
    around_.step(StoreStep::committed);
  }
  metrics_.records_pending.set(static_cast<double>(offsets_.pending()));
  metrics_.partitions.set(static_cast<double>(offsets_.assigned_count(transport::Topic::blocks)));
  return {};
}

void SinkPath::take(transport::LogRecord record) {
  metrics_.records_read.add();
  metrics_.record_bytes.add(static_cast<double>(record.value.size()));
  const RecordTicket ticket = offsets_.read(record);
  auto parsed = wire::parse_envelope_head(record.value.bytes());
  if (!parsed.ok()) return refuse(std::move(record), ticket, parsed.error());
  if (!parsed->payload_intact && !parsed->header.has_block())
    return refuse(std::move(record), ticket,
                  fail(Errc::crc_mismatch, "payload CRC differs; bytes changed on the way"));
  const auto at = static_cast<std::size_t>(parsed->payload.data() - record.value.bytes().data());
  Payload payload = parsed->payload.empty() ? Payload() : record.value.part(at, parsed->payload.size());
  route(std::move(*parsed), std::move(payload), std::move(record), ticket);
}

void SinkPath::route(wire::ParsedEnvelope parsed, Payload payload, transport::LogRecord record,
                     RecordTicket ticket) {
  wire::EnvelopeHeader& header = parsed.header;
  if (header.has_block() || header.has_window()) {
    const auto key = window_key(header);
    const std::size_t shard =
        (std::hash<std::string>{}(header.series_uid()) + std::size_t{31} * header.stream() + key->window) %
        shard_queues_.size();
    return push<ShardTask>(*shard_queues_[shard],
                           WindowRecord{std::move(header),
                                        std::move(payload),
                                        ticket,
                                        {std::move(record.key), std::move(record.value)},
                                        !parsed.payload_intact});
  }
  if (header.has_series_end()) {
    const auto uid = Uuid::from_bytes(as_bytes(header.series_uid()));
    for (auto& queue : shard_queues_) push<ShardTask>(*queue, StreamKey{*uid, header.stream()});
  }
  push<StoreTask>(store_queue_, SeriesRecord{std::move(header), std::move(payload), ticket});
}

// Waits for room as long as it takes: a full queue is how a slow store holds the log back. A task that is
// dropped because the path ends keeps its ticket, so its record is read again.
template <typename Task>
void SinkPath::push(BoundedQueue<Task>& queue, Task task) {
  while (!queue.push_for(task, kPoll)) {
    if (around_.stop.requested() || failed_ || ending_) return;
    around_.progress();
  }
}

// It names no stream that a receipt could be for: it goes to the dead letters, and is passed.
void SinkPath::refuse(transport::LogRecord record, const RecordTicket& ticket, const Error& why) {
  metrics_.refused(why.code).add();
  receipts_->settle({.stream = {},
                     .detector = {},
                     .reason = std::string(to_string(why.code)) + ": " + why.message,
                     .letters = {{std::move(record.key), std::move(record.value)}},
                     .tickets = {ticket}});
  std::uint64_t held_back = 0;
  if (!refusals_.allow(held_back)) return;
  service::log_error("record refused", {{"topic", transport::topic_word(record.topic)},
                                        {"partition", record.position.partition},
                                        {"offset", record.position.offset},
                                        {"why", why.message},
                                        {"held_back", held_back}});
}

void SinkPath::decode_loop(BoundedQueue<ShardTask>& queue) {
  DecodeShard shard(
      config_.decode_options(), FrameChunkEncoder(parse_compression(config_.store_compression).value()),
      {offsets_, budget_, done_, settled_, failed_windows_, *receipts_, clock_, metrics_},
      [this](FinishedWindow window) { return store_queue_.push(std::move(window)); },
      [this] { return stopping() || around_.stop.requested(); });
  std::int64_t ticked_ns = 0;
  while (!queue.finished()) {
    auto task = queue.pop_for(kPoll);
    if (task && !stopping()) {
      if (auto* record = std::get_if<WindowRecord>(&*task)) shard.add(std::move(*record));
      if (auto* ended = std::get_if<StreamKey>(&*task)) shard.series_ended(*ended);
    }
    if (monotonic_now_ns() - ticked_ns < std::chrono::nanoseconds(kPoll).count() || stopping()) continue;
    ticked_ns = monotonic_now_ns();
    shard.tick();
  }
  if (shard.open_windows() > 0)
    service::log_info("incomplete windows dropped; they will be read again",
                      {{"windows", shard.open_windows()}});
}

void SinkPath::store_loop() {
  if (const Status prepared = prepare_hdf5(); !prepared.ok()) give_up(prepared.error());
  while (!store_queue_.finished()) {
    auto task = store_queue_.pop_for(kPoll);
    metrics_.store_queue.set(static_cast<double>(store_queue_.size()));
    if (failed_) continue;
    Status stored;
    if (task) stored = retry_while_full([&] { return store_task(*task); });
    if (stored.ok()) stored = retry_while_full([&] { return store_->tick(); });
    if (!stored.ok()) give_up(stored.error());
  }
}

Status SinkPath::store_task(StoreTask& task) {
  if (const auto* record = std::get_if<SeriesRecord>(&task)) return store_->add(*record);
  if (const auto* lost = std::get_if<LostRecords>(&task)) return store_->add(*lost);
  if (const auto* news = std::get_if<FeedNews>(&task)) return store_->add(*news);
  return store_->add(std::get<FinishedWindow>(task));
}

// A full disk is waited for: the window stays in memory, the path behind it stands still, nothing is
// committed.
Status SinkPath::retry_while_full(const std::function<Status()>& attempt) {
  auto pause = milliseconds(100);
  while (true) {
    Status tried = attempt();
    if (tried.ok() || tried.error().code != Errc::disk_full || around_.stop.requested()) {
      if (tried.ok() && pause > milliseconds(100)) around_.health.set_trouble("store", "");
      return tried;
    }
    metrics_.store_retries.add();
    around_.health.set_trouble("store", tried.error().message);
    service::log_error("the store has no room; trying again",
                       {{"why", tried.error().message}, {"pause_ms", pause.count()}});
    for (auto slept = milliseconds(0); slept < pause && !around_.stop.requested(); slept += milliseconds(50))
      std::this_thread::sleep_for(milliseconds(50));
    pause = std::min(2 * pause, std::chrono::duration_cast<milliseconds>(config_.retry_max));
  }
}

void SinkPath::give_up(const Error& why) {
  std::lock_guard lock(failure_mutex_);
  if (!failed_.exchange(true)) failure_ = why;
}

bool is_final(Errc code) { return code == Errc::config_error || code == Errc::unsupported_version; }

std::string summary(const SinkMetrics& metrics) {
  const auto number = [](const service::Counter& counter) {
    return std::to_string(static_cast<std::uint64_t>(counter.value()));
  };
  return "read " + number(metrics.records_read) + " records, stored " + number(metrics.frames_stored) +
         " frames in " + number(metrics.files_published) + " files, wrote " +
         number(metrics.masters_written) + " master files";
}

}  // namespace

Result<std::string> run_sink(const SinkConfig& config, SinkSurroundings around) {
  SinkMetrics metrics(around.metrics);
  auto pause = milliseconds(100);
  while (true) {
    const Status lived = SinkPath(config, around, metrics).run();
    if (lived.ok()) return summary(metrics);
    if (is_final(lived.error().code)) return lived.error();
    if (around.stop.requested()) {
      service::log_warning("stopped; what was not durable will be read again",
                           {{"why", lived.error().message}});
      return summary(metrics);
    }
    metrics.restarts.add();
    around.health.set_trouble("store", lived.error().message);
    service::log_error("beginning again at the committed offsets",
                       {{"why", lived.error().message}, {"pause_ms", pause.count()}});
    for (auto slept = milliseconds(0); slept < pause && !around.stop.requested(); slept += milliseconds(50)) {
      std::this_thread::sleep_for(milliseconds(50));
      around.progress();
    }
    pause = std::min(2 * pause, std::chrono::duration_cast<milliseconds>(config.retry_max));
  }
}

}  // namespace ff::sink
