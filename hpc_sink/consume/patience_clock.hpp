// SPDX-License-Identifier: Apache-2.0
//
// PatienceClock: time that passes only while the sink has read all that the log holds.
//
// Whatever waits for a record that may never come (an incomplete window, a series without an end) counts its
// patience on this clock: behind a backlog, or while the store waits for a full disk, nothing is given up.
// One thread advances it; any thread reads it. It starts at 0 and has no relation to any other clock.
#pragma once

#include <atomic>
#include <cstdint>

namespace ff::sink {

class PatienceClock {
 public:
  void advance(std::int64_t ns) noexcept { now_ns_.fetch_add(ns, std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t now_ns() const noexcept { return now_ns_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> now_ns_{0};
};

}  // namespace ff::sink
