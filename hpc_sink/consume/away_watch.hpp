// SPDX-License-Identifier: Apache-2.0
//
// AwayWatch: notices that this process was stopped for so long that its partitions may be another sink's by now.
//
// Data path  consume > decode > [store: may this file be published?]
// A consumer group takes the partitions of a member that is silent for its session (6 s or more). Who comes back learns of
// it by his next polls, a moment later; until then a file that was open belongs perhaps to windows that another has stored.
// One thread.
#pragma once

#include <cstdint>

namespace ff::sink {

class AwayWatch {
 public:
  static constexpr std::int64_t kAwayNs = 5'000'000'000;  ///< between two looks: below any session
  static constexpr std::int64_t kHearNs = 3'000'000'000;  ///< in which a lost partition is heard of

  /// Call many times a second, with the monotonic clock. True while it is too early to publish.
  [[nodiscard]] bool unsure(std::int64_t now_ns) noexcept {
    if (last_look_ns_ != 0 && now_ns - last_look_ns_ > kAwayNs) sure_from_ns_ = now_ns + kHearNs;
    last_look_ns_ = now_ns;
    return now_ns < sure_from_ns_;
  }

 private:
  std::int64_t last_look_ns_ = 0, sure_from_ns_ = 0;
};

}  // namespace ff::sink
