// SPDX-License-Identifier: Apache-2.0
//
// ReplayPlanner: which windows are missed, and when to ask for them again.
//
// Data path  store > [missed windows > requests with growing pauses] > receipts topic > agent
// A window is asked for once when it is missed, then after `pause`, twice that, and so on up to `pause_max`, while
// its series is open. What is due at one moment goes out as one request per stream, in ranges.
// Not here   knowing that something is missing (series_store), and the log. Times are the PatienceClock's, so
// nothing is asked for while the log holds records that were not read yet. One thread at a time; memory: the
// windows that were seen and are missed. Windows that were never seen are counted by their gaps.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "hpc_sink/decode/done_windows.hpp"
#include "hpc_sink/receipt/verdict.hpp"

namespace ff::sink {

struct ReplayOptions {
  std::chrono::nanoseconds pause = std::chrono::seconds(10);
  std::chrono::nanoseconds pause_max = std::chrono::minutes(10);
};

class ReplayPlanner {
 public:
  ReplayPlanner(ReplayOptions options, const DoneWindows& reported)
      : options_(options), reported_(reported) {}

  /// The window was closed although something of it is missing.
  void missed(const WindowKey& key, const std::string& detector, const std::string& reason);
  /// It is whole now, or never will be.
  void settled(const WindowKey& key);
  /// Windows below `windows` that have no report should have come by now; those that `ours` says no to come to another
  /// sink.
  void never_seen(
      const StreamKey& stream, const std::string& detector, std::uint64_t windows, const std::string& reason,
      std::function<bool(std::uint64_t window)> ours = [](std::uint64_t) { return true; });
  /// Whether the stream's start and end records should have come by now and have not.
  void missing_records(const StreamKey& stream, const std::string& detector, bool start, bool end);
  /// The series is closed: nothing of it is asked for any more.
  void forget(const Uuid& series);

  /// True while something of the series is missed.
  [[nodiscard]] bool misses(const Uuid& series) const;
  /// What is to be asked for now, one entry per stream and reason.
  [[nodiscard]] std::vector<ReplayAsk> due(std::int64_t now_ns);

 private:
  struct Schedule {
    std::int64_t next_ns = INT64_MIN;  // at once
    std::chrono::nanoseconds pause{0};
  };
  struct Missed {
    std::string reason;
    Schedule schedule;
  };
  struct Stream {
    std::string detector;
    std::map<std::uint64_t, Missed> windows;  // seen, and not whole
    std::uint64_t windows_expected = 0;       // 0: nothing is missed that was never seen
    std::string never_seen_reason;
    Schedule never_seen;
    std::function<bool(std::uint64_t)> ours;
    bool start_missing = false, end_missing = false;
    Schedule records;
  };

  using Ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
  [[nodiscard]] Ranges gaps_of(const StreamKey& key, const Stream& stream, std::size_t ranges_max) const;
  [[nodiscard]] bool take_due(Schedule& schedule, std::int64_t now_ns) const;
  void ask_for_seen(const StreamKey& key, Stream& stream, std::int64_t now_ns,
                    std::vector<ReplayAsk>& asks) const;
  void ask_for_records(const StreamKey& key, Stream& stream, std::int64_t now_ns,
                       std::vector<ReplayAsk>& asks) const;
  void ask_for_never_seen(const StreamKey& key, Stream& stream, std::int64_t now_ns,
                          std::vector<ReplayAsk>& asks) const;

  ReplayOptions options_;
  const DoneWindows& reported_;
  std::map<StreamKey, Stream> streams_;
};

}  // namespace ff::sink
