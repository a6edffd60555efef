// SPDX-License-Identifier: Apache-2.0
//
// ResendBudget: how much of what the link carries may be records that were sent before.
//
// While new records are sent, every byte of them earns share / (1 - share) bytes. While the link has nothing new,
// `share` of the best rate it has shown is earned, and a trickle at least. Time comes in with the calls.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ff::agent {

class ResendBudget {
 public:
  explicit ResendBudget(double share) : share_(share) {}

  /// New records of `bytes` were sent.
  void sent_new(std::uint64_t bytes, std::int64_t now_ns) noexcept {
    measure(bytes, now_ns);
    earn(static_cast<double>(bytes) * share_ / (1 - share_));
    idle_since_ns_ = now_ns;
  }
  /// Nothing new waits at the moment.
  void nothing_new(std::int64_t now_ns) noexcept {
    measure(0, now_ns);
    if (idle_since_ns_ != 0)
      earn(static_cast<double>(now_ns - idle_since_ns_) * 1e-9 * std::max(kTrickle, share_ * best_rate_));
    idle_since_ns_ = now_ns;
  }
  /// A record that is longer than what has been earned still goes, and is paid for afterwards.
  [[nodiscard]] bool allows() const noexcept { return bytes_ > 0; }
  void sent_again(std::uint64_t bytes, std::int64_t now_ns) noexcept {
    measure(bytes, now_ns);
    bytes_ -= static_cast<double>(bytes);
  }
  [[nodiscard]] double best_rate() const noexcept { return best_rate_; }

 private:
  static constexpr double kTrickle = 1 << 20;  ///< bytes/s
  static constexpr double kSaved =
      4 << 20;  ///< not more is saved for later: a burst would push new ones aside
  static constexpr std::int64_t kSecond = 1'000'000'000;

  void earn(double bytes) noexcept { bytes_ = std::min(bytes_ + bytes, kSaved); }
  void measure(std::uint64_t bytes, std::int64_t now_ns) noexcept {
    carried_ += static_cast<double>(bytes);
    if (now_ns - second_began_ns_ < kSecond) return;
    if (second_began_ns_ != 0)
      best_rate_ = std::max(best_rate_, carried_ * 1e9 / static_cast<double>(now_ns - second_began_ns_));
    second_began_ns_ = now_ns;
    carried_ = 0;
  }

  double share_, bytes_ = 0, carried_ = 0, best_rate_ = 0;  // best_rate_: bytes/s over a second
  std::int64_t second_began_ns_ = 0, idle_since_ns_ = 0;
};

}  // namespace ff::agent
