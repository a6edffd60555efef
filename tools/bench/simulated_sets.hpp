// SPDX-License-Identifier: Apache-2.0
//
// Simulated frames that `foreframe bench codec` adds to the recordings: a sweep over photon rates, whose true
// entropy is known, and frames of detectors whose rate is to be held.
#pragma once

#include <string>
#include <vector>

#include "tools/bench/codec_bench.hpp"

namespace ff::tools {

struct SimulatedSet {
  std::string source;
  double photons_per_pixel = 0;     ///< of a sweep
  double detector_bytes_per_s = 0;  ///< of a detector: all its pixels at its frame rate
  std::uint32_t window_frames = 16;
  bool every_peer = true;  ///< false: our profiles, bitshuffle + LZ4 and TEZip's back end alone
};

/// Static Poisson counts of 512 x 512 pixels, 64 frames, windows of 64: 0.02 ... 1000 photons a pixel with 16 bits
/// and up to 10 with 8.
[[nodiscard]] std::vector<SimulatedSet> photon_sweep();

/// citius-module, citius-840k, jungfrau-4m, eiger2-16m; of the two large ones a part, the rate of the whole.
[[nodiscard]] std::vector<SimulatedSet> detector_frames();

/// bench_recording for such a set.
[[nodiscard]] Result<RecordingBench> bench_simulated(const SimulatedSet& set, CodecBenchOptions options,
                                                     const std::function<void(const std::string&)>& on_step);
/// The options that bench_simulated uses for this set.
[[nodiscard]] CodecBenchOptions options_for(const SimulatedSet& set, CodecBenchOptions options);

}  // namespace ff::tools
