// SPDX-License-Identifier: Apache-2.0
//
// Mask map: coded against the row above, because gaps and dead columns are rectangles.
#include "kernels/format/mask_map.hpp"

#include <bit>

#include "kernels/format/level_map.hpp"

namespace ff::kernels {
namespace {

constexpr unsigned kSkipOrder = 6;  // Exp-Golomb order of the distance to the next change
constexpr unsigned kRunOrder = 1;   // and of the length of a run of changes

unsigned class_bits(std::size_t values) noexcept { return static_cast<unsigned>(std::bit_width(values)); }

}  // namespace

void write_mask_map(const MaskMap& mask, const FrameShape& tile, BitWriter& out) {
  out.bits(mask.values.size(), 4);
  for (const std::int64_t value : mask.values) out.bits(static_cast<std::uint64_t>(value), 64);
  const std::size_t pixels = tile.pixels();
  const auto above = [&](std::size_t p) -> unsigned {
    return p < tile.cols ? 0u : mask.classes[p - tile.cols];
  };
  std::size_t done = 0;
  for (std::size_t p = 0; p < pixels;) {
    if (mask.classes[p] == above(p)) {
      ++p;
      continue;
    }
    std::size_t end = p + 1;
    while (end < pixels && mask.classes[end] == mask.classes[p] && above(end) != mask.classes[p]) ++end;
    out.golomb(static_cast<std::uint32_t>(p - done), kSkipOrder);
    out.golomb(static_cast<std::uint32_t>(end - p - 1), kRunOrder);
    out.bits(mask.classes[p], class_bits(mask.values.size()));
    p = done = end;
  }
  out.golomb(static_cast<std::uint32_t>(pixels - done), kSkipOrder);
}

Result<MaskMap> parse_mask_map(BitReader& in, const FrameShape& tile) {
  MaskMap mask;
  const std::size_t values = in.bits(4);
  const ValueRange range = value_range(tile.dtype);
  for (std::size_t i = 0; i < values; ++i) {
    mask.values.push_back(static_cast<std::int64_t>(in.bits(64)));
    if (mask.values.back() < range.low || mask.values.back() > range.high) {
      return fail(Errc::malformed, "block: a masked value lies outside the pixel type");
    }
  }
  const std::size_t pixels = tile.pixels();
  mask.classes.assign(pixels, 0);
  const auto copy_above = [&](std::size_t from, std::size_t to) {
    for (std::size_t p = from; p < to; ++p)
      mask.classes[p] = p < tile.cols ? std::uint8_t{0} : mask.classes[p - tile.cols];
  };
  std::size_t p = 0;
  while (in.ok()) {
    const std::size_t skip = in.golomb(kSkipOrder);
    if (skip > pixels - p) break;
    copy_above(p, p + skip);
    p += skip;
    if (p == pixels) return mask;
    const std::size_t run = std::size_t{in.golomb(kRunOrder)} + 1;
    const auto mask_class = static_cast<std::uint8_t>(in.bits(class_bits(values)));
    if (run > pixels - p || mask_class > values) break;
    for (std::size_t end = p + run; p < end; ++p) mask.classes[p] = mask_class;
  }
  return fail(Errc::malformed, "block: the mask does not cover its tile");
}

}  // namespace ff::kernels
