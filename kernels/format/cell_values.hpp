// SPDX-License-Identifier: Apache-2.0
//
// Cells: 2 x 2 pixels as one symbol, and how levels too large for it are coded.
//
//     token = a + 4 b + 16 c + 64 d,  each digit min(level, 3);  a digit 3 is followed by its level's value
//     value = symbol (octave and two more bits) and the bits below them
//
// Data path  level map > [cells] > context > token > lanes
// Meaning    docs/formats/block.md §6.10 and §6.11.
// Not here   the cells' expectation, which is the model smooth on the image of cells.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "common/base/frame_view.hpp"

namespace ff::kernels {

inline constexpr std::size_t kCellPixels = 4;
inline constexpr std::uint32_t kDigitMax = 3;          ///< a digit that says "3 or more: a value follows"
inline constexpr std::size_t kValueKeys = 128;         ///< what a value's context may depend on
inline constexpr std::uint32_t kValueSymbolMax = 123;  ///< of 2^32 - 1
inline constexpr std::uint32_t kCellLevelMax = 16383;  ///< a pixel's share in a cell's sum is cut here
inline constexpr std::uint16_t kCellUnseen = 65535;    ///< sum of a cell that teaches nothing

/// The image of cells: an odd last row or column is filled up with level 0.
[[nodiscard]] constexpr FrameShape cell_shape(const FrameShape& tile) noexcept {
  return {Dtype::u16, (tile.rows + 1) / 2, (tile.cols + 1) / 2};
}

[[nodiscard]] constexpr std::uint32_t cell_digit(std::uint32_t token, std::size_t pixel) noexcept {
  return token >> (2 * pixel) & 3u;
}
[[nodiscard]] constexpr std::uint32_t cell_token(const std::uint32_t* levels) noexcept {
  return std::min(levels[0], kDigitMax) | std::min(levels[1], kDigitMax) << 2 |
         std::min(levels[2], kDigitMax) << 4 | std::min(levels[3], kDigitMax) << 6;
}
/// True where a value follows some digit. Token 255 is one of these: all four follow.
[[nodiscard]] constexpr bool has_values(std::uint32_t token) noexcept {
  return (token & token >> 1 & 0x55u) != 0;
}

/// A level as a symbol of `mantissa` bits below the leading one, and the raw bits below these.
struct ValueSymbol {
  std::uint8_t symbol = 0;
  std::uint8_t raw_bits = 0;
};

[[nodiscard]] constexpr ValueSymbol value_symbol(std::uint32_t level, unsigned mantissa = 2) noexcept {
  if (level >> (mantissa + 1) == 0) return {static_cast<std::uint8_t>(level), 0};
  const unsigned raw = static_cast<unsigned>(std::bit_width(level)) - 1 - mantissa;
  return {static_cast<std::uint8_t>((raw << mantissa) + (level >> raw)), static_cast<std::uint8_t>(raw)};
}

/// Raw bits behind a symbol 0 ... kValueSymbolMax, and the smallest level that has it.
[[nodiscard]] constexpr unsigned value_raw_bits(std::uint32_t symbol) noexcept {
  return symbol < 8 ? 0 : (symbol >> 2) - 1;
}
[[nodiscard]] constexpr std::uint32_t value_floor(std::uint32_t symbol) noexcept {
  return symbol < 8 ? symbol : (4 + (symbol & 3u)) << value_raw_bits(symbol);
}

/// Half octaves, 0 ... 63: what is remembered of a level; 0 only for level 0.
[[nodiscard]] constexpr std::uint8_t half_octave(std::uint32_t level) noexcept {
  return value_symbol(level, 1).symbol;
}

/// Key of a value: by the pixel's own last value, else by the value before it in this cell and frame.
[[nodiscard]] constexpr std::uint32_t value_key(std::uint8_t last, std::uint8_t earlier) noexcept {
  return last != 0 ? last : 64u + earlier;
}

}  // namespace ff::kernels
