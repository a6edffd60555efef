// SPDX-License-Identifier: Apache-2.0
#include "collector/admit/sequence_tracker.hpp"

#include <algorithm>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

namespace ff::collector {

TEST_CASE("a stream without gaps is neither missing nor doubled", "[admit]") {
  SequenceTracker tracker;
  for (std::uint64_t n = 1; n <= 100; ++n) {
    const auto seen = tracker.observe(n);
    CHECK_FALSE(seen.duplicate);
    CHECK(seen.jumped_over == 0);
  }
  CHECK(tracker.next() == 101);
  CHECK(tracker.missing() == 0);
}

TEST_CASE("a jump is a gap, which fills one by one", "[admit]") {
  SequenceTracker tracker;
  CHECK(tracker.observe(1).jumped_over == 0);
  CHECK(tracker.observe(6).jumped_over == 4);
  CHECK(tracker.missing() == 4);
  CHECK(tracker.observe(4).filled);
  CHECK(tracker.observe(4).duplicate);
  CHECK(tracker.observe(2).filled);
  CHECK(tracker.missing() == 2);
  CHECK(tracker.observe(5).filled);
  CHECK(tracker.observe(3).filled);
  CHECK(tracker.missing() == 0);
  CHECK(tracker.observe(6).duplicate);
}

TEST_CASE("what another collector acknowledged is not missing here", "[admit]") {
  SequenceTracker tracker;
  tracker.begin_at(500);
  CHECK(tracker.observe(500).jumped_over == 0);
  CHECK(tracker.observe(510).jumped_over == 9);
  tracker.begin_at(505);  // the agent came back: everything below is acknowledged
  CHECK(tracker.missing() == 5);
  tracker.begin_at(1000);
  CHECK(tracker.missing() == 0);
  CHECK(tracker.observe(1000).jumped_over == 0);
}

TEST_CASE("without a position the first record seen is the beginning", "[admit]") {
  SequenceTracker tracker;
  CHECK(tracker.observe(77).jumped_over == 0);
  CHECK(tracker.missing() == 0);
}

TEST_CASE("any order of all records ends with nothing missing", "[admit]") {
  std::mt19937 random(20261121);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::uint64_t> order(200);
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i + 1;
    std::ranges::shuffle(order, random);
    SequenceTracker tracker;
    tracker.begin_at(1);
    std::uint64_t filled = 0, jumped = 0;
    for (const std::uint64_t n : order) {
      const auto seen = tracker.observe(n);
      REQUIRE_FALSE(seen.duplicate);
      filled += seen.filled;
      jumped += seen.jumped_over;
    }
    CHECK(tracker.missing() == 0);
    CHECK(filled == jumped);
  }
}

TEST_CASE("the memory of gaps is bounded", "[admit]") {
  SequenceTracker tracker;
  for (std::uint64_t n = 1; n < 10'000; n += 2) CHECK_FALSE(tracker.observe(n).duplicate);
  CHECK(tracker.missing() == SequenceTracker::kRangesMax);
}

TEST_CASE("missing records are due after a time, then after twice that, and at last no more", "[admit]") {
  SequenceTracker tracker;
  static_cast<void>(tracker.observe(1, 0));
  static_cast<void>(tracker.observe(10, 1000));
  CHECK(tracker.due(1099, 100, 10).empty());
  const auto first = tracker.due(1100, 100, 10);
  REQUIRE(first.size() == 1);
  CHECK(first[0].first == 2);
  CHECK(first[0].count == 8);
  static_cast<void>(tracker.observe(5, 1150));  // fills one: two ranges remain
  CHECK(tracker.due(1299, 100, 10).empty());
  CHECK(tracker.due(1300, 100, 1).size() == 1);
  CHECK(tracker.due(1300, 100, 10).size() == 1);
  std::size_t asked = 0;
  for (std::int64_t now = 1300; now < 1'000'000; now += 50) asked += tracker.due(now, 100, 10).size();
  CHECK(asked == 2 * (SequenceTracker::kAsksMax - 2));
  CHECK(tracker.missing() == 7);
}

}  // namespace ff::collector
