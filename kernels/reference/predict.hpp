// SPDX-License-Identifier: Apache-2.0
//
// Predict: one frame's expectation for every pixel, from the frames before; then what was seen moves it.
//
//     filtered = [1 2 1] x [1 2 1] mean of the state, rounded at each step
//     key      = state + (filtered - state) x smoothing
//     state'   = state + (seen - state) x gain(frames)
//
// Data path  level map > [predict] > context > token > lanes
// Meaning    docs/formats/block.md §6; this is that section in C++, and every device's yardstick.
// Not here   vectors (kernels/cpu/), frequencies (kernels/format/context_tables.hpp).
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/format/context_tables.hpp"
#include "kernels/predictor_state.hpp"

namespace ff::kernels::reference {

/// Mean of two, rounded up. In: 0 ... 32767; out: between them.
[[nodiscard]] constexpr std::int32_t average(std::int32_t a, std::int32_t b) noexcept {
  return (a + b + 1) >> 1;
}

/// a x b / 32768, rounded to nearest, halves up; the shift is arithmetic. In: |a| <= 32767, 0 <= b <= 32767;
/// out: between 0 and a.
[[nodiscard]] constexpr std::int32_t scaled(std::int32_t a, std::int32_t b) noexcept {
  return (a * b + (1 << 14)) >> 15;
}

/// Share of a frame in the running mean after `frames` others: 1/(frames + 1) at first, then 1/memory.
[[nodiscard]] constexpr std::int32_t gain(std::uint32_t frames, std::uint32_t memory) noexcept {
  return static_cast<std::int32_t>(std::min(32767u, 32768u / std::min(frames + 1, memory)));
}

/// A level as the state sees it: shifted, and cut at 15 bits.
[[nodiscard]] constexpr std::int32_t seen(std::uint32_t level, const PredictorSetup& setup) noexcept {
  return static_cast<std::int32_t>(std::min(level >> setup.down, 32767u >> setup.up) << setup.up);
}

/// Reads a plane of the state around pixels, with borders and masked neighbours replaced by the centre.
class Neighbourhood {
 public:
  Neighbourhood(const FrameShape& tile, const MaskMap* mask) noexcept
      : rows_(tile.rows), cols_(tile.cols), mask_(mask) {}

  [[nodiscard]] bool masked(std::uint32_t row, std::uint32_t col) const noexcept {
    return mask_ != nullptr && mask_->classes[std::size_t{row} * cols_ + col] != 0;
  }

  /// state + (filtered - state) x smoothing: 15 bits, between its neighbours' extremes.
  [[nodiscard]] std::int32_t smoothed(const std::uint16_t* plane, std::uint32_t row, std::uint32_t col,
                                      std::int32_t smoothing) const noexcept {
    const std::int32_t centre = plane[std::size_t{row} * cols_ + col];
    const std::int32_t own = vertical(plane, row, col);
    const std::int32_t left = col == 0 || masked(row, col - 1) ? own : vertical(plane, row, col - 1);
    const std::int32_t right = col + 1 == cols_ || masked(row, col + 1) ? own : vertical(plane, row, col + 1);
    const std::int32_t filtered = average(average(left, right), own);
    return centre + scaled(filtered - centre, smoothing);
  }

 private:
  [[nodiscard]] std::int32_t vertical(const std::uint16_t* plane, std::uint32_t row,
                                      std::uint32_t col) const noexcept {
    const std::size_t at = std::size_t{row} * cols_ + col;
    const std::int32_t centre = plane[at];
    const std::int32_t up = row == 0 || masked(row - 1, col) ? centre : plane[at - cols_];
    const std::int32_t down = row + 1 == rows_ || masked(row + 1, col) ? centre : plane[at + cols_];
    return average(average(up, down), centre);
  }

  std::uint32_t rows_, cols_;
  const MaskMap* mask_;
};

/// What a pixel is coded with: its context, and the level that token 0 stands for (in units of 1 <<
/// raw_bits).
struct PixelContext {
  std::uint8_t context = 0;
  std::uint8_t raw_bits = 0;
  std::int32_t base = 0;
};

/// Which of a split class's four contexts: the quarter of a level that the expectation lies in.
[[nodiscard]] constexpr std::int32_t fraction_index(std::int32_t expected, unsigned up) noexcept {
  return (expected >> (up - 2)) & 3;
}

/// The context of bucket `entry` for an expectation of 0 ... 32767. `ratio` (0 ... 3) is what splits rate
/// contexts of the model phases; without one the expectation's fraction splits, and is not rounded away.
[[nodiscard]] inline PixelContext pixel_context(const BucketEntry& entry, std::int32_t expected,
                                                const PredictorSetup& setup,
                                                std::int32_t ratio = -1) noexcept {
  PixelContext result{entry.first_context, entry.raw_bits, 0};
  const bool by_fraction = entry.split && ratio < 0;
  if (entry.split) {
    const std::int32_t index = by_fraction ? fraction_index(expected, setup.up) : ratio;
    result.context = static_cast<std::uint8_t>(result.context + index);
  }
  if (!entry.residual) return result;
  const std::int32_t half = setup.up == 0 || by_fraction ? 0 : 1 << (setup.up - 1);
  const std::int32_t predicted = ((expected + half) >> setup.up) << setup.down;
  result.base = (predicted >> entry.raw_bits) - 128;
  return result;
}

/// Modulus of levels less one: tokens are taken modulo 2^16, or 2^32 for 32-bit levels.
[[nodiscard]] constexpr std::uint32_t wrap_mask(std::uint8_t level_bits) noexcept {
  return level_bits == 32 ? 0xffffffffu : 0xffffu;
}

/// 0 ... 254, or kEscape.
[[nodiscard]] constexpr std::uint8_t token_of(std::uint32_t level, const PixelContext& pixel,
                                              std::uint32_t wrap) noexcept {
  const std::uint32_t distance = ((level >> pixel.raw_bits) - static_cast<std::uint32_t>(pixel.base)) & wrap;
  return static_cast<std::uint8_t>(std::min<std::uint32_t>(distance, kEscape));
}

[[nodiscard]] constexpr std::uint32_t level_of(std::uint8_t token, std::uint32_t raw,
                                               const PixelContext& pixel, std::uint32_t wrap) noexcept {
  const std::uint32_t high = (token + static_cast<std::uint32_t>(pixel.base)) & wrap;
  return ((high << pixel.raw_bits) | raw) & wrap;
}

}  // namespace ff::kernels::reference
