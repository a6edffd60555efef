// SPDX-License-Identifier: Apache-2.0
//
// THE PATH ON ONE SCREEN.
//
//   thread     does                                              hands on by     holds at most
//   ────────   ───────────────────────────────────────────────   ─────────────   ─────────────────────────────
//   (ZeroMQ)   receives messages                                 socket          source.queue messages
//   (pass-     re-emits each message byte for byte,              a second queue  passthrough.queue messages
//   through)   before anything else is done with it
//   ingest     FrameSource > SeriesIngest: whose frame, what is  ingest queue    1024 handles; the pixels lie
//              wrong with it, unpack into a pool slot                            in the pool (2 windows)
//   pool       PoolKeeper: makes the frame pool, writes the      slots           memory.max
//              series down: ingest waits for no file system
//   window     WindowStage: windows, groups, states              encode queues   2 groups a worker (handles)
//   encode-k   EncodeStage: plan + encode, tile by tile          spool queue     32 records; 10 B/px of state
//   spool      SpoolStage: sequence number, seal, append         spool on disk   spool.max
//   send       SendStage: in order, credit, acknowledgements;    link            the collector's credit
//              receipts, and what is asked for sent again
//   main       watchdog, stop
//
// Pressure runs backwards: link > spool > encode > pool; when the pool is full, frames stay at the detector.
// At stop each thread finishes what it has, closes the queue behind it, and the next one does the same.
#include "agent/agent_pipeline.hpp"

#include <atomic>
#include <pthread.h>
#include <sstream>
#include <thread>

#include "agent/agent_options.hpp"
#include "agent/ingest/pass_through.hpp"
#include "agent/ingest/plain_source.hpp"
#include "agent/ingest/series_ingest.hpp"
#include "agent/ingest/stream_v2_source.hpp"
#include "agent/spool/back_pressure.hpp"
#include "agent/spool/send_stage.hpp"
#include "agent/spool/spool_scan.hpp"
#include "agent/spool/spool_stage.hpp"
#include "agent/window/tick_pace.hpp"
#include "agent/window/window_stage.hpp"
#include "common/base/clock.hpp"

namespace ff::agent {
namespace {

using namespace std::chrono_literals;
using IngestQueue = BoundedQueue<IngestItem>;

Result<std::unique_ptr<FrameSource>> open_source(const AgentConfig& config, const ZmqPullOptions& options) {
  if (config.source_format == "plain") return PlainSource::open(options);
  return StreamV2Source::open(options);
}

/// Set-up, threads and tear-down of one run.
class Pipeline {
 public:
  Pipeline(const AgentConfig& config, service::DaemonContext& context)
      : config_(config), context_(context), metrics_(context.metrics) {}

  Result<std::string> run() {
    FF_TRY(open());
    start_threads();
    context_.ready("waiting for " + config_.source_format + " at " + config_.source_address);
    while (!context_.stop.requested() && !failed_.load()) {
      context_.progress();
      std::this_thread::sleep_for(100ms);
    }
    stop_threads();
    if (failed_.load()) return failure_;
    return summary();
  }

 private:
  Status open();
  Status look_back(transport::SegmentReader& reader);
  void start_threads();
  void stop_threads();
  void ingest_loop();
  void window_loop();
  [[nodiscard]] std::string summary();
  void fail_with(const Error& error) {
    if (!failed_.exchange(true)) failure_ = error;
    context_.stop.request();
  }
  /// Runs `body` in a named thread; an error ends the agent.
  template <typename Body>
  std::thread launch(const char* name, Body body) {
    return std::thread([this, name, body] {
      pthread_setname_np(pthread_self(), name);
      const Status status = body();
      if (!status.ok()) fail_with(status.error());
    });
  }
  void join_with_progress(std::thread& thread, const std::atomic<bool>& done) {
    while (!done.load(std::memory_order_acquire)) {
      context_.progress();
      std::this_thread::sleep_for(20ms);
    }
    thread.join();
  }

  const AgentConfig& config_;
  service::DaemonContext& context_;
  AgentMetrics metrics_;

  IngestQueue ingest_queue_{kIngestQueueItems};
  SpoolQueue spool_queue_{kSpoolQueueRecords};
  std::atomic<std::uint32_t> partition_count_{0};
  SpoolWaits spool_waits_;
  std::unique_ptr<BackPressure> pressure_;
  std::atomic<bool> ingest_done_{false}, window_done_{false}, spool_done_{false}, send_done_{false};
  std::atomic<bool> spool_closed_{false}, give_up_{false}, failed_{false};
  std::atomic<std::int64_t> send_deadline_ns_{0};
  Error failure_;

  std::unique_ptr<AgentJournal> journal_;
  std::vector<RecoveredSeries> recovered_;
  std::unique_ptr<PassThrough> tap_;  ///< before source_: its context outlives the source's socket
  std::unique_ptr<FrameSource> source_;
  std::unique_ptr<PoolKeeper> pool_;
  std::unique_ptr<SeriesIngest> ingest_;
  std::unique_ptr<EncodeStage> encode_;
  std::unique_ptr<WindowStage> window_;
  std::unique_ptr<SpoolStage> spool_;
  std::unique_ptr<SendStage> send_;
  std::thread ingest_thread_, window_thread_, spool_thread_, send_thread_;
};

Status Pipeline::open() {
  FF_TRY(check(config_));
  const std::filesystem::path pool_folder = config_.pool_path;
  FF_ASSIGN(journal_, AgentJournal::open(config_.state, pool_folder / (config_.name + ".journal")));
  const std::filesystem::path spool_folder = config_.spool_folder();
  std::error_code error;
  std::filesystem::create_directories(spool_folder, error);
  FF_ASSIGN(auto log, transport::SegmentLog::open(spool_options(config_)));
  FF_ASSIGN(SpoolReaders readers, SpoolReaders::open(spool_folder));
  // A cursor from the start on: without one, nothing that was acknowledged could ever be freed.
  FF_TRY(readers.sender->commit(readers.sender->committed()));
  const transport::SegmentLogStats held = log->stats();
  FF_ASSIGN(auto link, transport::LinkSender::open(link_options(config_)));

  const std::uint64_t state_and_queues = memory_bound(config_).total() - memory_bound(config_).pool_bytes;
  pool_ =
      std::make_unique<PoolKeeper>(config_.pool_path, config_.name, config_.memory_max - state_and_queues);
  pressure_ = std::make_unique<BackPressure>(pressure_options(config_), context_.health, metrics_);
  spool_ = std::make_unique<SpoolStage>(std::move(log), *journal_, spool_waits_, *pressure_, metrics_);
  FF_TRY(look_back(*readers.again));
  send_ = std::make_unique<SendStage>(
      send_options(config_), std::move(readers), std::move(link),
      Quarantine(std::filesystem::path(config_.state) / "quarantine", config_.quarantine_bytes_max),
      partition_count_, spool_waits_, context_.health, metrics_);
  encode_ = std::make_unique<EncodeStage>(encode_options(config_), spool_queue_, metrics_);
  WindowStageOptions window = window_options(config_, journal_->epoch());
  window.degrades = [this] { return pressure_->degrades(); };
  window_ =
      std::make_unique<WindowStage>(std::move(window), partition_count_, *encode_, spool_queue_, metrics_);
  SeriesIngestOptions ingest = ingest_options(config_);
  ingest.vetoes = [this](std::uint64_t frame) { return pressure_->vetoes(frame); };
  ingest_ = std::make_unique<SeriesIngest>(
      std::move(ingest), *pool_, *journal_, metrics_,
      [this](IngestItem item) { FF_CHECK(ingest_queue_.push(std::move(item))); });
  if (!config_.passthrough_address.empty()) {
    FF_ASSIGN(tap_, PassThrough::open(pass_through_options(config_), metrics_));
  }
  FF_ASSIGN(source_, open_source(config_, tap_ ? tap_->inner() : pull_options(config_)));
  service::log_info("agent up", {{"agent", config_.name},
                                 {"detector", config_.detector_name},
                                 {"epoch", journal_->epoch()},
                                 {"source", config_.source_address},
                                 {"format", config_.source_format},
                                 {"spool_records", send_->outstanding()},
                                 {"spool_bytes", held.bytes},
                                 {"torn_bytes_cut", held.torn_bytes_cut}});
  return {};
}

/// What did the run before this one leave behind?
Status Pipeline::look_back(transport::SegmentReader& reader) {
  const auto first_stream = static_cast<std::uint32_t>(config_.first_stream);
  const auto unfinished = journal_->take_unfinished();
  FF_ASSIGN(const auto spooled, scan_spool(reader, unfinished, first_stream));
  for (std::size_t i = 0; i < unfinished.size(); ++i)
    spool_->take_over(unfinished[i].series.uid, first_stream, spooled[i]);
  std::uint64_t forsaken = 0;
  recovered_ = recover_series(unfinished, spooled, pool_->take_salvaged(), first_stream, forsaken);
  metrics_.frames_forsaken.add(static_cast<double>(forsaken));
  return {};
}

void Pipeline::start_threads() {
  send_thread_ = launch("send", [this] {
    Status status = send_->run(spool_closed_, send_deadline_ns_);
    send_done_.store(true, std::memory_order_release);
    return status;
  });
  spool_thread_ = launch("spool", [this] {
    Status status = spool_->run(spool_queue_, give_up_);
    if (!status.ok()) spool_queue_.close();
    // After a disk error nobody writes any more; what comes is let go so that the threads before can end.
    while (!spool_queue_.finished()) [[maybe_unused]] const auto unwritten = spool_queue_.pop_for(10ms);
    spool_closed_.store(true, std::memory_order_release);
    spool_done_.store(true, std::memory_order_release);
    return status;
  });
  window_thread_ = launch("window", [this] {
    window_loop();
    window_done_.store(true, std::memory_order_release);
    return Status{};
  });
  ingest_thread_ = launch("ingest", [this] {
    ingest_loop();
    ingest_done_.store(true, std::memory_order_release);
    return Status{};
  });
}

void Pipeline::ingest_loop() {
  ingest_->recover(std::exchange(recovered_, {}), monotonic_now_ns());
  bool stopping = false;
  while (true) {
    // After the stop signal, what ZeroMQ has already received is taken; when it has nothing, we are done.
    if (tap_ && context_.stop.requested()) tap_->finish();
    stopping = stopping || (context_.stop.requested() && (!tap_ || tap_->finished()));
    auto event = source_->poll(stopping ? 0ms : 50ms);
    if (!event.ok()) {
      fail_with(event.error());
      break;
    }
    if (event->has_value())
      ingest_->handle(**event);
    else if (stopping)
      break;
    ingest_->tick(monotonic_now_ns());
    metrics_.queue_ingest.set(static_cast<double>(ingest_queue_.size()));
  }
  ingest_->stop();
  ingest_queue_.close();
}

void Pipeline::window_loop() {
  const auto pause = std::clamp<std::chrono::nanoseconds>(config_.group_max_latency / 4, 1ms, 100ms);
  TickPace pace(config_.group_max_latency);
  while (!ingest_queue_.finished()) {
    auto item = ingest_queue_.pop_for(pause);
    if (item) window_->handle(std::move(*item));
    const std::int64_t now_ns = monotonic_now_ns();
    if (pace.due(now_ns, ingest_queue_.size() > 0)) window_->tick(now_ns);
  }
}

void Pipeline::stop_threads() {
  service::log_info("stopping: taking what has come, closing the series, draining the spool");
  const std::int64_t deadline = monotonic_now_ns() + config_.drain_timeout.count();
  send_deadline_ns_.store(deadline);
  std::thread watch([&] {  // a spool that stays full must not hold the stop for ever
    while (monotonic_now_ns() < deadline && !spool_done_.load()) std::this_thread::sleep_for(20ms);
    if (!spool_done_.load()) pool_->leave_for_next_process();
    give_up_.store(true);
  });
  join_with_progress(ingest_thread_, ingest_done_);
  join_with_progress(window_thread_, window_done_);
  encode_->finish();
  spool_queue_.close();
  join_with_progress(spool_thread_, spool_done_);
  watch.join();
  join_with_progress(send_thread_, send_done_);
}

std::string Pipeline::summary() {
  std::ostringstream text;
  const std::uint64_t left = send_->outstanding();
  text << static_cast<std::uint64_t>(metrics_.frames_received.value()) << " frames received, "
       << static_cast<std::uint64_t>(metrics_.blocks.value()) << " blocks, "
       << static_cast<std::uint64_t>(metrics_.series_ended.value()) << " series; "
       << static_cast<std::uint64_t>(metrics_.records_acknowledged.value()) << " records acknowledged, "
       << left << " left in the spool" << (left > 0 ? " (sent at the next start)" : "");
  if (spool_->records_lost() > 0)
    text << "; " << spool_->records_lost() << " records LOST: the spool stayed full";
  return text.str();
}

}  // namespace

Result<std::string> run_agent(const AgentConfig& config, service::DaemonContext& context) {
  Pipeline pipeline(config, context);
  return pipeline.run();
}

}  // namespace ff::agent
