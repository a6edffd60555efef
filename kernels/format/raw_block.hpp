// SPDX-License-Identifier: Apache-2.0
//
// Raw blocks: pixels stored, or each frame bit-transposed and the whole compressed with zstd.
//
// Data path  window > plan > [encode] > envelope > ... > [decode] > store
// Meaning    docs/formats/block.md §4 (raw blocks): floats, and groups that prediction would not shrink.
// Not here   the header around it (block_header.hpp), bslz4 of detectors (interop/bslz4.hpp).
#pragma once

#include <cstddef>

#include "kernels/codec.hpp"
#include "kernels/format/block_header.hpp"

namespace ff::kernels {

/// Copies the frames' rows densely into `out`, which has present frames x tile bytes.
void gather_pixels(GroupFrames frames, MutableByteSpan out) noexcept;
/// The inverse. Both copy only; cost is memory speed.
void scatter_pixels(ByteSpan dense, MutableGroupFrames frames) noexcept;

/// CRC-32C over the frames' rows, in order, as if they were dense.
[[nodiscard]] std::uint32_t pixel_crc(GroupFrames frames) noexcept;
[[nodiscard]] std::uint32_t pixel_crc(MutableGroupFrames frames) noexcept;

/// Writes the payload of a raw block (no header) into `out`, which holds at least the raw bytes. `wanted` may
/// be raw_zstd; the kind really used is returned: stored where zstd would not shrink it.
struct RawPayload {
  BlockKind kind = BlockKind::stored;
  std::size_t bytes = 0;
};
[[nodiscard]] RawPayload encode_raw_payload(BlockKind wanted, GroupFrames frames, MutableByteSpan out);

/// Allocates the raw bytes of the group once (the shape has been declared by the caller).
/// Errors: malformed (sizes disagree, zstd refuses).
[[nodiscard]] Status decode_raw_payload(BlockKind kind, ByteSpan payload, MutableGroupFrames frames);

}  // namespace ff::kernels
