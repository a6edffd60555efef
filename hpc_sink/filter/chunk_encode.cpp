// SPDX-License-Identifier: Apache-2.0
//
// Codes a chunk that a program writes through HDF5: exactly, with this project's planner.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string>

#include "hpc_sink/filter/chunk_codec.hpp"

namespace ff::sink {
namespace {

constexpr std::size_t kGroupPixelsMax = std::size_t{1}
                                        << 24;  // what coding takes beside the pixels grows with it

// No counts, by convention: the largest value of an unsigned type, -1 and -2 of a signed one.
std::span<const std::int64_t> usual_sentinels(Dtype dtype) noexcept {
  static constexpr std::array<std::int64_t, 2> kSigned{-1, -2};
  static constexpr std::array<std::int64_t, 3> kUnsigned{0xff, 0xffff, 0xffffffff};
  if (dtype_is_float(dtype)) return {};
  if (dtype_is_signed(dtype)) return kSigned;
  return std::span(kUnsigned).subspan(static_cast<std::size_t>(dtype) - 1, 1);
}

bool is_fill(ByteSpan frame, std::size_t width, std::uint64_t fill) noexcept {
  if (std::memcmp(frame.data(), &fill, width) != 0) return false;
  // Every pixel equals the first one if the frame equals itself shifted by a pixel.
  return std::memcmp(frame.data(), frame.data() + width, frame.size() - width) == 0;
}

// Bits of the frames that hold anything but the fill.
std::uint64_t present_frames(const ChunkShape& shape, ByteSpan pixels, std::uint64_t fill) noexcept {
  std::uint64_t present = 0;
  const std::size_t bytes = shape.frame.bytes();
  for (std::uint32_t i = 0; i < shape.frames; ++i) {
    if (!is_fill(pixels.subspan(i * bytes, bytes), dtype_bytes(shape.frame.dtype), fill))
      present |= std::uint64_t{1} << i;
  }
  return present;
}

// Bands of rows of nearly equal height.
ChunkGeometry cut_into_tiles(const ChunkShape& shape, std::uint64_t fill) {
  const FrameShape& frame = shape.frame;
  const auto rows_max =
      static_cast<std::uint32_t>(std::max<std::size_t>(kernels::kTilePixelsMax / frame.cols, 1));
  const std::uint32_t bands = (frame.rows + rows_max - 1) / rows_max;
  return {shape, frame.rows, frame.cols, (frame.rows + bands - 1) / bands, frame.cols, fill};
}

struct TileCoder {
  const ChunkGeometry& geometry;
  ByteSpan pixels;
  std::uint64_t present;  // bits of frames
  kernels::EncodeOptions options;

  // One group, of the frames [place.first_frame, + frame_count) that are there.
  Result<std::vector<std::byte>> code_group(kernels::TileState& state, const TileRect& rect,
                                            const kernels::GroupPlace& place) const {
    const ChunkShape& shape = geometry.shape;
    std::vector<FrameView> views;
    for (std::uint32_t i = 0; i < place.frame_count; ++i) {
      const std::byte* frame = pixels.data() + (place.first_frame + i) * shape.frame.bytes();
      if ((place.present >> i & 1) != 0)
        views.push_back(dense_view(shape.frame, static_cast<const void*>(frame)).tile(rect));
    }
    FF_ASSIGN(const kernels::EncodePlanPtr plan, kernels::plan_group(state, place, views, options));
    std::vector<std::byte> block(
        kernels::encoded_size_bound(state.shape(), static_cast<std::uint32_t>(views.size())));
    FF_ASSIGN(const std::size_t bytes,
              kernels::encode_group(kernels::Device::cpu, state, *plan, views, block));
    block.resize(bytes);
    block.shrink_to_fit();
    return block;
  }

  Status code_tile(std::uint32_t tile, std::vector<std::vector<std::byte>>& blocks) const {
    const TileRect rect = geometry.tile_rect(tile);
    FF_ASSIGN(kernels::TileState state,
              kernels::TileState::create({geometry.shape.frame.dtype, rect.rows, rect.cols}));
    const auto group_frames = static_cast<std::uint32_t>(
        std::clamp<std::size_t>(kGroupPixelsMax / state.shape().pixels(), 1, kChunkFramesMax));
    bool key = true;
    for (std::uint32_t first = 0; first < geometry.shape.frames; first += group_frames) {
      const std::uint32_t count = std::min(group_frames, geometry.shape.frames - first);
      const std::uint64_t bits = (present >> first) & (~std::uint64_t{0} >> (64 - count));
      if (bits == 0) continue;
      const kernels::GroupPlace place{static_cast<std::uint8_t>(first), static_cast<std::uint8_t>(count),
                                      bits, key};
      FF_ASSIGN(std::vector<std::byte> block, code_group(state, rect, place));
      blocks.push_back(std::move(block));
      key = false;
    }
    return {};
  }
};

}  // namespace

Result<std::vector<std::byte>> encode_chunk(const ChunkShape& shape, ByteSpan pixels,
                                            const ChunkEncodeOptions& options) {
  FF_TRY(check_chunk_shape(shape));
  if (pixels.size() != shape.bytes()) {
    return fail(Errc::shape_mismatch, "chunk: " + std::to_string(pixels.size()) +
                                          " bytes given, its shape has " + std::to_string(shape.bytes()));
  }
  const ChunkGeometry geometry = cut_into_tiles(shape, options.fill);
  FF_TRY(check_chunk_geometry(geometry));
  TileCoder coder{geometry, pixels, present_frames(shape, pixels, options.fill), {}};
  coder.options.profile = options.profile;
  coder.options.sentinels = usual_sentinels(shape.frame.dtype);
  std::vector<std::vector<std::byte>> coded;
  std::vector<std::uint32_t> tiles;
  for (std::uint32_t tile = 0; tile < geometry.tiles(); ++tile) {
    FF_TRY(coder.code_tile(tile, coded));
    tiles.resize(coded.size(), tile);
  }
  std::vector<ChunkBlock> blocks;
  for (std::size_t i = 0; i < coded.size(); ++i) blocks.push_back({tiles[i], coded[i]});
  return write_chunk(geometry, blocks);
}

}  // namespace ff::sink
