// SPDX-License-Identifier: Apache-2.0
#include "common/base/clock.hpp"

#include <catch2/catch.hpp>

TEST_CASE("UTC is written with nine digits, before and after 1970", "[clock]") {
  CHECK(ff::format_utc(0) == "1970-01-01T00:00:00.000000000Z");
  CHECK(ff::format_utc(1'795'208'223'123'456'789) == "2026-11-20T20:57:03.123456789Z");
  CHECK(ff::format_utc(-1) == "1969-12-31T23:59:59.999999999Z");
  CHECK(ff::format_utc(-1'000'000'000) == "1969-12-31T23:59:59.000000000Z");
}

TEST_CASE("the monotonic clock never goes back, and a boot has one name", "[clock]") {
  const auto before = ff::monotonic_now_ns();
  CHECK(ff::monotonic_now_ns() >= before);
  CHECK_FALSE(ff::boot_id().empty());
  CHECK(ff::boot_id() == ff::boot_id());
}

TEST_CASE("a clock that is disciplined states a bound on its error", "[clock]") {
  const ff::ClockQuality quality = ff::clock_quality();
  if (!quality.known) WARN("this kernel does not tell about its clock");
  if (quality.disciplined) CHECK(quality.uncertainty_ns > 0);
  if (!quality.known) CHECK_FALSE(quality.disciplined);
}
