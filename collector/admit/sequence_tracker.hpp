// SPDX-License-Identifier: Apache-2.0
//
// SequenceTracker: which sequence numbers of one (agent, stream, epoch) have come, which are missing.
//
// Memory: the missing ranges, at most kRangesMax; beyond, the oldest are no longer watched (and said so).
#pragma once

#include <cstdint>
#include <map>

namespace ff::collector {

class SequenceTracker {
 public:
  static constexpr std::size_t kRangesMax = 1024;

  struct Observation {
    std::uint64_t jumped_over = 0;  ///< numbers missing in front of this one, new with it
    bool filled = false;            ///< it had been missing
    bool duplicate = false;
  };

  /// What the agent said in HELLO: everything below `first` is acknowledged, perhaps by another collector.
  void begin_at(std::uint64_t first);
  [[nodiscard]] Observation observe(std::uint64_t sequence);

  [[nodiscard]] std::uint64_t next() const noexcept { return next_; }  ///< one above the highest seen
  [[nodiscard]] std::uint64_t missing() const noexcept { return missing_; }

 private:
  void remove(std::uint64_t sequence, std::map<std::uint64_t, std::uint64_t>::iterator range);

  std::uint64_t next_ = 0;  ///< 0: nothing is known yet
  std::uint64_t missing_ = 0;
  std::map<std::uint64_t, std::uint64_t> ranges_;  ///< first: one past the last
};

}  // namespace ff::collector
