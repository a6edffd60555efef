// SPDX-License-Identifier: Apache-2.0
#include "collector/admit/sequence_tracker.hpp"

#include <algorithm>
#include <iterator>

namespace ff::collector {

void SequenceTracker::begin_at(std::uint64_t first) {
  next_ = std::max(next_, first);
  while (!ranges_.empty() && ranges_.begin()->first < first) {
    const auto [begin, range] = *ranges_.begin();
    ranges_.erase(ranges_.begin());
    missing_ -= std::min(range.end, first) - begin;
    if (range.end > first) ranges_.emplace(first, range);
  }
}

SequenceTracker::Observation SequenceTracker::observe(std::uint64_t sequence, std::int64_t now_ns) {
  Observation seen;
  if (next_ == 0 || sequence == next_) {  // the first of an agent that named no position, or simply the next
    next_ = sequence + 1;
    return seen;
  }
  if (sequence > next_) {
    seen.jumped_over = sequence - next_;
    ranges_.emplace_hint(ranges_.end(), next_, Range{sequence, now_ns, 0});
    missing_ += seen.jumped_over;
    next_ = sequence + 1;
    if (ranges_.size() > kRangesMax) {
      missing_ -= ranges_.begin()->second.end - ranges_.begin()->first;
      ranges_.erase(ranges_.begin());
    }
    return seen;
  }
  auto range = ranges_.upper_bound(sequence);
  const bool was_missing = range != ranges_.begin() && sequence < std::prev(range)->second.end;
  if (was_missing) remove(sequence, std::prev(range));
  seen.filled = was_missing;
  seen.duplicate = !was_missing;
  return seen;
}

std::vector<SequenceTracker::Missing> SequenceTracker::due(std::int64_t now_ns, std::int64_t patience_ns,
                                                           std::size_t most) {
  std::vector<Missing> due;
  for (auto& [first, range] : ranges_) {
    if (due.size() >= most) break;
    if (range.asked >= kAsksMax || now_ns - range.since_ns < (patience_ns << range.asked)) continue;
    due.push_back({first, range.end - first});
    range.since_ns = now_ns;
    ++range.asked;
  }
  return due;
}

void SequenceTracker::remove(std::uint64_t sequence, Ranges::iterator at) {
  const auto [begin, range] = *at;
  ranges_.erase(at);
  if (begin < sequence) ranges_.emplace(begin, Range{sequence, range.since_ns, range.asked});
  if (sequence + 1 < range.end) ranges_.emplace(sequence + 1, range);
  --missing_;
}

}  // namespace ff::collector
