// SPDX-License-Identifier: Apache-2.0
//
// Exact pixels: a gap to the pixel before, then one difference per present frame.
#include "kernels/format/exact_pixels.hpp"

#include <algorithm>
#include <cstring>

#include "common/base/crc32c.hpp"
#include "kernels/format/bit_code.hpp"

namespace ff::kernels {
namespace {

constexpr unsigned kGapOrder = 6;

const std::byte* pixel_at(const FrameView& frame, std::uint32_t p) noexcept {
  return frame.row(p / frame.shape.cols) + std::size_t{p % frame.shape.cols} * dtype_bytes(frame.shape.dtype);
}

std::int32_t taken_away(const FrameView& frame, std::uint32_t p, const LevelCodec& codec) noexcept {
  const std::int64_t value = load_pixel(frame.shape.dtype, pixel_at(frame, p));
  return static_cast<std::int32_t>(value - codec.value(codec.level(value)));
}

}  // namespace

std::vector<std::byte> write_exact_pixels(const std::vector<std::uint32_t>& pixels, GroupFrames frames,
                                          const LevelCodec& codec) {
  std::uint64_t sum = 0;
  for (const std::uint32_t p : pixels) {
    for (const FrameView& frame : frames) sum += zigzag(taken_away(frame, p, codec));
  }
  const std::uint64_t mean = sum / std::max<std::uint64_t>(pixels.size() * frames.size(), 1);
  const unsigned order = mean == 0 ? 0 : static_cast<unsigned>(std::bit_width(mean)) - 1;
  BitWriter out;
  out.bits(order, 5);
  out.golomb(static_cast<std::uint32_t>(pixels.size()), 0);
  std::uint32_t next = 0;
  for (const std::uint32_t p : pixels) {
    out.golomb(p - next, kGapOrder);
    for (const FrameView& frame : frames) out.golomb(zigzag(taken_away(frame, p, codec)), order);
    next = p + 1;
  }
  return {out.bytes().begin(), out.bytes().end()};
}

Status restore_exact_pixels(ByteSpan section, MutableGroupFrames frames) {
  const FrameShape& tile = frames.front().shape;
  const std::size_t width = dtype_bytes(tile.dtype);
  BitReader in(section);
  const auto order = static_cast<unsigned>(in.bits(5));
  const std::size_t count = in.golomb(0);
  std::size_t p = 0;
  for (std::size_t i = 0; i < count && in.ok(); ++i, ++p) {
    p += in.golomb(kGapOrder);
    if (p >= tile.pixels()) break;
    for (const MutableFrameView& frame : frames) {
      std::byte* pixel = frame.row(static_cast<std::uint32_t>(p / tile.cols)) + p % tile.cols * width;
      store_pixel(tile.dtype, pixel, load_pixel(tile.dtype, pixel) + unzigzag(in.golomb(order)));
    }
  }
  if (!in.ended_cleanly() || p > tile.pixels())
    return fail(Errc::malformed, "block: the exact pixels are not possible for this tile");
  return {};
}

std::uint32_t decoded_pixel_crc(GroupFrames frames, const LevelCodec& codec, const MaskMap* mask,
                                const std::vector<std::uint32_t>& exact) {
  const FrameShape& tile = frames.front().shape;
  const std::size_t width = dtype_bytes(tile.dtype);
  std::vector<std::uint32_t> levels(tile.cols);
  std::vector<std::byte> row_bytes(tile.row_bytes());
  std::uint32_t crc = 0;
  for (const FrameView& frame : frames) {
    auto keep = exact.begin();
    for (std::uint32_t row = 0; row < tile.rows; ++row) {
      const std::byte* pixels = frame.row(row);
      const std::size_t first = std::size_t{row} * tile.cols;
      codec.levels_of_row(pixels, tile.cols, levels.data());
      codec.values_of_row(levels.data(), tile.cols, row_bytes.data());
      for (std::size_t col = 0; mask != nullptr && col < tile.cols; ++col) {
        if (mask->classes[first + col] != 0)
          std::memcpy(&row_bytes[col * width], pixels + col * width, width);
      }
      for (; keep != exact.end() && *keep < first + tile.cols; ++keep)
        std::memcpy(&row_bytes[(*keep - first) * width], pixels + (*keep - first) * width, width);
      crc = crc32c(row_bytes, crc);
    }
  }
  return crc;
}

}  // namespace ff::kernels
