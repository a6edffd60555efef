// SPDX-License-Identifier: Apache-2.0
//
// TERSE/PROLIX, re-made as a peer from its published description (github.com/senikm/trpx, include/Terse.hpp):
// blocks of 12 pixels, each pixel with as many bits as the block's largest needs.
//
// Before a block: bit 1 = as wide as the block before; or 0 and 3 bits of width, where 7 means 7 + 2 more bits,
// and of those 3 means 10 + 6 more bits. Lowest bit first. Every frame starts anew and ends on a byte; the same
// bits as there, without the XML line that opens a file.
#pragma once

#include "common/base/bytes.hpp"
#include "common/base/frame_view.hpp"
#include "common/base/result.hpp"

namespace ff::tools {

[[nodiscard]] std::size_t terse_bound(const FrameShape& shape) noexcept;

/// Codes one dense frame of whole numbers into `out` (terse_bound bytes); returns the bytes written.
[[nodiscard]] std::size_t terse_encode(const FrameShape& shape, ByteSpan frame, MutableByteSpan out);

/// Undoes it. Errors: truncated, malformed (a width above the pixel's).
[[nodiscard]] Status terse_decode(const FrameShape& shape, ByteSpan coded, MutableByteSpan frame);

}  // namespace ff::tools
