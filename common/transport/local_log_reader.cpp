// SPDX-License-Identifier: Apache-2.0
//
// Reads a log on this host. Looks at the files every two milliseconds while idle: cheaper than a wake-up per
// record under load, and the delay is bounded.
#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "common/base/clock.hpp"
#include "common/transport/log_url.hpp"
#include "common/transport/segment_log.hpp"

namespace ff::transport {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kLookInterval = std::chrono::milliseconds(2);
constexpr std::int64_t kOpenIntervalNs = 50'000'000;

struct TopicReader {
  Topic topic;
  std::filesystem::path folder;
  std::unique_ptr<SegmentReader> reader;  ///< none until the writer has made the folder
  std::int64_t next_open_ns = 0;
  std::uint64_t freed_before = 0;  ///< records that a new group never gets, not told yet
};

/// With a group: a named reader with a cursor per topic. Without: a follower.
class LocalLogReader final : public LogReader {
 public:
  Status open(const LogOptions& options, const LogUrl& url, std::optional<std::string> group,
              const std::vector<Topic>& topics) {
    group_ = std::move(group);
    for (const Topic topic : topics) {
      FF_ASSIGN(const std::string name, topic_name(options, topic));
      topics_.push_back({topic, url.folder / name, nullptr, 0});
      FF_TRY(look_for(topics_.back(), false));
    }
    return {};
  }

  Result<std::optional<LogRecord>> poll(nanoseconds timeout) override {
    tell_assigned();
    const std::int64_t deadline_ns = monotonic_now_ns() + timeout.count();
    for (;;) {
      FF_ASSIGN(auto record, next_of_any_topic());
      if (record) return record;
      const nanoseconds left(deadline_ns - monotonic_now_ns());
      if (left.count() <= 0) return std::optional<LogRecord>{};
      std::this_thread::sleep_for(std::min(left, kLookInterval));
    }
  }

  Status commit(Topic topic, std::int32_t partition, std::int64_t next_offset) override {
    const auto found = std::ranges::find(topics_, topic, &TopicReader::topic);
    if (found == topics_.end() || partition != 0 || next_offset < 0 || !found->reader)
      return fail(Errc::refused, "commit to " + std::string(topic_word(topic)) + " partition " +
                                     std::to_string(partition) + ": this reader doesn't hold it");
    return found->reader->commit(static_cast<std::uint64_t>(next_offset));
  }

  bool caught_up() const override {
    return std::ranges::all_of(topics_, [](const TopicReader& topic) {
      return !topic.reader || topic.reader->next_offset() >= topic.reader->end_offset();
    });
  }

  std::string trouble() const override { return trouble_; }

 private:
  /// Opens the topic's log if it is there by now.
  Status look_for(TopicReader& topic, bool announce) {
    topic.next_open_ns = monotonic_now_ns() + kOpenIntervalNs;
    auto reader = group_ ? SegmentReader::open(topic.folder, *group_) : SegmentReader::follow(topic.folder);
    if (!reader.ok()) {
      trouble_ = reader.error().code == Errc::not_found ? "" : reader.error().message;
      return trouble_.empty() ? Status{} : Status(std::move(reader).error());
    }
    trouble_.clear();
    topic.reader = std::move(reader).value();
    // Folding frees only what it has written again behind.
    if (topic.reader->is_new() && !topic_is_state(topic.topic))
      topic.freed_before = topic.reader->committed();
    if (announce && on_assigned) on_assigned(topic.topic, 0);
    return {};
  }

  void tell_assigned() {
    if (std::exchange(told_, true) || !on_assigned) return;
    for (const TopicReader& topic : topics_)
      if (topic.reader) on_assigned(topic.topic, 0);
  }

  /// Topics take turns, so that a busy one doesn't starve the others.
  Result<std::optional<LogRecord>> next_of_any_topic() {
    for (std::size_t i = 0; i < topics_.size(); ++i) {
      TopicReader& topic = topics_[turn_++ % topics_.size()];
      if (!topic.reader && monotonic_now_ns() >= topic.next_open_ns) FF_TRY(look_for(topic, true));
      if (!topic.reader) continue;
      FF_ASSIGN(auto record, next_of(topic));
      if (!record) continue;
      const auto offset = static_cast<std::int64_t>(record->offset);
      return std::optional(
          LogRecord{topic.topic, {0, offset}, offset, std::move(record->key), std::move(record->value)});
    }
    return std::optional<LogRecord>{};
  }

  /// A group that comes for the first time is owed the log from its very first record.
  Error tell_freed_before(TopicReader& topic) {
    const std::uint64_t end = std::exchange(topic.freed_before, 0);
    if (on_gap) on_gap({topic.topic, 0, 0, static_cast<std::int64_t>(end), LogGap::Cause::freed});
    return {Errc::out_of_range, topic.folder.string() + ": records 0 to " + std::to_string(end) +
                                    " (not included) were freed before \"" + *group_ +
                                    "\" came for the first time"};
  }

  /// Says what an error has cost. Folding frees only what it has written again behind: a follower that missed
  /// it has missed nothing.
  Result<std::optional<SegmentRecord>> next_of(TopicReader& topic) {
    if (topic.freed_before > 0) return tell_freed_before(topic);
    for (;;) {
      auto record = topic.reader->next();
      if (record.ok()) return record;
      const Errc code = record.error().code;
      if (code != Errc::out_of_range && code != Errc::crc_mismatch) return record;
      if (code == Errc::out_of_range && !group_ && topic_is_state(topic.topic)) continue;
      const SegmentGap gap = topic.reader->last_gap();
      if (on_gap && gap.next_offset > gap.first_offset)
        on_gap({topic.topic, 0, static_cast<std::int64_t>(gap.first_offset),
                static_cast<std::int64_t>(gap.next_offset),
                code == Errc::out_of_range ? LogGap::Cause::freed : LogGap::Cause::damaged});
      return record;
    }
  }

  std::optional<std::string> group_;
  std::vector<TopicReader> topics_;
  std::size_t turn_ = 0;
  bool told_ = false;
  std::string trouble_;
};

}  // namespace

Result<std::unique_ptr<LogReader>> open_local_reader(const LogOptions& options, const LogUrl& url,
                                                     const std::string& group,
                                                     const std::vector<Topic>& topics) {
  auto reader = std::make_unique<LocalLogReader>();
  FF_TRY(reader->open(options, url, group, topics));
  return std::unique_ptr<LogReader>(std::move(reader));
}

Result<std::unique_ptr<LogReader>> open_local_follower(const LogOptions& options, const LogUrl& url,
                                                       const std::vector<Topic>& topics) {
  auto reader = std::make_unique<LocalLogReader>();
  FF_TRY(reader->open(options, url, std::nullopt, topics));
  return std::unique_ptr<LogReader>(std::move(reader));
}

}  // namespace ff::transport
