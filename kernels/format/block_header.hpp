// SPDX-License-Identifier: Apache-2.0
//
// The fixed 64 bytes that open every block: what it is, where it belongs, what a reader must know.
//
// Data path  window > plan > [encode] > envelope > ... > [decode] > store
// Meaning    docs/formats/block.md §3 (header); this file and that table change together.
// Not here   what follows the header (kernels/format/sections.hpp, kernels/format/raw_block.hpp).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/codec.hpp"

namespace ff::kernels {

inline constexpr std::size_t kBlockHeaderBytes = 64;
inline constexpr std::size_t kBlockBytesOffset = 24;      ///< u32
inline constexpr std::size_t kLinkOffset = 44;            ///< u32
inline constexpr std::size_t kPayloadCrcOffset = 52;      ///< u32
inline constexpr std::size_t kHeaderCrcOffset = 60;       ///< u32, over the bytes before it
inline constexpr std::uint32_t kBlockMagic = 0x4b424646;  // "FFBK"
inline constexpr std::uint8_t kBlockVersionMajor = 0;
inline constexpr std::uint8_t kBlockVersionMinor = 2;

/// How the pixels are kept. Numbers never change meaning.
enum class BlockKind : std::uint8_t {
  stored = 0,     ///< pixels as they are
  raw_zstd = 1,   ///< each frame bit-transposed, then one zstd frame
  predicted = 2,  ///< sections: level map, predictor, tables, lanes
};

/// Required feature bits: a reader that does not know one refuses the block by the bit's name.
enum class Feature : std::uint32_t {
  four_phases = 1u << 0,  ///< model phases: planes, mixes, pyramid key frames
  sparse = 1u << 2,       ///< model cells: 2 x 2 pixels to a symbol, values of larger levels
  lossy = 1u << 3,
  probability_12 = 1u << 4,
  neural = 1u << 6,
};
inline constexpr std::uint32_t kKnownRequiredFeatures =
    static_cast<std::uint32_t>(Feature::four_phases) | static_cast<std::uint32_t>(Feature::sparse) |
    static_cast<std::uint32_t>(Feature::lossy) | static_cast<std::uint32_t>(Feature::probability_12);

struct BlockHeader {
  std::uint32_t required = 0;
  std::uint32_t optional = 0;
  std::uint32_t block_bytes = 0;
  FrameShape tile;
  Profile profile = Profile::raw;
  BlockKind kind = BlockKind::stored;
  GroupPlace place;
  std::uint32_t link = 0;         ///< header_crc of the block before it in the window; 0 in a key group
  std::uint32_t pixel_crc = 0;    ///< CRC-32C of the decoded pixels, present frames in order, rows dense
  std::uint32_t payload_crc = 0;  ///< CRC-32C of every byte after the header
  std::uint32_t header_crc = 0;   ///< set by write and parse

  [[nodiscard]] std::uint32_t present_frames() const noexcept;
  [[nodiscard]] std::size_t raw_bytes() const noexcept { return present_frames() * tile.bytes(); }
};

/// Checks a place: 1 ... 64 positions inside the window, at least one frame present, no bit beyond them,
/// and a key at frame 0. Errors: out_of_range.
[[nodiscard]] Status check_place(const GroupPlace& place);

/// Checks that a tile has 1 ... kTilePixelsMax pixels of a known type. Errors: out_of_range,
/// dtype_unsupported.
[[nodiscard]] Status check_tile(const FrameShape& tile);

/// Writes 64 bytes and fills in `header.header_crc`. Precondition: out.size() >= 64.
void write_block_header(BlockHeader& header, MutableByteSpan out) noexcept;

/// Errors: truncated, bad_magic, unsupported_version, unsupported_feature, malformed, crc_mismatch.
[[nodiscard]] Result<BlockHeader> parse_block_header(ByteSpan block);

}  // namespace ff::kernels
