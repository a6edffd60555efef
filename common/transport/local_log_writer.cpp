// SPDX-License-Identifier: Apache-2.0
//
// The log on this host: a segment log per topic. A record is delivered when its fsync has returned; fsyncs
// are shared by all records of a few milliseconds and waited for on a thread of their own, so that records are
// written while others become durable.
#include <algorithm>
#include <chrono>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "common/transport/log_url.hpp"
#include "common/transport/segment_fold.hpp"
#include "common/transport/segment_log.hpp"
#include "common/transport/sync_thread.hpp"

namespace ff::transport {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kDeliveryDelay = std::chrono::milliseconds(10);
constexpr std::uint64_t kDeliveryBytes = 16ull << 20;  ///< so much unsynced data doesn't wait for the delay
/// The disk is slower than its writer: produce() says queue_full, so that the last segment's end and the page
/// cache don't grow without bound.
constexpr std::uint64_t kUnsyncedBytesMax = 64ull << 20;
constexpr nanoseconds kFreeingInterval = std::chrono::milliseconds(250);
constexpr std::uint64_t kSmallSegmentBytes = 16ull << 20;  ///< so that folding and age free much of a topic
constexpr std::uint64_t kRecordHeaderRoom = 64;
constexpr std::uint64_t kSegmentOverheadBytes = 256;  ///< headers and padding of one record, a new segment

struct Waiting {
  std::int64_t offset = 0;
  std::uint64_t bytes = 0;
  LogWriter::Delivered delivered;
};

struct TopicLog {
  Topic topic;
  std::filesystem::path folder;
  std::unique_ptr<SegmentLog> log;
  std::deque<Waiting> waiting;  ///< appended, not yet fsynced
};

class LocalLogWriter final : public LogWriter {
 public:
  Status open(const LogOptions& options, const LogUrl& url, const std::vector<Topic>& topics) {
    kept_for_ns_ = options.kept_for.count();
    kept_bytes_max_ = options.kept_bytes_max;
    for (const Topic topic : topics) {
      FF_ASSIGN(const std::string name, topic_name(options, topic));
      SegmentLogOptions segment;
      segment.folder = url.folder / name;
      segment.log_bytes_max = topic_is_kept_by_time(topic) ? options.kept_bytes_max : options.log_bytes_max;
      segment.fsync_interval = kDeliveryDelay;
      segment.writes_back = false;
      if (topic_is_state(topic) || topic_is_kept_by_time(topic)) segment.segment_bytes = kSmallSegmentBytes;
      FF_ASSIGN(auto log, SegmentLog::open(segment));
      if (topic_is_state(topic)) {
        const Status folded = fold_to_last_values(*log, segment.folder);
        if (!folded.ok()) trouble_ = "cannot fold: " + folded.error().message;  // only room is lost
      }
      logs_.push_back({topic, segment.folder, std::move(log), {}});
    }
    return {};
  }

  Status produce(Topic topic, std::uint32_t partition, std::string_view key, Payload value,
                 Delivered delivered) override {
    TopicLog* const log = find(topic);
    if (log == nullptr)
      return fail(Errc::invalid_argument, "topic " + std::string(topic_word(topic)) + " was not opened");
    if (partition != 0)
      return fail(Errc::out_of_range,
                  "partition " + std::to_string(partition) + ": log:// has one per topic");
    if (waiting_bytes_ >= kUnsyncedBytesMax)
      return fail(Errc::queue_full, log->folder.string() + ": " + std::to_string(waiting_bytes_) +
                                        " bytes are written and wait for the disk");
    auto offset = log->log->append(key, value.bytes());
    if (!offset.ok() && offset.error().code == Errc::disk_full) {
      make_room(*log, key.size() + value.size());
      offset = log->log->append(key, value.bytes());
    }
    if (!offset.ok()) {
      trouble_ = offset.error().code == Errc::too_large ? trouble_ : offset.error().message;
      return std::move(offset).error();
    }
    if (unsynced_bytes_ == 0) oldest_unsynced_ns_ = monotonic_now_ns();
    const std::uint64_t bytes = key.size() + value.size() + kRecordHeaderRoom;
    unsynced_bytes_ += bytes;
    waiting_bytes_ += bytes;
    log->waiting.push_back({static_cast<std::int64_t>(*offset), bytes, std::move(delivered)});
    return {};
  }

  void poll(nanoseconds timeout) override {
    if (monotonic_now_ns() >= next_freeing_ns_) free_segments();
    if (waiting_bytes_ == 0) return;
    const std::int64_t deadline_ns = monotonic_now_ns() + std::max<std::int64_t>(timeout.count(), 0);
    if (!sync_thread_.busy() && !wait_until_due(deadline_ns)) return;
    if (!sync_thread_.busy()) start_syncs();
    const std::int64_t left_ns = std::max<std::int64_t>(deadline_ns - monotonic_now_ns(), 0);
    if (auto round = sync_thread_.finished(nanoseconds(left_ns))) deliver(std::move(*round));
    if (!sync_thread_.busy() && is_due()) start_syncs();  // the disk shouldn't wait for the next call
  }

  Status flush(nanoseconds timeout) override {
    const std::int64_t deadline_ns = monotonic_now_ns() + timeout.count();
    while (waiting_bytes_ > 0) {
      if (!sync_thread_.busy()) start_syncs();
      const std::int64_t left_ns = deadline_ns - monotonic_now_ns();
      auto round = sync_thread_.finished(nanoseconds(std::max<std::int64_t>(left_ns, 0)));
      if (round) {
        deliver(std::move(*round));
      } else if (left_ns <= 0) {
        return fail(Errc::timed_out, "log: " + std::to_string(waiting_bytes_) + " bytes wait for the disk");
      }
    }
    return {};
  }

  Result<std::uint32_t> partition_count(Topic /*topic*/) override { return 1u; }
  std::string trouble() const override { return trouble_; }

 private:
  TopicLog* find(Topic topic) {
    const auto found = std::ranges::find(logs_, topic, &TopicLog::topic);
    return found == logs_.end() ? nullptr : &*found;
  }

  [[nodiscard]] bool is_due() const {
    return unsynced_bytes_ >= kDeliveryBytes ||
           (unsynced_bytes_ > 0 && monotonic_now_ns() - oldest_unsynced_ns_ >= kDeliveryDelay.count());
  }

  /// False when the next fsync is not due before the deadline.
  bool wait_until_due(std::int64_t deadline_ns) const {
    if (is_due()) return true;
    const std::int64_t due_ns = oldest_unsynced_ns_ + kDeliveryDelay.count();
    const std::int64_t until_ns = std::min(due_ns, deadline_ns);
    std::this_thread::sleep_for(nanoseconds(std::max<std::int64_t>(until_ns - monotonic_now_ns(), 0)));
    return due_ns <= deadline_ns;
  }

  void start_syncs() {
    unsynced_bytes_ = 0;
    std::vector<SyncThread::Job> round;
    for (std::size_t i = 0; i < logs_.size(); ++i) {
      if (logs_[i].waiting.empty()) continue;
      auto sync = logs_[i].log->begin_sync();
      if (sync.ok()) {
        round.push_back({i, std::move(sync).value(), {}});
      } else {
        finish(logs_[i], sync.error(), logs_[i].log->stats().next_offset);
      }
    }
    if (!round.empty()) sync_thread_.start(std::move(round));
  }

  void deliver(std::vector<SyncThread::Job> round) {
    for (const SyncThread::Job& job : round) {
      TopicLog& log = logs_[job.log];
      finish(log, log.log->end_sync(job.sync, job.outcome), job.sync.next_offset());
    }
  }

  /// Reports the records below `next_offset`. A callback may produce again: what it adds is for a later fsync.
  void finish(TopicLog& log, const Status& synced, std::uint64_t next_offset) {
    trouble_ = synced.ok() ? "" : synced.error().message;
    while (!log.waiting.empty() && static_cast<std::uint64_t>(log.waiting.front().offset) < next_offset) {
      const Waiting record = std::move(log.waiting.front());
      log.waiting.pop_front();
      waiting_bytes_ -= record.bytes;
      if (!record.delivered) continue;
      record.delivered(synced.ok() ? Result<LogPosition>(LogPosition{0, record.offset})
                                   : Result<LogPosition>(synced.error()));
    }
  }

  void free_segments() {
    next_freeing_ns_ = monotonic_now_ns() + kFreeingInterval.count();
    for (TopicLog& log : logs_) {
      if (topic_is_state(log.topic)) continue;  // folded at opening instead
      note(topic_is_kept_by_time(log.topic) ? log.log->free_older_than(utc_now_ns() - kept_for_ns_)
                                            : free_what_is_read(log));
    }
  }

  static Status free_what_is_read(TopicLog& log) {
    const auto lowest = log.log->lowest_cursor();
    return lowest ? log.log->free_below(*lowest) : Status{};
  }

  /// A topic kept by time gives up its oldest segments for a new record, whoever has read them.
  void make_room(TopicLog& log, std::uint64_t bytes) {
    if (!topic_is_kept_by_time(log.topic)) return free_segments();
    const std::uint64_t needed = bytes + kSegmentOverheadBytes;
    note(log.log->free_down_to(kept_bytes_max_ - std::min(needed, kept_bytes_max_)));
  }

  void note(const Status& status) {
    if (!status.ok()) trouble_ = status.error().message;
  }

  std::int64_t kept_for_ns_ = 0;
  std::uint64_t kept_bytes_max_ = 0;
  std::vector<TopicLog> logs_;
  std::string trouble_;
  std::uint64_t waiting_bytes_ = 0;   ///< of records without a report
  std::uint64_t unsynced_bytes_ = 0;  ///< of those, not part of the fsyncs under way
  std::int64_t oldest_unsynced_ns_ = 0;
  std::int64_t next_freeing_ns_ = 0;
  SyncThread sync_thread_;
};

}  // namespace

Result<std::unique_ptr<LogWriter>> open_local_writer(const LogOptions& options, const LogUrl& url,
                                                     const std::vector<Topic>& topics) {
  auto writer = std::make_unique<LocalLogWriter>();
  FF_TRY(writer->open(options, url, topics));
  return std::unique_ptr<LogWriter>(std::move(writer));
}

}  // namespace ff::transport
