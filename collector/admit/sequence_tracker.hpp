// SPDX-License-Identifier: Apache-2.0
//
// SequenceTracker: which sequence numbers of one (agent, stream, epoch) have come, which are missing.
//
// Tells which of the missing ones it is time to ask for.
//
// Memory: the missing ranges, at most kRangesMax; beyond, the oldest are no longer watched (and said so).
#pragma once

#include <cstdint>
#include <map>
#include <vector>

namespace ff::collector {

class SequenceTracker {
 public:
  static constexpr std::size_t kRangesMax = 1024;
  static constexpr std::uint32_t kAsksMax = 4;  ///< then a range is only counted

  struct Observation {
    std::uint64_t jumped_over = 0;  ///< numbers missing in front of this one, new with it
    bool filled = false;            ///< it had been missing
    bool duplicate = false;
  };

  /// What the agent said in HELLO: everything below `first` is acknowledged, perhaps by another collector.
  void begin_at(std::uint64_t first);
  [[nodiscard]] Observation observe(std::uint64_t sequence, std::int64_t now_ns = 0);

  struct Missing {
    std::uint64_t first = 0, count = 0;
  };
  /// Ranges missing for `patience_ns`, and again after twice that, four times ...; at most `most` of them.
  [[nodiscard]] std::vector<Missing> due(std::int64_t now_ns, std::int64_t patience_ns, std::size_t most);

  [[nodiscard]] std::uint64_t next() const noexcept { return next_; }  ///< one above the highest seen
  [[nodiscard]] std::uint64_t missing() const noexcept { return missing_; }

 private:
  struct Range {
    std::uint64_t end = 0;  ///< one past the last
    std::int64_t since_ns = 0;
    std::uint32_t asked = 0;
  };
  using Ranges = std::map<std::uint64_t, Range>;
  void remove(std::uint64_t sequence, Ranges::iterator range);

  std::uint64_t next_ = 0;  ///< 0: nothing is known yet
  std::uint64_t missing_ = 0;
  Ranges ranges_;  ///< by their first number
};

}  // namespace ff::collector
