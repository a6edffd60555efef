// SPDX-License-Identifier: Apache-2.0
//
// bslz4 and lz4: the field's own compressed bytes, as DECTRIS streams and HDF5 filter 32008 carry them.
//
// Data path  detector > [decompress] > window ... decode > [compress] > HDF5 direct chunk
// Framing    u64 BE uncompressed bytes, u32 BE block bytes, then per block u32 BE length + LZ4 data.
//            bslz4: each block's elements are bit-transposed first; elements beyond a multiple of 8 follow
//            raw. (HDF5 filter 32008 and Stream V2 tag 56500 "bslz4" are the same bytes.)
// Not here   our own codec (kernels/codec.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"

namespace ff::kernels {

enum class DetectorCompression : std::uint8_t { none = 0, lz4 = 1, bslz4 = 2 };

/// Names of Stream V2: "" or "none", "lz4", "bslz4".
[[nodiscard]] Result<DetectorCompression> parse_detector_compression(std::string_view name);

/// Bit-transposes blocks of elements as the bitshuffle library does (8-element groups, whole input at once:
/// element_count must be a multiple of 8). `out` has the size of `in`, and is other memory.
void bitshuffle(ByteSpan in, std::size_t element_bytes, MutableByteSpan out) noexcept;
void bitunshuffle(ByteSpan in, std::size_t element_bytes, MutableByteSpan out) noexcept;

/// Largest size compress_detector can give.
[[nodiscard]] std::size_t detector_compressed_bound(DetectorCompression kind, std::size_t raw_bytes,
                                                    std::size_t element_bytes) noexcept;

/// Compresses `raw` with its frame header into `out`; returns the bytes written.
/// Errors: buffer_too_small, invalid_argument (element_bytes not 1, 2 or 4).
[[nodiscard]] Result<std::size_t> compress_detector(DetectorCompression kind, ByteSpan raw,
                                                    std::size_t element_bytes, MutableByteSpan out);

/// Undoes it into exactly `raw.size()` bytes; hostile input is safe.
/// Errors: truncated, malformed, shape_mismatch (the header's size is not raw.size()).
[[nodiscard]] Status decompress_detector(DetectorCompression kind, ByteSpan compressed,
                                         std::size_t element_bytes, MutableByteSpan raw);

}  // namespace ff::kernels
