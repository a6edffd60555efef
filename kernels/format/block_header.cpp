// SPDX-License-Identifier: Apache-2.0
//
// Block header: the order of the checks is the order in which block.md §3 promises their errors.
#include "kernels/format/block_header.hpp"

#include <bit>
#include <string>

#include "common/base/crc32c.hpp"

namespace ff::kernels {
namespace {

std::string_view feature_name(std::uint32_t bit) noexcept {
  switch (static_cast<Feature>(bit)) {
    case Feature::four_phases: return "four_phases";
    case Feature::sparse: return "sparse";
    case Feature::lossy: return "lossy";
    case Feature::probability_12: return "probability_12";
    case Feature::neural: return "neural";
  }
  return "not named in block.md 0.2";
}

Status check_known_format(ByteSpan block) {
  if (load_le<std::uint32_t>(block.data()) != kBlockMagic) {
    return fail(Errc::bad_magic, "block: does not begin with FFBK; this is no Foreframe block");
  }
  const auto major = std::to_integer<unsigned>(block[4]);
  const auto minor = std::to_integer<unsigned>(block[5]);
  if (major != kBlockVersionMajor || minor != kBlockVersionMinor) {
    return fail(Errc::unsupported_version,
                "block: version " + std::to_string(major) + "." + std::to_string(minor) +
                    ", this build reads 0.2 only; use the Foreframe release that wrote it");
  }
  const auto stored_crc = load_le<std::uint32_t>(block.data() + kHeaderCrcOffset);
  if (stored_crc != crc32c(block.first(kHeaderCrcOffset))) {
    return fail(Errc::crc_mismatch, "block: header CRC does not match; the block was damaged on its way");
  }
  return {};
}

Status check_features(std::uint32_t required) {
  const std::uint32_t unknown = required & ~kKnownRequiredFeatures;
  if (unknown == 0) return {};
  const std::uint32_t lowest = unknown & (~unknown + 1);
  return fail(Errc::unsupported_feature, "block: needs feature bit " +
                                             std::to_string(std::countr_zero(lowest)) + " (" +
                                             std::string(feature_name(lowest)) +
                                             "), which block.md 0.2 readers lack; update this reader");
}

Status check_fields(const BlockHeader& header, std::uint8_t flags, std::uint16_t header_bytes,
                    std::uint16_t reserved_low, std::uint32_t reserved_high) {
  const bool known_kind = header.kind <= BlockKind::predicted;
  const bool known_profile = header.profile <= Profile::max;
  if (header_bytes != kBlockHeaderBytes || reserved_low != 0 || reserved_high != 0 || flags > 1 ||
      !known_kind || !known_profile || header.block_bytes < kBlockHeaderBytes) {
    return fail(Errc::malformed, "block: a header field holds a value that block.md 0.2 does not define");
  }
  if (header.place.key && header.link != 0) {
    return fail(Errc::malformed, "block: a key group links to an earlier block");
  }
  if (auto tile = check_tile(header.tile); !tile.ok()) {
    return fail(Errc::malformed, "block: " + tile.error().message);
  }
  if (auto place = check_place(header.place); !place.ok()) {
    return fail(Errc::malformed, "block: " + place.error().message);
  }
  return {};
}

}  // namespace

std::uint32_t BlockHeader::present_frames() const noexcept {
  return static_cast<std::uint32_t>(std::popcount(place.present));
}

Status check_place(const GroupPlace& place) {
  if (place.frame_count == 0 || place.first_frame + place.frame_count > static_cast<int>(kWindowFramesMax)) {
    return fail(Errc::out_of_range, "group covers frames " + std::to_string(place.first_frame) + " + " +
                                        std::to_string(place.frame_count) + "; a window has 64 at most");
  }
  const bool beyond = place.frame_count < 64 && (place.present >> place.frame_count) != 0;
  if (place.present == 0 || beyond) {
    return fail(Errc::out_of_range, "group's presence bitmap is empty or names frames beyond the group");
  }
  if (place.first_frame == 0 && !place.key) {
    return fail(Errc::out_of_range, "group at the window's start must be a key group");
  }
  return {};
}

Status check_tile(const FrameShape& tile) {
  if (dtype_bytes(tile.dtype) == 0) return fail(Errc::dtype_unsupported, "tile has no known pixel type");
  if (tile.rows == 0 || tile.cols == 0 || tile.rows > kTilePixelsMax || tile.cols > kTilePixelsMax ||
      tile.pixels() > kTilePixelsMax) {
    return fail(Errc::out_of_range, "tile of " + std::to_string(tile.rows) + " x " +
                                        std::to_string(tile.cols) +
                                        " pixels; 1 to 1048576 pixels are allowed");
  }
  return {};
}

void write_block_header(BlockHeader& header, MutableByteSpan out) noexcept {
  std::byte* p = out.data();
  store_le<std::uint32_t>(p + 0, kBlockMagic);
  store_le<std::uint8_t>(p + 4, kBlockVersionMajor);
  store_le<std::uint8_t>(p + 5, kBlockVersionMinor);
  store_le<std::uint16_t>(p + 6, kBlockHeaderBytes);
  store_le<std::uint32_t>(p + 8, header.required);
  store_le<std::uint32_t>(p + 12, header.optional);
  store_le<std::uint64_t>(p + 16, header.place.present);
  store_le<std::uint32_t>(p + kBlockBytesOffset, header.block_bytes);
  store_le<std::uint32_t>(p + 28, header.tile.rows);
  store_le<std::uint32_t>(p + 32, header.tile.cols);
  store_le<std::uint8_t>(p + 36, static_cast<std::uint8_t>(header.tile.dtype));
  store_le<std::uint8_t>(p + 37, static_cast<std::uint8_t>(header.profile));
  store_le<std::uint8_t>(p + 38, static_cast<std::uint8_t>(header.kind));
  store_le<std::uint8_t>(p + 39, header.place.key ? 1 : 0);
  store_le<std::uint8_t>(p + 40, header.place.first_frame);
  store_le<std::uint8_t>(p + 41, header.place.frame_count);
  store_le<std::uint16_t>(p + 42, 0);
  store_le<std::uint32_t>(p + kLinkOffset, header.link);
  store_le<std::uint32_t>(p + 48, header.pixel_crc);
  store_le<std::uint32_t>(p + kPayloadCrcOffset, header.payload_crc);
  store_le<std::uint32_t>(p + 56, 0);
  header.header_crc = crc32c(ByteSpan(p, kHeaderCrcOffset));
  store_le<std::uint32_t>(p + kHeaderCrcOffset, header.header_crc);
}

Result<BlockHeader> parse_block_header(ByteSpan block) {
  if (block.size() < kBlockHeaderBytes) {
    return fail(Errc::truncated,
                "block: " + std::to_string(block.size()) + " bytes, the header alone takes 64");
  }
  FF_TRY(check_known_format(block));
  const std::byte* p = block.data();
  BlockHeader header;
  header.required = load_le<std::uint32_t>(p + 8);
  header.optional = load_le<std::uint32_t>(p + 12);
  FF_TRY(check_features(header.required));
  header.place.present = load_le<std::uint64_t>(p + 16);
  header.block_bytes = load_le<std::uint32_t>(p + kBlockBytesOffset);
  header.tile.rows = load_le<std::uint32_t>(p + 28);
  header.tile.cols = load_le<std::uint32_t>(p + 32);
  header.tile.dtype = static_cast<Dtype>(load_le<std::uint8_t>(p + 36));
  header.profile = static_cast<Profile>(load_le<std::uint8_t>(p + 37));
  header.kind = static_cast<BlockKind>(load_le<std::uint8_t>(p + 38));
  const auto flags = load_le<std::uint8_t>(p + 39);
  header.place.key = (flags & 1) != 0;
  header.place.first_frame = load_le<std::uint8_t>(p + 40);
  header.place.frame_count = load_le<std::uint8_t>(p + 41);
  header.link = load_le<std::uint32_t>(p + kLinkOffset);
  header.pixel_crc = load_le<std::uint32_t>(p + 48);
  header.payload_crc = load_le<std::uint32_t>(p + kPayloadCrcOffset);
  header.header_crc = load_le<std::uint32_t>(p + kHeaderCrcOffset);
  FF_TRY(check_fields(header, flags, load_le<std::uint16_t>(p + 6), load_le<std::uint16_t>(p + 42),
                      load_le<std::uint32_t>(p + 56)));
  return header;
}

}  // namespace ff::kernels
