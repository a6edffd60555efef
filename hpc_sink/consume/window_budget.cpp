// SPDX-License-Identifier: Apache-2.0
//
// WindowBudget: leases on the memory of windows in flight.
#include "hpc_sink/consume/window_budget.hpp"

#include <utility>

#include "common/base/check.hpp"
#include "common/base/clock.hpp"

namespace ff::sink {

WindowLease::WindowLease(WindowLease&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)), bytes_(other.bytes_), finished_(other.finished_) {}

WindowLease& WindowLease::operator=(WindowLease&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  budget_ = std::exchange(other.budget_, nullptr);
  bytes_ = other.bytes_;
  finished_ = other.finished_;
  return *this;
}

WindowLease::~WindowLease() { give_back(); }

void WindowLease::give_back() noexcept {
  if (budget_ != nullptr) std::exchange(budget_, nullptr)->give_back(bytes_, finished_);
}

void WindowLease::mark_finished() noexcept {
  if (budget_ == nullptr || std::exchange(finished_, true)) return;
  budget_->finished(bytes_);
}

std::optional<WindowLease> WindowBudget::take(std::uint64_t bytes, std::chrono::nanoseconds timeout) {
  FF_CHECK(fits(bytes));
  std::unique_lock lock(mutex_);
  if (used_ + bytes > bytes_max_ && starving_since_ns_ == 0) starving_since_ns_ = monotonic_now_ns();
  if (!room_.wait_for(lock, timeout, [&] { return used_ + bytes <= bytes_max_; })) return std::nullopt;
  used_ += bytes;
  starving_since_ns_ = 0;
  return WindowLease(this, bytes);
}

std::chrono::nanoseconds WindowBudget::stuck_for() const {
  std::lock_guard lock(mutex_);
  if (starving_since_ns_ == 0 || finished_bytes_ > 0) return std::chrono::nanoseconds(0);
  return std::chrono::nanoseconds(monotonic_now_ns() - starving_since_ns_);
}

std::uint64_t WindowBudget::used() const {
  std::lock_guard lock(mutex_);
  return used_;
}

void WindowBudget::finished(std::uint64_t bytes) noexcept {
  std::lock_guard lock(mutex_);
  finished_bytes_ += bytes;
  starving_since_ns_ = 0;
}

void WindowBudget::give_back(std::uint64_t bytes, bool finished) noexcept {
  {
    std::lock_guard lock(mutex_);
    used_ -= bytes;
    if (finished) finished_bytes_ -= bytes;
    starving_since_ns_ = 0;
  }
  room_.notify_all();
}

}  // namespace ff::sink
