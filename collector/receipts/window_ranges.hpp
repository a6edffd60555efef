// SPDX-License-Identifier: Apache-2.0
//
// WindowRanges: a set of windows as ranges that neither overlap nor touch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace ff::collector {

class WindowRanges {
 public:
  using Ranges = std::map<std::uint64_t, std::uint64_t>;  ///< first: one past the last

  /// [first, end); adjacent ranges become one.
  void add(std::uint64_t first, std::uint64_t end);
  void remove(std::uint64_t first, std::uint64_t end);

  /// Calls visit(first, end) for each piece that lies in [first, end), ascending.
  template <typename Visit>
  void each_in(std::uint64_t first, std::uint64_t end, Visit visit) const {
    auto range = ranges_.upper_bound(first);
    if (range != ranges_.begin() && std::prev(range)->second > first) --range;
    for (; range != ranges_.end() && range->first < end; ++range)
      visit(range->first < first ? first : range->first, range->second < end ? range->second : end);
  }

  [[nodiscard]] const Ranges& ranges() const noexcept { return ranges_; }
  [[nodiscard]] std::size_t size() const noexcept { return ranges_.size(); }
  [[nodiscard]] bool empty() const noexcept { return ranges_.empty(); }

 private:
  Ranges ranges_;
};

}  // namespace ff::collector
