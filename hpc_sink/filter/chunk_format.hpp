// SPDX-License-Identifier: Apache-2.0
//
// The chunk of the compact layout: a small header, a table, and the blocks of a window's tiles as they came.
//
// Data path  store > [chunk] > HDF5 file > [chunk] > filter > reader
// Format     docs/formats/hdf5_filter.md
// Not here   pixels (chunk_codec.hpp), HDF5 (hdf5_filter.hpp), what a block is (kernels/codec.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/base/frame_view.hpp"
#include "common/base/result.hpp"

namespace ff::sink {

inline constexpr std::size_t kChunkHeaderBytes = 48, kChunkEntryBytes = 8;
inline constexpr std::size_t kChunkBytesMax = std::size_t{64} << 20;  ///< decoded
inline constexpr std::uint32_t kChunkFramesMax = 64;
inline constexpr std::uint32_t kChunkSideMax = 65535;  ///< rows, columns
inline constexpr std::uint32_t kChunkTilesMax = 1024;

/// What HDF5 calls a chunk: frames x rows x cols, always of full size.
struct ChunkShape {
  FrameShape frame;
  std::uint32_t frames = 0;

  [[nodiscard]] std::size_t bytes() const noexcept { return frames * frame.bytes(); }
  friend bool operator==(const ChunkShape&, const ChunkShape&) = default;
};

/// What a chunk says of itself beside its blocks.
struct ChunkGeometry {
  ChunkShape shape;
  std::uint32_t extent_rows = 0, extent_cols = 0;  ///< that blocks cover, from the corner
  std::uint32_t tile_rows = 0, tile_cols = 0;
  std::uint64_t fill = 0;  ///< bits of the pixel where no block has one

  [[nodiscard]] std::uint32_t tiles() const noexcept;
  /// Place of a tile in the chunk's frames; `tile` < tiles().
  [[nodiscard]] TileRect tile_rect(std::uint32_t tile) const noexcept;
};

/// A block and the tile it belongs to. Looks at bytes, does not own them.
struct ChunkBlock {
  std::uint32_t tile = 0;
  ByteSpan bytes;
};

struct ParsedChunk {
  ChunkGeometry geometry;
  std::vector<ChunkBlock> blocks;  ///< in order of tiles, then of groups; into the bytes that were parsed
};

/// 1 ... 64 frames, sides up to 65535, at most 64 MiB. Errors: out_of_range, dtype_unsupported.
[[nodiscard]] Status check_chunk_shape(const ChunkShape& shape);
/// The shape, extent and tiles inside it, fill of the pixel's width. Errors: as check_chunk_shape.
[[nodiscard]] Status check_chunk_geometry(const ChunkGeometry& geometry);

/// Header and table; blocks are hostile still. Allocates for the table only, once its CRC is right.
/// Errors: truncated, bad_magic, unsupported_version, crc_mismatch, malformed.
[[nodiscard]] Result<ParsedChunk> parse_chunk(ByteSpan chunk);

/// Header, table and a copy of the blocks. `blocks` in order of tiles, each tile's in order of groups.
/// Errors: as check_chunk_geometry; invalid_argument (a tile that is none, or out of order), too_large.
[[nodiscard]] Result<std::vector<std::byte>> write_chunk(const ChunkGeometry& geometry,
                                                         std::span<const ChunkBlock> blocks);

}  // namespace ff::sink
