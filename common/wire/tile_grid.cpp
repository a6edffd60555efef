// SPDX-License-Identifier: Apache-2.0
#include "common/wire/tile_grid.hpp"

#include <algorithm>
#include <string>

namespace ff::wire {
namespace {

constexpr std::uint32_t kSideMax = 65536;
constexpr std::uint64_t kFrameBytesMax = std::uint64_t{1} << 30;
constexpr std::uint64_t kTilePixelsMax = std::uint64_t{1} << 20;
constexpr std::uint64_t kTilesMax = 65536;
constexpr int kSentinelsMax = 8;

std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) noexcept { return (a + b - 1) / b; }

bool side_ok(std::uint32_t side) noexcept { return side >= 1 && side <= kSideMax; }

}  // namespace

Status check_geometry(const foreframe::wire::StreamGeometry& g) {
  const auto dtype = dtype_from_wire(g.dtype());
  if (!dtype) return fail(Errc::malformed, "geometry: unknown pixel type " + std::to_string(g.dtype()));
  if (!side_ok(g.rows()) || !side_ok(g.cols()))
    return fail(Errc::malformed, "geometry: a frame of " + std::to_string(g.rows()) + " x " +
                                     std::to_string(g.cols()) + " pixels; each side must be 1 ... 65536");
  if (std::uint64_t{g.rows()} * g.cols() * dtype_bytes(*dtype) > kFrameBytesMax)
    return fail(Errc::too_large, "geometry: a frame above 1 GiB");
  if (!side_ok(g.tile_rows()) || !side_ok(g.tile_cols()) ||
      std::uint64_t{g.tile_rows()} * g.tile_cols() > kTilePixelsMax)
    return fail(Errc::malformed, "geometry: a tile must have 1 ... 2^20 pixels");
  if (ceil_div(g.rows(), g.tile_rows()) * ceil_div(g.cols(), g.tile_cols()) > kTilesMax)
    return fail(Errc::malformed, "geometry: more than 65536 tiles");
  if (g.detector_rows() != 0 && (std::uint64_t{g.origin_row()} + g.rows() > g.detector_rows() ||
                                 std::uint64_t{g.origin_col()} + g.cols() > g.detector_cols()))
    return fail(Errc::malformed, "geometry: the stream lies outside its detector");
  if (g.sentinels_size() > kSentinelsMax) return fail(Errc::malformed, "geometry: more than 8 sentinels");
  if (g.channel().size() > 64) return fail(Errc::malformed, "geometry: channel name above 64 bytes");
  return {};
}

TileGrid::TileGrid(const foreframe::wire::StreamGeometry& g) noexcept
    : frame_{static_cast<Dtype>(g.dtype()), g.rows(), g.cols()},
      tile_rows_(g.tile_rows()),
      tile_cols_(g.tile_cols()),
      down_(static_cast<std::uint32_t>(ceil_div(g.rows(), g.tile_rows()))),
      across_(static_cast<std::uint32_t>(ceil_div(g.cols(), g.tile_cols()))) {}

TileRect TileGrid::rect(std::uint32_t index) const noexcept {
  const std::uint32_t row = index / across_ * tile_rows_, col = index % across_ * tile_cols_;
  return {row, col, std::min(tile_rows_, frame_.rows - row), std::min(tile_cols_, frame_.cols - col)};
}

FrameShape TileGrid::tile_shape(std::uint32_t index) const noexcept {
  const TileRect tile = rect(index);
  return {frame_.dtype, tile.rows, tile.cols};
}

}  // namespace ff::wire
