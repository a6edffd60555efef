// SPDX-License-Identifier: Apache-2.0
//
// Level maps: one to one over whole pixel types, sentinels on top, the same through rows and through bits.
#include "kernels/format/level_map.hpp"

#include <unordered_set>

#include <catch2/catch.hpp>

namespace {

using namespace ff;
using namespace ff::kernels;

void check_one_to_one(const LevelMap& map, Dtype dtype) {
  const LevelCodec codec(map, dtype);
  const ValueRange range = value_range(dtype);
  std::unordered_set<std::uint32_t> levels;
  std::size_t wrong = 0;
  for (std::int64_t value = range.low; value <= range.high; ++value) {
    if (!codec.has_level(value)) continue;
    const std::uint32_t level = codec.level(value);
    wrong += levels.insert(level).second && codec.value(level) == value ? 0 : 1;
    const bool sentinel = std::ranges::find(map.sentinels, value) != map.sentinels.end();
    wrong += sentinel == (!map.sentinels.empty() && level >= map.first_sentinel_level()) ? 0 : 1;
    std::byte pixel[4], back[4];
    store_pixel(dtype, pixel, value);
    std::uint16_t row_level = 0;
    codec.levels_of_row(pixel, 1, &row_level);
    wrong += row_level == level ? 0 : 1;
    codec.values_of_row(&row_level, 1, back);
    wrong += load_pixel(dtype, back) == value ? 0 : 1;
  }
  CHECK(wrong == 0);
}

LevelMap through_bits(const LevelMap& map, Dtype dtype) {
  BitWriter out;
  write_level_map(map, out);
  BitReader in(out.bytes());
  const auto parsed = parse_level_map(in, dtype);
  REQUIRE(parsed.ok());
  CHECK(in.ended_cleanly());
  return *parsed;
}

}  // namespace

TEST_CASE("an offset map is one to one wherever its base and sentinels lie", "[level_map]") {
  for (const Dtype dtype : {Dtype::u8, Dtype::i8, Dtype::u16, Dtype::i16}) {
    const ValueRange range = value_range(dtype);
    const auto bits = static_cast<std::uint8_t>(8 * dtype_bytes(dtype));
    for (const std::int64_t base : {range.low, std::int64_t{0}, std::int64_t{100}, range.high}) {
      for (const auto& sentinels : {std::vector<std::int64_t>{},
                                    {range.high},
                                    {5},
                                    {range.high, 5, range.low},
                                    {range.high - 1, range.high},
                                    {0, 1, 2, 3, 4, 5, 6, 7}}) {
        LevelMap map;
        map.level_bits = bits;
        map.base = base;
        map.sentinels = sentinels;
        check_one_to_one(map, dtype);
        CHECK(through_bits(map, dtype) == map);
      }
    }
  }
}

TEST_CASE("the usual sentinels with base 0 need no mapping at all", "[level_map]") {
  CHECK(LevelCodec({16, LevelMapKind::offset, 0, {65535}, {}}, Dtype::u16).identity());
  CHECK(LevelCodec({32, LevelMapKind::offset, 0, {-1, -2}, {}}, Dtype::i32).identity());
  CHECK_FALSE(LevelCodec({32, LevelMapKind::offset, 0, {-2, -1}, {}}, Dtype::i32).identity());
  CHECK_FALSE(LevelCodec({16, LevelMapKind::offset, 1, {65535}, {}}, Dtype::u16).identity());
}

TEST_CASE("a narrow map of 32-bit pixels knows which values it lacks", "[level_map]") {
  const LevelCodec codec({16, LevelMapKind::offset, -10, {-1, -2}, {}}, Dtype::i32);
  CHECK(codec.level(-1) == 65535);
  CHECK(codec.level(-2) == 65534);
  CHECK(codec.has_level(-10));
  CHECK_FALSE(codec.has_level(-11));
  CHECK_FALSE(codec.has_level(70000));
  std::size_t wrong = 0;
  for (std::int64_t value = -10; value < 65526; ++value) {
    wrong += !codec.has_level(value) || codec.value(codec.level(value)) == value ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("a packed map ranks its values and refuses others", "[level_map]") {
  const LevelMap map{8, LevelMapKind::packed, 10, {255}, {10, 11, 12, 20, 25, 26, 99}};
  check_one_to_one(map, Dtype::u8);
  CHECK(LevelCodec(map, Dtype::u8).level(20) == 3);
  CHECK_FALSE(LevelCodec(map, Dtype::u8).has_level(13));
  CHECK(through_bits(map, Dtype::u8) == map);
}

TEST_CASE("Exp-Golomb codes give back every number and bound hostile ones", "[bit_code]") {
  for (unsigned k = 0; k < 12; ++k) {
    BitWriter out;
    std::size_t bits = 0;
    for (std::uint32_t v = 0; v < 3000; v += 1 + v / 7) out.golomb(v, k), bits += golomb_bits(v, k);
    CHECK(out.bit_count() == bits);
    BitReader in(out.bytes());
    for (std::uint32_t v = 0; v < 3000; v += 1 + v / 7) REQUIRE(in.golomb(k) == v);
    CHECK(in.ended_cleanly());
  }
  const std::vector<std::byte> zeros(100, std::byte{0});
  BitReader hostile(zeros);
  CHECK(hostile.golomb(3) == 0);
  CHECK_FALSE(hostile.ok());
}
