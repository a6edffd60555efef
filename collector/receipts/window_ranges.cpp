// SPDX-License-Identifier: Apache-2.0
#include "collector/receipts/window_ranges.hpp"

#include <algorithm>
#include <iterator>

namespace ff::collector {

void WindowRanges::add(std::uint64_t first, std::uint64_t end) {
  if (first >= end) return;
  auto range = ranges_.upper_bound(first);
  if (range != ranges_.begin() && std::prev(range)->second >= first) --range;
  while (range != ranges_.end() && range->first <= end) {
    first = std::min(first, range->first);
    end = std::max(end, range->second);
    range = ranges_.erase(range);
  }
  ranges_.emplace_hint(range, first, end);
}

void WindowRanges::remove(std::uint64_t first, std::uint64_t end) {
  if (first >= end) return;
  auto range = ranges_.upper_bound(first);
  if (range != ranges_.begin() && std::prev(range)->second > first) --range;
  while (range != ranges_.end() && range->first < end) {
    const auto [begin, stop] = *range;
    range = ranges_.erase(range);
    if (begin < first) ranges_.emplace(begin, first);
    if (stop > end) ranges_.emplace(end, stop);
  }
}

}  // namespace ff::collector
