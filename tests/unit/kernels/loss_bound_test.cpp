// SPDX-License-Identifier: Apache-2.0
//
// The promise of a bound: every value of every narrow type, both ends of every bin of the wide ones.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <catch2/catch.hpp>

#include "kernels/format/lossy_levels.hpp"

namespace {

using namespace ff;
using namespace ff::kernels;

constexpr Dtype kNarrow[] = {Dtype::u8, Dtype::i8, Dtype::u16, Dtype::i16};

LevelMap lossy_map(Dtype dtype, const LossBound& bound, std::int64_t base,
                   std::vector<std::int64_t> sentinels) {
  LevelMap map;
  map.level_bits = static_cast<std::uint8_t>(8 * dtype_bytes(dtype));
  map.kind = LevelMapKind::lossy;
  map.base = base;
  map.sentinels = std::move(sentinels);
  map.bound = bound;
  return map;
}

// The bound from its words in the operator's manual, by other means than the code's.
bool keeps_promise(const LossBound& bound, std::int64_t x, std::int64_t decoded) {
  const auto error = static_cast<long double>(std::abs(x - decoded));
  switch (bound.kind) {
    case LossBound::Kind::none: return error == 0;
    case LossBound::Kind::absolute: return error <= bound.limit;
    case LossBound::Kind::relative:
      return error * 10000 <= static_cast<long double>(bound.high - bound.low) * bound.share;
    case LossBound::Kind::root:
      return error == 0 || (x > 0 && error <= static_cast<long double>(bound.factor) / 1024 *
                                                  std::sqrt(static_cast<long double>(x)) * (1 + 1e-15L));
    case LossBound::Kind::photon: return error <= static_cast<long double>(bound.gain) / 2048 + 0.5L;
  }
  return false;
}

std::size_t broken_values(Dtype dtype, const LevelMap& map) {
  const LevelCodec codec(map, dtype);
  const ValueRange range = value_range(dtype);
  std::size_t broken = 0;
  for (std::int64_t x = range.low; x <= range.high; ++x) {
    const bool sentinel = std::ranges::find(map.sentinels, x) != map.sentinels.end();
    const std::uint32_t level = codec.level(x);
    const std::int64_t decoded = codec.value(level);
    const bool top = std::uint64_t{level} >= (std::uint64_t{1} << map.level_bits) - map.sentinels.size();
    const bool turned = !sentinel && std::ranges::find(map.sentinels, decoded) != map.sentinels.end();
    const bool good = codec.has_level(x) && top == sentinel && !turned &&
                      (sentinel ? decoded == x : keeps_promise(map.bound, x, decoded)) &&
                      codec.level(decoded) == level;
    broken += good ? 0 : 1;
  }
  return broken;
}

}  // namespace

TEST_CASE("every value of every narrow type keeps every bound, and no value becomes a sentinel") {
  for (const Dtype dtype : kNarrow) {
    const ValueRange range = value_range(dtype);
    const std::vector<std::vector<std::int64_t>> sentinel_lists = {
        {},
        {range.high},
        {range.high, range.high - 1, range.low},
        {3, 9, 0, 21, 22, 60, range.high - 4, range.high}};
    for (const char* text : {"abs:1",
                             "abs:2",
                             "abs:3",
                             "abs:7",
                             "abs:31",
                             "abs:1000",
                             "abs:70000",
                             "sqrt:0.1",
                             "sqrt:0.25",
                             "sqrt:0.5",
                             "sqrt:0.577",
                             "sqrt:0.75",
                             "sqrt:1",
                             "sqrt:1.5",
                             "sqrt:2",
                             "sqrt:5",
                             "sqrt:16",
                             "rel:3%,0,255",
                             "rel:1.25%,-100,4000",
                             "rel:0.5%,0,65535",
                             "rel:100%,0,40",
                             "photon:1.5,0",
                             "photon:2,3",
                             "photon:7.125,20.5",
                             "photon:100,-1",
                             "photon:3000,0"}) {
      const auto bound = parse_loss_bound(text);
      REQUIRE(bound.ok());
      if (!check_loss_bound(*bound, dtype).ok()) continue;
      for (const auto& sentinels : sentinel_lists) {
        for (const std::int64_t base : {range.low, std::int64_t{0}, std::int64_t{100}, range.high}) {
          const LevelMap map = lossy_map(dtype, *bound, base, sentinels);
          if (!lossy_map_fits(map, dtype)) continue;
          INFO(text << " " << dtype_name(dtype) << " base " << base << " sentinels " << sentinels.size());
          CHECK(broken_values(dtype, map) == 0);
        }
      }
    }
  }
}

TEST_CASE("every root bound on 8 and 16 bits is kept at every value") {
  for (std::uint32_t factor = 1; factor <= 16384; factor += factor < 256 ? 7 : 211) {
    LossBound bound;
    bound.kind = LossBound::Kind::root;
    bound.factor = factor;
    for (const Dtype dtype : {Dtype::u8, Dtype::u16}) {
      const LevelMap map = lossy_map(dtype, bound, 0, {});
      if (lossy_map_fits(map, dtype)) CHECK(broken_values(dtype, map) == 0);
    }
  }
}

TEST_CASE("32-bit types keep their bound at both ends of every bin of a list, and all over a lattice") {
  for (const Dtype dtype : {Dtype::u32, Dtype::i32}) {
    const ValueRange range = value_range(dtype);
    for (const char* text :
         {"sqrt:0.125", "sqrt:0.5", "sqrt:1", "sqrt:16", "abs:1", "abs:3", "abs:1000000000", "photon:1.5,0",
          "photon:21.5,1000.25", "photon:1048576,0", "rel:3%,0,1000000"}) {
      const auto bound = parse_loss_bound(text);
      REQUIRE(bound.ok());
      const LevelMap map = lossy_map(dtype, *bound, 0, {range.high, -1 & range.high, 7});
      if (!lossy_map_fits(map, dtype)) continue;
      const LossBins bins(*bound, dtype);
      std::size_t broken = 0;
      const std::int64_t step =
          bound->kind == LossBound::Kind::root ? 1 : std::max<std::int64_t>(1, bins.last() / 4096);
      for (std::int64_t i = std::max<std::int64_t>(bins.first(), 0); i < bins.last(); i += step) {
        const std::int64_t centre = bins.value(i), next = bins.value(i + 1);
        std::int64_t low = centre, high = next;  // the last value of bin i lies between
        while (high - low > 1) {
          const std::int64_t middle = low + (high - low) / 2;
          (bins.index(middle) == i ? low : high) = middle;
        }
        broken += keeps_promise(*bound, low, centre) && keeps_promise(*bound, low + 1, next) ? 0 : 1;
      }
      INFO(text << " " << dtype_name(dtype));
      CHECK(broken == 0);
    }
  }
}

TEST_CASE("bins of a root bound are wide, and favour neither side") {
  for (const double factor : {0.5, 1.0, 2.0}) {
    LossBound bound;
    bound.kind = LossBound::Kind::root;
    bound.factor = static_cast<std::uint32_t>(factor * 1024);
    const LossBins bins(bound, Dtype::u16);
    CHECK(static_cast<double>(bins.count()) < 512 / factor + 8 * factor + 24);
    // Smoothly spread values, as of many pixels of different rates.
    double sum = 0, weights = 0;
    for (std::int64_t x = 1000; x < 60000; ++x) {
      const double t = static_cast<double>(x - 1000) / 59000, weight = t * t * (1 - t) * (1 - t);
      sum += weight * static_cast<double>(bins.value(bins.index(x)) - x);
      weights += weight;
    }
    CHECK(std::abs(sum / weights) < 0.03 * factor * factor);
  }
}

TEST_CASE("zeros stay zeros under abs and sqrt, counts below (1/F)^2 are exact") {
  const LossBins lattice(*parse_loss_bound("abs:3"), Dtype::u16),
      root(*parse_loss_bound("sqrt:0.5"), Dtype::u16);
  CHECK(lattice.value(lattice.index(0)) == 0);
  for (std::int64_t x = 0; x < 4; ++x) CHECK(root.value(root.index(x)) == x);
}

TEST_CASE("a bound that leaves nothing to lose, and negative values under a root, are exact") {
  CHECK_FALSE(lossy_map_fits(lossy_map(Dtype::u16, *parse_loss_bound("sqrt:0.002"), 0, {}), Dtype::u16));
  CHECK_FALSE(lossy_map_fits(lossy_map(Dtype::u16, *parse_loss_bound("rel:1%,0,50"), 0, {}), Dtype::u16));
  CHECK_FALSE(lossy_map_fits(lossy_map(Dtype::u32, *parse_loss_bound("photon:1,0"), 0, {-1}), Dtype::u32));
  const LossBins bins(*parse_loss_bound("sqrt:2"), Dtype::i16);
  for (std::int64_t x = -32768; x <= 0; ++x) REQUIRE(bins.value(bins.index(x)) == x);
}

TEST_CASE("a bound's text comes back as it was declared; what is no bound is refused with the forms named") {
  for (const char* text : {"none", "abs:1", "abs:1073741824", "rel:3%,0,4095", "rel:0.01%,-5,100000",
                           "sqrt:0.5", "sqrt:16", "photon:21.5,1000", "photon:1.25,-30.5"}) {
    const auto bound = parse_loss_bound(text);
    REQUIRE(bound.ok());
    CHECK(to_string(*bound) == text);
    CHECK(*parse_loss_bound(to_string(*bound)) == *bound);
  }
  for (std::uint32_t factor = 1; factor <= 16384; ++factor) {
    LossBound bound;
    bound.kind = LossBound::Kind::root;
    bound.factor = factor;
    REQUIRE(*parse_loss_bound(to_string(bound)) == bound);
  }
  for (const char* text : {"",
                           "abs",
                           "abs:",
                           "abs:0",
                           "abs:-1",
                           "abs:1.5",
                           "abs:1,2",
                           "abs:99999999999",
                           "rel:3%",
                           "rel:3,0,10",
                           "rel:3%,10,10",
                           "rel:101%,0,10",
                           "rel:0%,0,10",
                           "sqrt:0",
                           "sqrt:17",
                           "sqrt:-1",
                           "sqrt:x",
                           "sqrt:.5",
                           "sqrt:5.",
                           "photon:0.5,0",
                           "photon:2",
                           "photon:2,",
                           "zfp:1",
                           "abs:3 ",
                           "none:1"}) {
    const auto bound = parse_loss_bound(text);
    INFO(text);
    REQUIRE_FALSE(bound.ok());
    CHECK(bound.error().code == Errc::invalid_argument);
    CHECK(bound.error().message.find("abs:N") != std::string::npos);
  }
}

TEST_CASE("a bound that a pixel type can't have is refused by name") {
  CHECK_FALSE(check_loss_bound(*parse_loss_bound("sqrt:0.1"), Dtype::u32).ok());
  CHECK(check_loss_bound(*parse_loss_bound("sqrt:0.125"), Dtype::u32).ok());
  CHECK_FALSE(check_loss_bound(*parse_loss_bound("photon:3,-10"), Dtype::u16).ok());
  CHECK(check_loss_bound(*parse_loss_bound("photon:3,-10"), Dtype::i16).ok());
  CHECK_FALSE(check_loss_bound(*parse_loss_bound("abs:3"), Dtype::f32).ok());
}

TEST_CASE("a lossy map is written and parsed; hostile parameters are refused before any table is made") {
  for (const char* text : {"abs:3", "rel:3%,0,4095", "sqrt:0.5", "photon:21.5,1000"}) {
    const LevelMap map = lossy_map(Dtype::u16, *parse_loss_bound(text), 12, {65535});
    BitWriter out;
    write_level_map(map, out);
    BitReader in(out.bytes());
    const auto parsed = parse_level_map(in, Dtype::u16);
    REQUIRE(parsed.ok());
    CHECK(*parsed == map);
    CHECK(in.ended_cleanly());
  }
  const auto refused = [](Dtype dtype, const LossBound& bound) {
    BitWriter out;
    write_level_map(lossy_map(dtype, bound, 0, {}), out);
    BitReader in(out.bytes());
    return !parse_level_map(in, dtype).ok();
  };
  using Kind = LossBound::Kind;
  CHECK(refused(Dtype::u16, {Kind::absolute, 0, 0, 0, 0, 0, 0, 0}));
  CHECK(refused(Dtype::u16, {Kind::absolute, 0xffffffff, 0, 0, 0, 0, 0, 0}));
  CHECK(refused(Dtype::u16, {Kind::relative, 0, 300, INT64_MIN, INT64_MAX, 0, 0, 0}));
  CHECK(refused(Dtype::u16, {Kind::relative, 0, 1, 0, 10, 0, 0, 0}));
  CHECK(refused(Dtype::u16, {Kind::root, 0, 0, 0, 0, 0, 0, 0}));
  CHECK(refused(Dtype::u16, {Kind::root, 0, 0, 0, 0, 3, 0, 0}));
  CHECK(refused(Dtype::u32, {Kind::root, 0, 0, 0, 0, 1, 0, 0}));
  CHECK(refused(Dtype::u32, {Kind::root, 0, 0, 0, 0, 0xffffffff, 0, 0}));
  CHECK(refused(Dtype::u32, {Kind::photon, 0, 0, 0, 0, 0, 1, 0}));
  CHECK(refused(Dtype::u32, {Kind::photon, 0, 0, 0, 0, 0, 2048, INT64_MIN}));
}
