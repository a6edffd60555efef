// SPDX-License-Identifier: Apache-2.0
//
// TEZip's back end (tezip_back_end.hpp) behind two predictors, as peers of the codec.
//
// previous   the frame before.
// mean       the mean of the window's frames before, rounded to a whole number: the expectation of our running
//            mean while its gain is still 1/n, without smoothing by neighbours.
#pragma once

#include "tools/bench/bench_frames.hpp"
#include "tools/bench/measured.hpp"

namespace ff::tools {

enum class TezipPredictor : std::uint8_t { previous, mean };

struct TezipOptions {
  TezipPredictor predictor = TezipPredictor::previous;
  std::uint32_t window_frames = 16;  ///< TEZip's static window: a key frame every so many frames
  std::int32_t bound = 0;            ///< largest |x - x'|; key frames are always exact
  int repeat = 1;
  double max_seconds = 4;  ///< no further repeat once so much is spent
};

/// Frames in memory as 32-bit integers: twice the raw size for 16 bits, and as much again while coding.
[[nodiscard]] Measured measure_tezip(const BenchFrames& frames, const TezipOptions& options);

}  // namespace ff::tools
