// SPDX-License-Identifier: Apache-2.0
//
// When a sink may not be sure of its partitions.
#include "hpc_sink/consume/away_watch.hpp"

#include <catch2/catch.hpp>

using ff::sink::AwayWatch;

TEST_CASE("a sink that was stopped for longer than a session waits until it may have heard of it", "[sink]") {
  constexpr std::int64_t kSecond = 1'000'000'000;
  AwayWatch watch;
  CHECK_FALSE(watch.unsure(100 * kSecond));  // the first look is no return
  CHECK_FALSE(watch.unsure(100 * kSecond + AwayWatch::kAwayNs));
  const std::int64_t back = 100 * kSecond + 30 * kSecond;
  CHECK(watch.unsure(back));
  CHECK(watch.unsure(back + AwayWatch::kHearNs - 1));
  CHECK_FALSE(watch.unsure(back + AwayWatch::kHearNs));
  CHECK_FALSE(watch.unsure(back + AwayWatch::kHearNs + kSecond));
}
