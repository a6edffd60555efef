// SPDX-License-Identifier: Apache-2.0
//
// Our codec on a recording's frames: windows > groups > tiles, coded and decoded in this process.
//
// Every decoded pixel is compared with the original: equal, or within the bound, and sentinels equal always. Times are those of planning, encoding and decoding
// alone; reading, comparing and memory are not in them.
#pragma once

#include "kernels/codec.hpp"
#include "tools/bench/bench_frames.hpp"
#include "tools/bench/measured.hpp"

namespace ff::tools {

struct OwnCodecOptions {
  kernels::Device device = kernels::Device::cpu;  ///< plans it can't execute go to the reference
  std::uint32_t window_frames = 16;               ///< 1 ... 64
  std::uint32_t group_frames = 0;                 ///< 0: one group a window
  std::uint32_t tile_rows = 0, tile_cols = 0;     ///< 0: the frame, or 512 x 512 above 1 Mpixel
  int repeat = 3;
  kernels::LossBound bound{};  ///< none: exact
};

/// State `failed`, with a note, when a pixel differs or a call is refused.
[[nodiscard]] Measured measure_own_codec(const BenchFrames& frames, kernels::Profile profile,
                                         const OwnCodecOptions& options);

}  // namespace ff::tools
