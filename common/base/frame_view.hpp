// SPDX-License-Identifier: Apache-2.0
//
// FrameView: looks at the pixels of one frame, or of one tile of it, without owning them.
//
// Rows are `row_stride_bytes` apart, so that a tile of a larger frame is a view too. Host memory,
// little-endian pixels. MutableFrameView is the same for writing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/base/dtype.hpp"

namespace ff {

/// Rectangle of a frame, in pixels: rows [row, row + rows), columns [col, col + cols).
struct TileRect {
  std::uint32_t row = 0, col = 0, rows = 0, cols = 0;
  friend bool operator==(const TileRect&, const TileRect&) = default;
};

/// Shape and type of a frame or tile.
struct FrameShape {
  Dtype dtype = Dtype::u16;
  std::uint32_t rows = 0, cols = 0;

  [[nodiscard]] std::size_t pixels() const noexcept { return std::size_t{rows} * cols; }
  [[nodiscard]] std::size_t row_bytes() const noexcept { return std::size_t{cols} * dtype_bytes(dtype); }
  [[nodiscard]] std::size_t bytes() const noexcept { return rows * row_bytes(); }
  friend bool operator==(const FrameShape&, const FrameShape&) = default;
};

template <typename Byte>
struct BasicFrameView {
  FrameShape shape;
  std::size_t row_stride_bytes = 0;
  Byte* pixels = nullptr;

  [[nodiscard]] Byte* row(std::uint32_t index) const noexcept { return pixels + index * row_stride_bytes; }

  /// The part of this view inside `rect`, which must lie within the view.
  [[nodiscard]] BasicFrameView tile(const TileRect& rect) const noexcept {
    return {{shape.dtype, rect.rows, rect.cols},
            row_stride_bytes,
            row(rect.row) + std::size_t{rect.col} * dtype_bytes(shape.dtype)};
  }
};

using FrameView = BasicFrameView<const std::byte>;
using MutableFrameView = BasicFrameView<std::byte>;

/// View of densely packed pixels (row stride = row bytes).
[[nodiscard]] inline FrameView dense_view(const FrameShape& shape, const void* pixels) noexcept {
  return {shape, shape.row_bytes(), static_cast<const std::byte*>(pixels)};
}
[[nodiscard]] inline MutableFrameView dense_view(const FrameShape& shape, void* pixels) noexcept {
  return {shape, shape.row_bytes(), static_cast<std::byte*>(pixels)};
}

}  // namespace ff
