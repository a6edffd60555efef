// SPDX-License-Identifier: Apache-2.0
//
// Chunks and pixels: decodes what the stream's blocks hold, codes what a program writes through HDF5 itself.
//
// Data path  HDF5 file > [decode_chunk] > reader;  program > [encode_chunk] > HDF5 file
// Meaning    docs/formats/hdf5_filter.md
// Memory     the caller's pixels, one tile's state (10 to 12 bytes a pixel); coding: 16 bytes a pixel of 2^24 more.
// Any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "hpc_sink/filter/chunk_format.hpp"
#include "kernels/codec.hpp"

namespace ff::sink {

/// Decodes every block into `pixels`, of exactly geometry.shape.bytes(), frames one after the other; what no block
/// has is set to the fill. Each byte of the blocks is hostile until checked.
/// Errors: those of inspect_block and decode_group, malformed (blocks that break a rule of the page); the message
/// names block and tile. `pixels` may be partly written then.
[[nodiscard]] Status decode_chunk(const ParsedChunk& chunk, MutableByteSpan pixels);

struct ChunkEncodeOptions {
  kernels::Profile profile = kernels::Profile::automatic;
  std::uint64_t fill = 0;  ///< frames of nothing but this are not coded
};

/// Codes whole frames exactly: one tile, or bands of rows where a frame has more than 2^20 pixels.
/// Errors: as check_chunk_shape; shape_mismatch (`pixels` of another size).
[[nodiscard]] Result<std::vector<std::byte>> encode_chunk(const ChunkShape& shape, ByteSpan pixels,
                                                          const ChunkEncodeOptions& options);

}  // namespace ff::sink
