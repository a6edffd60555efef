// SPDX-License-Identifier: Apache-2.0
//
// Unpacking: from the detector's bytes to row-major little-endian pixels, in one pass where it can.
//
// Data path  FrameSource > [unpack into the pool slot] > window
// Not here   the compressors (kernels/interop/bslz4.hpp).
#pragma once

#include "agent/ingest/frame_source.hpp"

namespace ff::agent {

/// Writes exactly `pixels.shape.bytes()` bytes. Little-endian row-major pixels (what detectors send) cost one
/// decompression or one copy; other byte orders one more pass, column-major a scratch frame as well.
/// Errors: shape_mismatch (`out` or the uncompressed bytes have another size), truncated, malformed,
///         unsupported_feature.
[[nodiscard]] Status unpack_pixels(const ChannelPixels& pixels, MutableByteSpan out);

}  // namespace ff::agent
