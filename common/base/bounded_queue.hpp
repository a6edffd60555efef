// SPDX-License-Identifier: Apache-2.0
//
// BoundedQueue: hands values from one stage's thread to the next, never more than `capacity` of them.
//
// What flows through it are handles (pool slots, Payloads), not pixels. Any number of producers and
// consumers. Closing wakes everybody: pushes fail from then on, pops drain what is left.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "common/base/check.hpp"

namespace ff {

template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t capacity) : capacity_(capacity) { FF_CHECK(capacity > 0); }

  /// False, with `value` untouched, when the queue is full or closed.
  [[nodiscard]] bool try_push(T& value) {
    {
      std::lock_guard lock(mutex_);
      if (closed_ || items_.size() >= capacity_) return false;
      items_.push_back(std::move(value));
    }
    not_empty_.notify_one();
    return true;
  }

  /// Waits for room. False, with `value` untouched, after `timeout` or when closed.
  [[nodiscard]] bool push_for(T& value, std::chrono::nanoseconds timeout) {
    {
      std::unique_lock lock(mutex_);
      not_full_.wait_for(lock, timeout, [&] { return closed_ || items_.size() < capacity_; });
      if (closed_ || items_.size() >= capacity_) return false;
      items_.push_back(std::move(value));
    }
    not_empty_.notify_one();
    return true;
  }

  /// Waits for room as long as it takes. False only when closed.
  [[nodiscard]] bool push(T value) {
    {
      std::unique_lock lock(mutex_);
      not_full_.wait(lock, [&] { return closed_ || items_.size() < capacity_; });
      if (closed_) return false;
      items_.push_back(std::move(value));
    }
    not_empty_.notify_one();
    return true;
  }

  /// The oldest value; nothing after `timeout`, or when closed and drained.
  [[nodiscard]] std::optional<T> pop_for(std::chrono::nanoseconds timeout) {
    std::optional<T> value;
    {
      std::unique_lock lock(mutex_);
      not_empty_.wait_for(lock, timeout, [&] { return closed_ || !items_.empty(); });
      if (items_.empty()) return std::nullopt;
      value.emplace(std::move(items_.front()));
      items_.pop_front();
    }
    not_full_.notify_one();
    return value;
  }

  void close() {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    not_empty_.notify_all();
    not_full_.notify_all();
  }

  /// True when closed and empty: the consumer's signal to end.
  [[nodiscard]] bool finished() const {
    std::lock_guard lock(mutex_);
    return closed_ && items_.empty();
  }
  [[nodiscard]] std::size_t size() const {
    std::lock_guard lock(mutex_);
    return items_.size();
  }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

 private:
  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable not_empty_, not_full_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace ff
