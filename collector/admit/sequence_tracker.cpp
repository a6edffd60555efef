// SPDX-License-Identifier: Apache-2.0
#include "collector/admit/sequence_tracker.hpp"

#include <algorithm>
#include <iterator>

namespace ff::collector {

void SequenceTracker::begin_at(std::uint64_t first) {
  next_ = std::max(next_, first);
  while (!ranges_.empty() && ranges_.begin()->first < first) {
    const auto [begin, end] = *ranges_.begin();
    ranges_.erase(ranges_.begin());
    missing_ -= std::min(end, first) - begin;
    if (end > first) ranges_.emplace(first, end);
  }
}

SequenceTracker::Observation SequenceTracker::observe(std::uint64_t sequence) {
  Observation seen;
  if (next_ == 0 || sequence == next_) {  // the first of an agent that named no position, or simply the next
    next_ = sequence + 1;
    return seen;
  }
  if (sequence > next_) {
    seen.jumped_over = sequence - next_;
    ranges_.emplace_hint(ranges_.end(), next_, sequence);
    missing_ += seen.jumped_over;
    next_ = sequence + 1;
    if (ranges_.size() > kRangesMax) {
      missing_ -= ranges_.begin()->second - ranges_.begin()->first;
      ranges_.erase(ranges_.begin());
    }
    return seen;
  }
  auto range = ranges_.upper_bound(sequence);
  const bool was_missing = range != ranges_.begin() && sequence < std::prev(range)->second;
  if (was_missing) remove(sequence, std::prev(range));
  seen.filled = was_missing;
  seen.duplicate = !was_missing;
  return seen;
}

void SequenceTracker::remove(std::uint64_t sequence, std::map<std::uint64_t, std::uint64_t>::iterator range) {
  const auto [begin, end] = *range;
  ranges_.erase(range);
  if (begin < sequence) ranges_.emplace(begin, sequence);
  if (sequence + 1 < end) ranges_.emplace(sequence + 1, end);
  --missing_;
}

}  // namespace ff::collector
