// SPDX-License-Identifier: Apache-2.0
#include "collector/receipts/window_ranges.hpp"

#include <random>
#include <set>

#include <catch2/catch.hpp>

namespace ff::collector {

TEST_CASE("ranges of windows behave as the set of their windows", "[receipts]") {
  std::mt19937 random(4711);
  const auto below = [&](std::uint64_t n) {
    return std::uniform_int_distribution<std::uint64_t>(0, n - 1)(random);
  };
  for (int round = 0; round < 200; ++round) {
    WindowRanges ranges;
    std::set<std::uint64_t> windows;
    for (int step = 0; step < 60; ++step) {
      const std::uint64_t first = below(100), end = first + below(12);
      const bool adds = below(3) > 0;
      adds ? ranges.add(first, end) : ranges.remove(first, end);
      for (std::uint64_t w = first; w < end; ++w) adds ? (void)windows.insert(w) : (void)windows.erase(w);
    }
    std::set<std::uint64_t> held;
    std::uint64_t last_end = 0;
    for (const auto& [first, end] : ranges.ranges()) {
      REQUIRE(first < end);
      REQUIRE((held.empty() || first > last_end));  // neighbours have become one
      for (std::uint64_t w = first; w < end; ++w) held.insert(w);
      last_end = end;
    }
    REQUIRE(held == windows);
    const std::uint64_t from = below(100), to = from + below(40);
    std::set<std::uint64_t> seen, expected;
    ranges.each_in(from, to, [&](std::uint64_t first, std::uint64_t end) {
      for (std::uint64_t w = first; w < end; ++w) seen.insert(w);
    });
    for (const std::uint64_t w : windows)
      if (w >= from && w < to) expected.insert(w);
    REQUIRE(seen == expected);
  }
}

}  // namespace ff::collector
