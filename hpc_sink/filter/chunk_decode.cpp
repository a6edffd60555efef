// SPDX-License-Identifier: Apache-2.0
//
// Decodes a chunk: tile by tile, group by group, then the fill.
#include <optional>
#include <string>

#include "hpc_sink/filter/chunk_codec.hpp"

namespace ff::sink {
namespace {

constexpr std::uint32_t kRepeatsMax =
    4;  // how often a frame may be coded, on average: hdf5_filter.md, rule 4

// One tile of the chunk while its blocks are decoded.
struct Tile {
  FrameShape shape;
  TileRect rect;
  std::optional<kernels::TileState> state;
  std::uint64_t decoded = 0;      // bits of frames
  std::uint32_t frames_seen = 0;  // of all its blocks, repeated ones counted each time
  int first_frame = -1;           // of its latest block
};

MutableFrameView frame_view(const ChunkShape& shape, MutableByteSpan pixels, std::uint32_t frame) noexcept {
  return dense_view(shape.frame, static_cast<void*>(pixels.data() + frame * shape.frame.bytes()));
}

void fill_tile(const MutableFrameView& view, std::uint64_t fill) noexcept {
  const std::size_t width = dtype_bytes(view.shape.dtype);
  for (std::uint32_t row = 0; row < view.shape.rows; ++row) {
    std::byte* pixel = view.row(row);
    for (std::uint32_t col = 0; col < view.shape.cols; ++col, pixel += width)
      std::memcpy(pixel, &fill, width);
  }
}

// The rules that a block by itself can't know.
Status check_place(const kernels::BlockInfo& info, const Tile& tile, std::size_t length,
                   std::uint32_t frames) {
  if (info.block_bytes != length) return fail(Errc::malformed, "its length is not what the table says");
  if (info.tile != tile.shape) return fail(Errc::shape_mismatch, "its shape or type is not its tile's");
  if (info.place.first_frame + info.place.frame_count > frames)
    return fail(Errc::malformed, "its frames lie outside the chunk");
  if (tile.first_frame < 0 && !info.place.key)
    return fail(Errc::state_mismatch, "a tile's first block must be a key block");
  if (info.place.first_frame <= tile.first_frame)
    return fail(Errc::malformed, "it begins no later than the block before it");
  if (tile.frames_seen + info.place.frame_count > kRepeatsMax * frames)
    return fail(Errc::malformed, "its tile's blocks repeat too many frames");
  return {};
}

Status decode_block(const ParsedChunk& chunk, const ChunkBlock& block, Tile& tile, MutableByteSpan pixels) {
  FF_ASSIGN(const kernels::BlockInfo info, kernels::inspect_block(block.bytes));
  FF_TRY(check_place(info, tile, block.bytes.size(), chunk.geometry.shape.frames));
  if (!tile.state) {
    FF_ASSIGN(kernels::TileState fresh, kernels::TileState::create(tile.shape));
    tile.state.emplace(std::move(fresh));
  }
  std::vector<MutableFrameView> views;
  for (std::uint32_t i = 0; i < info.place.frame_count; ++i) {
    if ((info.place.present >> i & 1) != 0)
      views.push_back(frame_view(chunk.geometry.shape, pixels, info.place.first_frame + i).tile(tile.rect));
  }
  FF_TRY(kernels::decode_group(kernels::Device::cpu, *tile.state, block.bytes, views));
  tile.first_frame = info.place.first_frame;
  tile.frames_seen += info.place.frame_count;
  tile.decoded |= info.place.present << info.place.first_frame;
  return {};
}

void fill_missing(const ChunkGeometry& geometry, const Tile& tile, MutableByteSpan pixels) {
  for (std::uint32_t frame = 0; frame < geometry.shape.frames; ++frame) {
    if ((tile.decoded >> frame & 1) == 0)
      fill_tile(frame_view(geometry.shape, pixels, frame).tile(tile.rect), geometry.fill);
  }
}

// Right of the extent and below it.
void fill_edges(const ChunkGeometry& geometry, MutableByteSpan pixels) {
  const FrameShape& frame = geometry.shape.frame;
  const TileRect right{0, geometry.extent_cols, geometry.extent_rows, frame.cols - geometry.extent_cols};
  const TileRect below{geometry.extent_rows, 0, frame.rows - geometry.extent_rows, frame.cols};
  for (std::uint32_t i = 0; i < geometry.shape.frames; ++i) {
    fill_tile(frame_view(geometry.shape, pixels, i).tile(right), geometry.fill);
    fill_tile(frame_view(geometry.shape, pixels, i).tile(below), geometry.fill);
  }
}

}  // namespace

Status decode_chunk(const ParsedChunk& chunk, MutableByteSpan pixels) {
  const ChunkGeometry& geometry = chunk.geometry;
  if (pixels.size() != geometry.shape.bytes()) {
    return fail(Errc::shape_mismatch, "chunk: it has " + std::to_string(geometry.shape.bytes()) +
                                          " bytes of pixels, room was given for " +
                                          std::to_string(pixels.size()));
  }
  std::size_t next = 0;
  for (std::uint32_t i = 0; i < geometry.tiles(); ++i) {
    Tile tile;
    tile.rect = geometry.tile_rect(i);
    tile.shape = {geometry.shape.frame.dtype, tile.rect.rows, tile.rect.cols};
    for (std::size_t first = next; next < chunk.blocks.size() && chunk.blocks[next].tile == i; ++next) {
      if (const Status decoded = decode_block(chunk, chunk.blocks[next], tile, pixels); !decoded.ok()) {
        return fail(decoded.error().code,
                    "block " + std::to_string(next - first) + " of tile " + std::to_string(i) + ": " +
                        std::string(to_string(decoded.error().code)) + ": " + decoded.error().message);
      }
    }
    fill_missing(geometry, tile, pixels);
  }
  fill_edges(geometry, pixels);
  return {};
}

}  // namespace ff::sink
