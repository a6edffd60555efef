// SPDX-License-Identifier: Apache-2.0
//
// When the window thread looks at its time-outs (WindowStage::tick), between the frames it is handed.
//
// Frames that wait in the queue fill a group at once. Were time-outs looked at after each of them, an agent that is
// late would close groups of one frame by age (group.max_latency), which cost more to code and to send than full ones, and be later
// still. So while more waits they are looked at once in `interval`.
#pragma once

#include <chrono>
#include <cstdint>

namespace ff::agent {

class TickPace {
 public:
  explicit TickPace(std::chrono::nanoseconds interval) noexcept : interval_ns_(interval.count()) {}

  /// Whether to look now; a yes is taken for done. `more_waits`: the queue holds further items.
  [[nodiscard]] bool due(std::int64_t now_monotonic_ns, bool more_waits) noexcept {
    if (more_waits && now_monotonic_ns - last_ns_ < interval_ns_) return false;
    last_ns_ = now_monotonic_ns;
    return true;
  }

 private:
  std::int64_t interval_ns_, last_ns_ = 0;
};

}  // namespace ff::agent
