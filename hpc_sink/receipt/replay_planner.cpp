// SPDX-License-Identifier: Apache-2.0
//
// ReplayPlanner: schedules, and windows put together into ranges.
#include "hpc_sink/receipt/replay_planner.hpp"

#include <algorithm>

namespace ff::sink {
namespace {

constexpr std::size_t kRangesPerAsk = 1000;
constexpr std::size_t kLookedAtMax =
    1'000'000;  // windows of one stream; the others are asked for when these came

}  // namespace

void ReplayPlanner::missed(const WindowKey& key, const std::string& detector, const std::string& reason) {
  Stream& stream = streams_[key.stream];
  stream.detector = detector;
  stream.windows[key.window].reason = reason;  // one that is asked for already keeps its schedule
}

void ReplayPlanner::settled(const WindowKey& key) {
  const auto stream = streams_.find(key.stream);
  if (stream != streams_.end()) stream->second.windows.erase(key.window);
}

void ReplayPlanner::never_seen(const StreamKey& key, const std::string& detector, std::uint64_t windows,
                               const std::string& reason, std::function<bool(std::uint64_t)> ours) {
  Stream& stream = streams_[key];
  stream.detector = detector;
  stream.windows_expected = windows;
  stream.never_seen_reason = reason;
  stream.ours = std::move(ours);
}

void ReplayPlanner::missing_records(const StreamKey& key, const std::string& detector, bool start, bool end) {
  if (!start && !end && !streams_.contains(key)) return;
  Stream& stream = streams_[key];
  stream.detector = detector;
  stream.start_missing = start;
  stream.end_missing = end;
  if (!start && !end) stream.records = {};
}

void ReplayPlanner::forget(const Uuid& series) {
  std::erase_if(streams_, [&](const auto& entry) { return entry.first.series == series; });
}

bool ReplayPlanner::misses(const Uuid& series) const {
  return std::ranges::any_of(streams_, [&](const auto& entry) {
    const auto& [key, stream] = entry;
    return key.series == series && (!stream.windows.empty() || stream.start_missing || stream.end_missing ||
                                    !gaps_of(key, stream, 1).empty());
  });
}

// The windows without a report that are ours, as ranges.
ReplayPlanner::Ranges ReplayPlanner::gaps_of(const StreamKey& key, const Stream& stream,
                                             std::size_t ranges_max) const {
  Ranges gaps;
  if (!stream.ours) return gaps;
  std::size_t left = kLookedAtMax;
  for (const auto& [first, past] : reported_.gaps(key, stream.windows_expected, SIZE_MAX)) {
    for (std::uint64_t window = first; window < past && left > 0; ++window, --left) {
      if (!stream.ours(window)) continue;
      if (!gaps.empty() && gaps.back().second == window)
        ++gaps.back().second;
      else if (gaps.size() >= ranges_max)
        return gaps;
      else
        gaps.emplace_back(window, window + 1);
    }
  }
  return gaps;
}

bool ReplayPlanner::take_due(Schedule& schedule, std::int64_t now_ns) const {
  if (now_ns < schedule.next_ns) return false;
  schedule.pause =
      schedule.pause.count() == 0 ? options_.pause : std::min(2 * schedule.pause, options_.pause_max);
  schedule.next_ns = now_ns + schedule.pause.count();
  return true;
}

void ReplayPlanner::ask_for_seen(const StreamKey& key, Stream& stream, std::int64_t now_ns,
                                 std::vector<ReplayAsk>& asks) const {
  std::map<std::string, ReplayAsk> by_reason;
  for (auto& [window, missed] : stream.windows) {
    ReplayAsk& ask = by_reason[missed.reason];
    const bool follows = !ask.windows.empty() && ask.windows.back().second == window;
    if (!follows && ask.windows.size() >= kRangesPerAsk) continue;  // with the next call
    if (!take_due(missed.schedule, now_ns)) continue;
    if (follows)
      ++ask.windows.back().second;
    else
      ask.windows.emplace_back(window, window + 1);
  }
  for (auto& [reason, ask] : by_reason) {
    if (ask.windows.empty()) continue;
    ask.stream = key;
    ask.detector = stream.detector;
    ask.reason = reason;
    asks.push_back(std::move(ask));
  }
}

void ReplayPlanner::ask_for_never_seen(const StreamKey& key, Stream& stream, std::int64_t now_ns,
                                       std::vector<ReplayAsk>& asks) const {
  auto gaps = gaps_of(key, stream, kRangesPerAsk);
  if (gaps.empty() || !take_due(stream.never_seen, now_ns)) return;
  asks.push_back({.stream = key,
                  .detector = stream.detector,
                  .windows = std::move(gaps),
                  .series_start = false,
                  .series_end = false,
                  .reason = stream.never_seen_reason});
}

void ReplayPlanner::ask_for_records(const StreamKey& key, Stream& stream, std::int64_t now_ns,
                                    std::vector<ReplayAsk>& asks) const {
  if ((!stream.start_missing && !stream.end_missing) || !take_due(stream.records, now_ns)) return;
  asks.push_back({.stream = key,
                  .detector = stream.detector,
                  .windows = {},
                  .series_start = stream.start_missing,
                  .series_end = stream.end_missing,
                  .reason = stream.start_missing ? "series start never came" : "series end never came"});
}

std::vector<ReplayAsk> ReplayPlanner::due(std::int64_t now_ns) {
  std::vector<ReplayAsk> asks;
  for (auto& [key, stream] : streams_) {
    ask_for_seen(key, stream, now_ns, asks);
    ask_for_never_seen(key, stream, now_ns, asks);
    ask_for_records(key, stream, now_ns, asks);
  }
  return asks;
}

}  // namespace ff::sink
