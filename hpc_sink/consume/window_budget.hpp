// SPDX-License-Identifier: Apache-2.0
//
// WindowBudget: the memory that windows in flight may take together, from their first block to the file.
//
// Data path  consume > [lease] > decode > store > [lease given back]
// A decode thread takes a lease before it allocates a window's frames and waits while there is no room; its
// queue fills, the consumer stops polling: the log holds the rest. When every lease belongs to a window that
// still waits for blocks, nobody would ever give one back: `stuck_for` tells, and the oldest window gives
// way. Thread-safe. Must outlive its leases.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>

namespace ff::sink {

class WindowBudget;

/// Bytes of the budget, owned and moved; given back when destroyed.
class WindowLease {
 public:
  WindowLease() = default;
  WindowLease(WindowLease&& other) noexcept;
  WindowLease& operator=(WindowLease&& other) noexcept;
  WindowLease(const WindowLease&) = delete;
  WindowLease& operator=(const WindowLease&) = delete;
  ~WindowLease();

  /// The window waits for no more blocks: the store will give the bytes back.
  void mark_finished() noexcept;
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  friend class WindowBudget;
  WindowLease(WindowBudget* budget, std::uint64_t bytes) noexcept : budget_(budget), bytes_(bytes) {}
  void give_back() noexcept;

  WindowBudget* budget_ = nullptr;
  std::uint64_t bytes_ = 0;
  bool finished_ = false;
};

class WindowBudget {
 public:
  explicit WindowBudget(std::uint64_t bytes_max) noexcept : bytes_max_(bytes_max) {}

  /// Room for `bytes`, or nothing after `timeout`. Precondition: fits(bytes).
  [[nodiscard]] std::optional<WindowLease> take(std::uint64_t bytes, std::chrono::nanoseconds timeout);
  /// False when a window of this size could never be held.
  [[nodiscard]] bool fits(std::uint64_t bytes) const noexcept { return bytes <= bytes_max_; }
  /// How long somebody has waited for room while nothing moved and no finished window was on its way to the
  /// store; 0: nobody waits.
  [[nodiscard]] std::chrono::nanoseconds stuck_for() const;
  [[nodiscard]] std::uint64_t used() const;

 private:
  friend class WindowLease;
  void give_back(std::uint64_t bytes, bool finished) noexcept;
  void finished(std::uint64_t bytes) noexcept;

  const std::uint64_t bytes_max_;
  mutable std::mutex mutex_;
  std::condition_variable room_;
  std::uint64_t used_ = 0;
  std::uint64_t finished_bytes_ = 0;
  std::int64_t starving_since_ns_ = 0;  // monotonic; 0 when nobody waits, or since something moved
};

}  // namespace ff::sink
