// SPDX-License-Identifier: Apache-2.0
//
// Pixels a fixed step apart: how the planner looks at a few thousand pixels of a group.
//
// Data path  window > [sample] > plan
// Meaning    no part of the format.
// Not here   samples that predict, which are bands of rows (plan_sample.hpp).
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/base/bytes.hpp"
#include "common/base/dtype.hpp"
#include "common/base/frame_view.hpp"

namespace ff::kernels::reference {

/// Calls visit(pixel) with a pixel of the type, whose value says nothing. Precondition: an integer type.
template <typename Visit>
auto for_pixel_type(Dtype dtype, Visit&& visit) {
  switch (dtype) {
    case Dtype::u8: return visit(std::uint8_t{});
    case Dtype::i8: return visit(std::int8_t{});
    case Dtype::i16: return visit(std::int16_t{});
    case Dtype::u32: return visit(std::uint32_t{});
    case Dtype::i32: return visit(std::int32_t{});
    default: return visit(std::uint16_t{});
  }
}

/// Calls visit(p, value) for pixels p = first, first + step ... of a frame; returns the first p behind it.
template <typename Pixel, typename Visit>
std::size_t for_pixels_apart(const FrameView& frame, std::size_t first, std::size_t step, Visit&& visit) {
  const std::size_t cols = frame.shape.cols, pixels = frame.shape.pixels();
  const std::size_t rows_step = step / cols, cols_step = step % cols;
  std::size_t row = first / cols, col = first % cols, p = first;
  for (; p < pixels; p += step) {
    visit(p, load_le<Pixel>(frame.row(static_cast<std::uint32_t>(row)) + col * sizeof(Pixel)));
    row += rows_step, col += cols_step;
    if (col >= cols) ++row, col -= cols;
  }
  return p;
}

}  // namespace ff::kernels::reference
