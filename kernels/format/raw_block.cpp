// SPDX-License-Identifier: Apache-2.0
//
// Raw blocks: one bit transposition per frame, one zstd frame per block.
#include "kernels/format/raw_block.hpp"

#include <cstring>
#include <string>
#include <vector>
#include <zstd.h>

#include "common/base/check.hpp"
#include "common/base/crc32c.hpp"
#include "kernels/interop/bslz4.hpp"

namespace ff::kernels {
namespace {

// Level 3 is zstd's own default; higher levels gain little behind a bit transposition.
constexpr int kZstdLevel = 3;

template <typename Frames>
std::uint32_t crc_of(Frames frames) noexcept {
  std::uint32_t crc = 0;
  for (const auto& frame : frames) {
    const std::size_t row_bytes = frame.shape.row_bytes();
    if (frame.row_stride_bytes == row_bytes) {
      crc = crc32c(ByteSpan(frame.pixels, frame.shape.bytes()), crc);
      continue;
    }
    for (std::uint32_t r = 0; r < frame.shape.rows; ++r) crc = crc32c(ByteSpan(frame.row(r), row_bytes), crc);
  }
  return crc;
}

// Transposes the multiple of 8 elements that each frame holds; the few behind them stay as they are.
void transpose_frames(ByteSpan in, const FrameShape& tile, MutableByteSpan out, bool forward) noexcept {
  const std::size_t frame_bytes = tile.bytes();
  const std::size_t head = tile.pixels() / 8 * 8 * dtype_bytes(tile.dtype);
  for (std::size_t at = 0; at < in.size(); at += frame_bytes) {
    const auto transpose = forward ? bitshuffle : bitunshuffle;
    transpose(in.subspan(at, head), dtype_bytes(tile.dtype), out.subspan(at, head));
    std::memcpy(out.data() + at + head, in.data() + at + head, frame_bytes - head);
  }
}

}  // namespace

void gather_pixels(GroupFrames frames, MutableByteSpan out) noexcept {
  std::byte* target = out.data();
  for (const FrameView& frame : frames) {
    const std::size_t row_bytes = frame.shape.row_bytes();
    for (std::uint32_t r = 0; r < frame.shape.rows; ++r, target += row_bytes) {
      std::memcpy(target, frame.row(r), row_bytes);
    }
  }
}

void scatter_pixels(ByteSpan dense, MutableGroupFrames frames) noexcept {
  const std::byte* source = dense.data();
  for (const MutableFrameView& frame : frames) {
    const std::size_t row_bytes = frame.shape.row_bytes();
    for (std::uint32_t r = 0; r < frame.shape.rows; ++r, source += row_bytes) {
      std::memcpy(frame.row(r), source, row_bytes);
    }
  }
}

std::uint32_t pixel_crc(GroupFrames frames) noexcept { return crc_of(frames); }
std::uint32_t pixel_crc(MutableGroupFrames frames) noexcept { return crc_of(frames); }

RawPayload encode_raw_payload(BlockKind wanted, GroupFrames frames, MutableByteSpan out) {
  const FrameShape& tile = frames.front().shape;
  const std::size_t raw_bytes = frames.size() * tile.bytes();
  FF_CHECK(out.size() >= raw_bytes);
  if (wanted == BlockKind::raw_zstd) {
    std::vector<std::byte> dense(raw_bytes), planes(raw_bytes);
    gather_pixels(frames, dense);
    transpose_frames(dense, tile, planes, true);
    const std::size_t bytes = ZSTD_compress(out.data(), raw_bytes, planes.data(), raw_bytes, kZstdLevel);
    if (!ZSTD_isError(bytes) && bytes < raw_bytes) return {BlockKind::raw_zstd, bytes};
  }
  gather_pixels(frames, out.first(raw_bytes));
  return {BlockKind::stored, raw_bytes};
}

Status decode_raw_payload(BlockKind kind, ByteSpan payload, MutableGroupFrames frames) {
  const FrameShape& tile = frames.front().shape;
  const std::size_t raw_bytes = frames.size() * tile.bytes();
  if (kind == BlockKind::stored) {
    if (payload.size() != raw_bytes) {
      return fail(Errc::malformed, "raw block: " + std::to_string(payload.size()) +
                                       " bytes stored, its shape needs " + std::to_string(raw_bytes));
    }
    scatter_pixels(payload, frames);
    return {};
  }
  std::vector<std::byte> planes(raw_bytes);
  const std::size_t bytes = ZSTD_decompress(planes.data(), raw_bytes, payload.data(), payload.size());
  if (ZSTD_isError(bytes) || bytes != raw_bytes) {
    return fail(Errc::malformed,
                std::string("raw block: zstd: ") +
                    (ZSTD_isError(bytes) ? ZSTD_getErrorName(bytes) : "fewer bytes than the shape needs"));
  }
  std::vector<std::byte> dense(raw_bytes);
  transpose_frames(planes, tile, dense, false);
  scatter_pixels(dense, frames);
  return {};
}

}  // namespace ff::kernels
