// SPDX-License-Identifier: Apache-2.0
//
// Exact division by a frequency: one multiplication and a shift in place of x / f, in the two widths that the lanes use.
//
// Data path  token > [lanes] > block
// Meaning    docs/formats/block.md §7: a lane that takes a token has 0 <= x < f << (32 - bits), 0 < f < 1 << bits, bits 11 or 12.
// Not here   lanes (generic_lanes.inl, avx2_*_lanes.inl).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/format/context_tables.hpp"

namespace ff::kernels::cpu {

/// x / f = x × wide_reciprocal(f) >> (32 + bits), the product in 64 bits.
///
/// With k = 32 + bits and m = floor(2^k / f) + 1, e = f m - 2^k is 1 ... f, so x m / 2^k = x / f + x e / (f 2^k). A fraction of
/// f parts is at least 1 / f below the next integer: the floor is right where x e < 2^k, and x e < f × 2^(32 - bits) × f < 2^k
/// because f < 2^bits. The product is (x 2^k + x e) / f < ((x + 1) / f) 2^k <= 2^(32 - bits) 2^k = 2^64.
[[nodiscard]] constexpr std::uint64_t wide_reciprocal(std::uint32_t f, unsigned bits) noexcept {
  return (std::uint64_t{1} << (32 + bits)) / f + 1;
}

/// x / f = (x + addend) × multiplier >> shift, for vectors, whose products have two factors of 32 bits.
///
/// With addend 1: m = floor(2^k / f), or one less where f divides 2^k, so e = 2^k - f m is 1 ... f and
/// (x + 1) m / 2^k = (x + 1) / f - (x + 1) e / (f 2^k): below floor(x / f) + 1 because e > 0, and not below floor(x / f) where
/// (x + 1) e <= 2^k. With addend 0 as above: x e < 2^k, e = f m - 2^k. One of kNarrowRules does it for every f, and
/// multiplier < 2^32; narrow_reciprocal() looks for it by just these conditions.
struct NarrowRule {
  std::uint8_t shift = 0, addend = 0;
};
inline constexpr std::array<NarrowRule, 8> kNarrowRules{
    {{32, 1}, {36, 1}, {39, 1}, {41, 1}, {42, 1}, {42, 0}, {43, 1}, {43, 0}}};

struct NarrowReciprocal {
  std::uint32_t multiplier = 0;
  std::uint8_t rule = 0;
};

[[nodiscard]] constexpr NarrowReciprocal narrow_reciprocal(std::uint32_t f, unsigned bits) noexcept {
  const std::uint64_t x_end = std::uint64_t{f} << (32 - bits);
  for (std::size_t rule = 0; rule < kNarrowRules.size(); ++rule) {
    const std::uint64_t one = std::uint64_t{1} << kNarrowRules[rule].shift;
    const bool down = kNarrowRules[rule].addend != 0;
    const std::uint64_t m = down ? (one - 1) / f : one / f + 1;
    const std::uint64_t e = down ? one - f * m : f * m - one;
    // x_end < 2^32 and e <= f < 2^12: no product overflows.
    const bool exact = down ? x_end * e <= one : (x_end - 1) * e < one;
    if (exact && m >> 32 == 0) return {static_cast<std::uint32_t>(m), static_cast<std::uint8_t>(rule)};
  }
  return {};  // no f comes here: reciprocals_test.cpp
}

/// Those of all frequencies of one scale; made once in a process.
[[nodiscard]] inline const std::vector<NarrowReciprocal>& narrow_reciprocals(unsigned bits) {
  const auto make = [](unsigned of_bits) {
    std::vector<NarrowReciprocal> all(std::size_t{1} << of_bits);
    for (std::uint32_t f = 1; f < all.size(); ++f) all[f] = narrow_reciprocal(f, of_bits);
    return all;
  };
  static const std::array<std::vector<NarrowReciprocal>, 2> of_scale{make(kProbabilityBitsMin),
                                                                     make(kProbabilityBitsMax)};
  return of_scale[bits - kProbabilityBitsMin];
}

}  // namespace ff::kernels::cpu
