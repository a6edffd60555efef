// SPDX-License-Identifier: Apache-2.0
//
// The log on this host: a segment log per topic. A record is delivered when its fsync has returned; fsyncs
// are shared by all records of a few milliseconds.
#include <algorithm>
#include <chrono>
#include <deque>
#include <thread>
#include <utility>

#include "common/base/clock.hpp"
#include "common/transport/log_url.hpp"
#include "common/transport/segment_fold.hpp"
#include "common/transport/segment_log.hpp"

namespace ff::transport {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kDeliveryDelay = std::chrono::milliseconds(10);
constexpr std::uint64_t kDeliveryBytes = 16ull << 20;  ///< so much unsynced data doesn't wait for the delay
constexpr nanoseconds kFreeingInterval = std::chrono::milliseconds(250);
constexpr std::uint64_t kSmallSegmentBytes = 16ull << 20;  ///< so that folding and age free much of a topic

constexpr std::uint64_t kSegmentOverheadBytes = 256;  ///< headers and padding of one record, a new segment

struct Waiting {
  std::int64_t offset = 0;
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
    auto offset = log->log->append(key, value.bytes());
    if (!offset.ok() && offset.error().code == Errc::disk_full) {
      make_room(*log, key.size() + value.size());
      offset = log->log->append(key, value.bytes());
    }
    if (!offset.ok()) {
      trouble_ = offset.error().code == Errc::too_large ? trouble_ : offset.error().message;
      return std::move(offset).error();
    }
    if (waiting_count_ == 0) oldest_waiting_ns_ = monotonic_now_ns();
    ++waiting_count_;
    waiting_bytes_ += value.size();
    log->waiting.push_back({static_cast<std::int64_t>(*offset), std::move(delivered)});
    return {};
  }

  void poll(nanoseconds timeout) override {
    if (monotonic_now_ns() >= next_freeing_ns_) free_segments();
    if (waiting_count_ == 0) return;
    const nanoseconds age(monotonic_now_ns() - oldest_waiting_ns_);
    const nanoseconds left = waiting_bytes_ >= kDeliveryBytes ? nanoseconds(0) : kDeliveryDelay - age;
    if (left > timeout) {
      std::this_thread::sleep_for(std::max(timeout, nanoseconds(0)));
      return;
    }
    if (left.count() > 0) std::this_thread::sleep_for(left);
    deliver();
  }

  Status flush(nanoseconds /*timeout*/) override {
    while (waiting_count_ > 0) deliver();  // an fsync can't be given up half way; it returns or fails
    return {};
  }

  Result<std::uint32_t> partition_count(Topic /*topic*/) override { return 1u; }
  std::string trouble() const override { return trouble_; }

 private:
  TopicLog* find(Topic topic) {
    const auto found = std::ranges::find(logs_, topic, &TopicLog::topic);
    return found == logs_.end() ? nullptr : &*found;
  }

  void deliver() {
    waiting_bytes_ = 0;
    waiting_count_ = 0;
    for (TopicLog& log : logs_) {
      if (log.waiting.empty()) continue;
      const Status synced = log.log->sync();
      trouble_ = synced.ok() ? "" : synced.error().message;
      // A callback may produce again: what it adds belongs to the next fsync.
      for (Waiting& record : std::exchange(log.waiting, {}))
        if (record.delivered)
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
  std::uint64_t waiting_bytes_ = 0;
  std::uint64_t waiting_count_ = 0;
  std::int64_t oldest_waiting_ns_ = 0;
  std::int64_t next_freeing_ns_ = 0;
};

}  // namespace

Result<std::unique_ptr<LogWriter>> open_local_writer(const LogOptions& options, const LogUrl& url,
                                                     const std::vector<Topic>& topics) {
  auto writer = std::make_unique<LocalLogWriter>();
  FF_TRY(writer->open(options, url, topics));
  return std::unique_ptr<LogWriter>(std::move(writer));
}

}  // namespace ff::transport
