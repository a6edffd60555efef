// SPDX-License-Identifier: Apache-2.0
//
// Symbols of cells and of the values in them, by the rules of docs/formats/block.md §6.11 and §6.12.
#include "kernels/format/cell_values.hpp"

#include <catch2/catch.hpp>

#include "kernels/format/frequencies.hpp"

using namespace ff;
using namespace ff::kernels;

TEST_CASE("every value comes back from its symbol and raw bits", "[kernels][cells]") {
  for (unsigned bit = 0; bit < 32; ++bit) {
    for (const std::int64_t near : {-2, -1, 0, 1, 2}) {
      const std::int64_t wanted = (std::int64_t{1} << bit) + near;
      if (wanted < 0) continue;
      const auto level = static_cast<std::uint32_t>(wanted);
      const ValueSymbol value = value_symbol(level);
      CHECK(value.symbol <= kValueSymbolMax);
      CHECK(value.raw_bits == value_raw_bits(value.symbol));
      const std::uint32_t raw = level & ((1u << value.raw_bits) - 1);
      CHECK(value_floor(value.symbol) + raw == level);
    }
  }
  CHECK(value_symbol(0xffffffff).symbol == kValueSymbolMax);
}

TEST_CASE("half octaves grow with the level and are 0 for level 0 alone", "[kernels][cells]") {
  CHECK(half_octave(0) == 0);
  std::uint8_t before = 0;
  for (std::uint32_t level = 1; level != 0; level = level < 0x80000000u ? level + 1 + level / 7 : 0) {
    CHECK(half_octave(level) >= std::max<std::uint8_t>(before, 1));
    before = half_octave(level);
  }
  CHECK(half_octave(0xffffffff) == 63);
}

TEST_CASE("a cell's symbol holds its levels, and says which of them are values", "[kernels][cells]") {
  const std::uint32_t levels[] = {0, 2, 3, 70000};
  const std::uint32_t token = cell_token(levels);
  CHECK(token == 0 + 4 * 2 + 16 * 3 + 64 * 3);
  CHECK(has_values(token));
  CHECK(cell_digit(token, 1) == 2);
  const std::uint32_t small[] = {1, 2, 0, 2};
  CHECK_FALSE(has_values(cell_token(small)));
}

TEST_CASE("symbols rarer than a quarter of the smallest share escape, others stay", "[kernels][cells]") {
  Histogram counts{};
  counts[0] = 100000;
  counts[1] = 7;  // 100000 / 16384 = 6.1
  counts[64] = 6;
  const Histogram kept = with_rare_escaped(counts, 12);
  CHECK(kept[1] == 7);
  CHECK(kept[64] == 0);
  CHECK(kept[kEscape] == 6);
}
