// SPDX-License-Identifier: Apache-2.0
//
// TEZip's back end, re-made as a peer: what TEZip (github.com/kento/TEZip, src/compress.py) does once a
// predictor has spoken. Key frames as they are, and for all other frames
//
//     residual > [merge runs within the bound] > difference of neighbours > rank table > zstd, level 9
//
// Same as there     one run of values over all frames, rows and columns; ranks by frequency; one zstd stream of
//                   key frames and one of table and ranks; static windows (a key frame every N frames).
// Kinder than there predictions come from decoded frames, not from predictions (TEZip predicts open loop); 16
//                   and 32-bit pixels; grey frames are not tripled; bounds are whole numbers and so do hold.
// Not here          neural prediction: any predictor fits, two stand in tezip_peer.hpp.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"

namespace ff::tools {

/// Greedy runs in order: as long as one value is within `bound` of all of a run's residuals, they all become
/// that value. `bound` 0 changes nothing.
void merge_runs(std::span<std::int32_t> residual, std::int32_t bound);

/// Difference of neighbours modulo 2^32, ranks by frequency (ties: the smaller value first), zstd -9.
[[nodiscard]] std::vector<std::byte> encode_residuals(std::span<const std::int32_t> residuals);

/// Undoes encode_residuals. Errors: malformed, truncated, shape_mismatch (not `count` values).
[[nodiscard]] Result<std::vector<std::int32_t>> decode_residuals(ByteSpan coded, std::size_t count);

/// zstd at TEZip's level 9.
[[nodiscard]] std::vector<std::byte> zstd9(ByteSpan raw);
/// Errors: malformed, shape_mismatch (not raw_bytes).
[[nodiscard]] Result<std::vector<std::byte>> unzstd(ByteSpan coded, std::size_t raw_bytes);

}  // namespace ff::tools
