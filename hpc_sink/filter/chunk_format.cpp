// SPDX-License-Identifier: Apache-2.0
//
// Header and table of a chunk, laid out as in docs/formats/hdf5_filter.md.
#include "hpc_sink/filter/chunk_format.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "common/base/crc32c.hpp"
#include "kernels/codec.hpp"

namespace ff::sink {
namespace {

constexpr std::uint32_t kMagic = 0x48434646;  // "FFCH"
constexpr std::uint8_t kMajor = 0, kMinor = 1;
constexpr std::size_t kCrcOffset = 44;
constexpr std::size_t kBlockBytesMin = 64;

struct Header {
  ChunkGeometry geometry;
  std::uint32_t chunk_bytes = 0, blocks = 0;
};

std::uint32_t header_crc(ByteSpan chunk, std::size_t blocks) noexcept {
  return crc32c(chunk.subspan(kChunkHeaderBytes, blocks * kChunkEntryBytes), crc32c(chunk.first(kCrcOffset)));
}

std::uint32_t pieces(std::uint32_t whole, std::uint32_t piece) noexcept {
  return (whole + piece - 1) / piece;
}

Status check_start(ByteSpan chunk) {
  if (chunk.size() < kChunkHeaderBytes)
    return fail(Errc::truncated, "chunk: " + std::to_string(chunk.size()) + " bytes, a header has 48");
  if (load_le<std::uint32_t>(chunk.data()) != kMagic)
    return fail(Errc::bad_magic, "chunk: it doesn't begin with FFCH; it was not written by this filter");
  const auto major = load_le<std::uint8_t>(chunk.data() + 4), minor = load_le<std::uint8_t>(chunk.data() + 5);
  if (major != kMajor || minor != kMinor) {
    return fail(Errc::unsupported_version, "chunk: version " + std::to_string(major) + "." +
                                               std::to_string(minor) + ", this filter reads 0.1");
  }
  return {};
}

// Every field, none of them believed yet.
Header load_header(ByteSpan chunk) {
  ByteReader in(chunk.subspan(8));
  Header header;
  ChunkGeometry& geometry = header.geometry;
  header.chunk_bytes = in.read<std::uint32_t>();
  geometry.shape.frame.dtype = static_cast<Dtype>(in.read<std::uint8_t>());
  geometry.shape.frames = in.read<std::uint8_t>();
  header.blocks = in.read<std::uint16_t>();
  geometry.shape.frame.rows = in.read<std::uint32_t>();
  geometry.shape.frame.cols = in.read<std::uint32_t>();
  geometry.extent_rows = in.read<std::uint16_t>();
  geometry.extent_cols = in.read<std::uint16_t>();
  geometry.tile_rows = in.read<std::uint16_t>();
  geometry.tile_cols = in.read<std::uint16_t>();
  geometry.fill = in.read<std::uint64_t>();
  return header;
}

Result<Header> parse_header(ByteSpan chunk) {
  FF_TRY(check_start(chunk));
  const Header header = load_header(chunk);
  if (load_le<std::uint16_t>(chunk.data() + 6) != kChunkHeaderBytes)
    return fail(Errc::malformed, "chunk: its header_bytes are not 48");
  if (header.chunk_bytes != chunk.size()) {
    return fail(Errc::truncated,
                "chunk: " + std::to_string(chunk.size()) + " bytes of " + std::to_string(header.chunk_bytes));
  }
  if (chunk.size() < kChunkHeaderBytes + header.blocks * kChunkEntryBytes)
    return fail(Errc::truncated,
                "chunk: its table of " + std::to_string(header.blocks) + " blocks is cut off");
  if (header_crc(chunk, header.blocks) != load_le<std::uint32_t>(chunk.data() + kCrcOffset))
    return fail(Errc::crc_mismatch, "chunk: header CRC does not match; the chunk was damaged");
  if (load_le<std::uint32_t>(chunk.data() + 40) != 0)
    return fail(Errc::malformed, "chunk: reserved bytes are set");
  if (const Status sound = check_chunk_geometry(header.geometry); !sound.ok())
    return fail(Errc::malformed, sound.error().message);
  if (header.blocks > kChunkFramesMax * header.geometry.tiles())
    return fail(Errc::malformed, "chunk: " + std::to_string(header.blocks) + " blocks, more than 64 a tile");
  return header;
}

void store_header(const ChunkGeometry& geometry, std::size_t blocks, std::size_t chunk_bytes,
                  std::byte* out) {
  store_le(out, kMagic);
  store_le(out + 4, kMajor);
  store_le(out + 5, kMinor);
  store_le(out + 6, static_cast<std::uint16_t>(kChunkHeaderBytes));
  store_le(out + 8, static_cast<std::uint32_t>(chunk_bytes));
  store_le(out + 12, static_cast<std::uint8_t>(geometry.shape.frame.dtype));
  store_le(out + 13, static_cast<std::uint8_t>(geometry.shape.frames));
  store_le(out + 14, static_cast<std::uint16_t>(blocks));
  store_le(out + 16, geometry.shape.frame.rows);
  store_le(out + 20, geometry.shape.frame.cols);
  store_le(out + 24, static_cast<std::uint16_t>(geometry.extent_rows));
  store_le(out + 26, static_cast<std::uint16_t>(geometry.extent_cols));
  store_le(out + 28, static_cast<std::uint16_t>(geometry.tile_rows));
  store_le(out + 30, static_cast<std::uint16_t>(geometry.tile_cols));
  store_le(out + 32, geometry.fill);
}

// What a reader would refuse must not be written. Returns the chunk's bytes.
Result<std::size_t> check_blocks(const ChunkGeometry& geometry, std::span<const ChunkBlock> blocks) {
  if (blocks.size() > std::min(kChunkFramesMax * geometry.tiles(), 65535u))
    return fail(Errc::invalid_argument, "chunk: " + std::to_string(blocks.size()) + " blocks are too many");
  std::size_t bytes = kChunkHeaderBytes + blocks.size() * kChunkEntryBytes;
  std::uint32_t tile = 0;
  for (const ChunkBlock& block : blocks) {
    if (block.tile < tile || block.tile >= geometry.tiles() || block.bytes.size() < kBlockBytesMin)
      return fail(Errc::invalid_argument, "chunk: blocks must stand in order of tiles, and be blocks");
    tile = block.tile;
    bytes += block.bytes.size();
  }
  if (bytes > std::numeric_limits<std::uint32_t>::max())
    return fail(Errc::too_large, "chunk: its blocks have more than 4 GiB");
  return bytes;
}

}  // namespace

std::uint32_t ChunkGeometry::tiles() const noexcept {
  return pieces(extent_rows, tile_rows) * pieces(extent_cols, tile_cols);
}

TileRect ChunkGeometry::tile_rect(std::uint32_t tile) const noexcept {
  const std::uint32_t across = pieces(extent_cols, tile_cols);
  const std::uint32_t row = tile / across * tile_rows, col = tile % across * tile_cols;
  return {row, col, std::min(tile_rows, extent_rows - row), std::min(tile_cols, extent_cols - col)};
}

Status check_chunk_shape(const ChunkShape& shape) {
  if (dtype_bytes(shape.frame.dtype) == 0)
    return fail(Errc::dtype_unsupported, "chunk: pixels of an unknown type");
  if (shape.frames == 0 || shape.frames > kChunkFramesMax) {
    return fail(Errc::out_of_range,
                "chunk: " + std::to_string(shape.frames) + " frames; a chunk has 1 to 64 of them");
  }
  if (shape.frame.rows == 0 || shape.frame.cols == 0 || shape.frame.rows > kChunkSideMax ||
      shape.frame.cols > kChunkSideMax || shape.bytes() > kChunkBytesMax) {
    return fail(Errc::out_of_range, "chunk: " + std::to_string(shape.frames) + " x " +
                                        std::to_string(shape.frame.rows) + " x " +
                                        std::to_string(shape.frame.cols) +
                                        "; at most 65535 a side and 64 MiB: choose a smaller chunk");
  }
  return {};
}

Status check_chunk_geometry(const ChunkGeometry& geometry) {
  FF_TRY(check_chunk_shape(geometry.shape));
  const FrameShape& frame = geometry.shape.frame;
  const bool inside = geometry.extent_rows >= 1 && geometry.extent_rows <= frame.rows &&
                      geometry.extent_cols >= 1 && geometry.extent_cols <= frame.cols &&
                      geometry.tile_rows >= 1 && geometry.tile_rows <= geometry.extent_rows &&
                      geometry.tile_cols >= 1 && geometry.tile_cols <= geometry.extent_cols;
  if (!inside) return fail(Errc::out_of_range, "chunk: its tiles or their extent lie outside it");
  if (std::size_t{geometry.tile_rows} * geometry.tile_cols > kernels::kTilePixelsMax)
    return fail(Errc::out_of_range, "chunk: a tile has more than 2^20 pixels");
  // Sides are at most 65535: the product can't wrap.
  if (geometry.tiles() > kChunkTilesMax)
    return fail(Errc::out_of_range, "chunk: " + std::to_string(geometry.tiles()) + " tiles, 1024 at most");
  const std::size_t bits = 8 * dtype_bytes(frame.dtype);
  if (geometry.fill >> bits != 0) return fail(Errc::out_of_range, "chunk: fill is wider than a pixel");
  return {};
}

Result<ParsedChunk> parse_chunk(ByteSpan chunk) {
  FF_ASSIGN(const Header header, parse_header(chunk));
  ParsedChunk parsed{header.geometry, {}};
  parsed.blocks.reserve(header.blocks);
  ByteReader table(chunk.subspan(kChunkHeaderBytes, header.blocks * kChunkEntryBytes));
  ByteReader blocks(chunk.subspan(kChunkHeaderBytes + header.blocks * kChunkEntryBytes));
  std::uint32_t before = 0;
  for (std::uint32_t i = 0; i < header.blocks; ++i) {
    const std::uint32_t tile = table.read<std::uint16_t>(), reserved = table.read<std::uint16_t>();
    const std::size_t length = table.read<std::uint32_t>();
    if (tile < before || tile >= header.geometry.tiles() || reserved != 0 || length < kBlockBytesMin)
      return fail(Errc::malformed, "chunk: entry " + std::to_string(i) + " of its table breaks the rules");
    before = tile;
    parsed.blocks.push_back({tile, blocks.take(length)});
  }
  if (!blocks.ok() || !blocks.rest().empty())
    return fail(Errc::malformed, "chunk: its blocks are longer or shorter than its table says");
  return parsed;
}

Result<std::vector<std::byte>> write_chunk(const ChunkGeometry& geometry,
                                           std::span<const ChunkBlock> blocks) {
  FF_TRY(check_chunk_geometry(geometry));
  FF_ASSIGN(const std::size_t bytes, check_blocks(geometry, blocks));
  std::vector<std::byte> chunk(kChunkHeaderBytes + blocks.size() * kChunkEntryBytes);
  chunk.reserve(bytes);
  store_header(geometry, blocks.size(), bytes, chunk.data());
  std::byte* entry = chunk.data() + kChunkHeaderBytes;
  for (const ChunkBlock& block : blocks) {
    store_le(entry, static_cast<std::uint16_t>(block.tile));
    store_le(entry + 4, static_cast<std::uint32_t>(block.bytes.size()));
    entry += kChunkEntryBytes;
  }
  store_le(chunk.data() + kCrcOffset, header_crc(chunk, blocks.size()));
  for (const ChunkBlock& block : blocks) chunk.insert(chunk.end(), block.bytes.begin(), block.bytes.end());
  return chunk;
}

}  // namespace ff::sink
