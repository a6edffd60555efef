// SPDX-License-Identifier: Apache-2.0
//
// Base-2 logarithms in whole numbers, so that a plan is the same on every machine.
//
// Data path  sample > [cost in bits] > plan
// Meaning    the planner's yardstick only; nothing here is in the file format.
// Not here   the coder (lanes.hpp).
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>

namespace ff::kernels::reference {

/// Costs are in 1/65536 bit.
using FixedBits = std::uint64_t;
inline constexpr unsigned kFixedBitsShift = 16;

namespace detail {

constexpr unsigned kMantissaBits = 11;

// log2(1 + i / 2048) by repeated squaring: one bit of the result per step.
constexpr std::uint32_t log2_of_mantissa(std::uint32_t i) noexcept {
  std::uint64_t x = (std::uint64_t{1} << 31) + (std::uint64_t{i} << (31 - kMantissaBits));
  std::uint32_t result = 0;
  for (unsigned bit = 0; bit < kFixedBitsShift; ++bit) {
    x = (x * x) >> 31;
    result <<= 1;
    if (x >> 32 != 0) {
      result |= 1;
      x >>= 1;
    }
  }
  return result;
}

inline constexpr auto kLog2Table = [] {
  std::array<std::uint32_t, (1u << kMantissaBits) + 1> table{};
  for (std::uint32_t i = 0; i < table.size() - 1; ++i) table[i] = log2_of_mantissa(i);
  table.back() = 1u << kFixedBitsShift;
  return table;
}();

}  // namespace detail

/// log2(n) x 65536 for n >= 1, cut to 11 bits of mantissa; 0 for n = 0.
[[nodiscard]] constexpr std::uint32_t log2_fixed(std::uint32_t n) noexcept {
  if (n == 0) return 0;
  const auto exponent = static_cast<unsigned>(std::bit_width(n)) - 1;
  const std::uint32_t mantissa = exponent >= detail::kMantissaBits ? n >> (exponent - detail::kMantissaBits)
                                                                   : n << (detail::kMantissaBits - exponent);
  return (exponent << kFixedBitsShift) + detail::kLog2Table[mantissa & ((1u << detail::kMantissaBits) - 1)];
}

/// Bits that a histogram's events take under their own frequencies.
[[nodiscard]] inline FixedBits entropy_bits(std::span<const std::uint32_t> histogram) noexcept {
  std::uint64_t total = 0, inside = 0;
  for (const std::uint32_t n : histogram) {
    if (n == 0) continue;
    total += n;
    inside += std::uint64_t{n} * log2_fixed(n);
  }
  const std::uint64_t whole = total * log2_fixed(static_cast<std::uint32_t>(total));
  return whole > inside ? whole - inside : 0;
}

}  // namespace ff::kernels::reference
