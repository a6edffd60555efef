// SPDX-License-Identifier: Apache-2.0
//
// One recording through our profiles and all peers, on the same frames, one after the other.
//
// Not here   tables (codec_bench_report.hpp), documents and plots (tools/python/codec_document.py, codec_plots.py).
#pragma once

#include <functional>

#include "tools/bench/lossy_bound.hpp"
#include "tools/bench/own_codec.hpp"

namespace ff::tools {

struct CodecBenchOptions {
  std::vector<kernels::Profile> profiles;
  std::vector<std::string> peers;  ///< names of bench_peers(); the others are left out
  OwnCodecOptions own;
  std::uint64_t frames_max = 0;  ///< 0: all
  double max_seconds = 4;        ///< a slow peer
  std::vector<LossyBound> bounds;
};

struct LossyBench {
  LossyBound bound;
  std::optional<std::int32_t> absolute;  ///< what the peers were given
  std::vector<Measured> results;
};

struct RecordingBench {
  std::string name, source, kind;  ///< kind: what the recording says of its detector
  RecordingInfo info;              ///< without mask
  std::uint64_t frames = 0, raw_bytes = 0;
  double mean = 0;   ///< of the pixels that are no sentinels
  double zeros = 0;  ///< share of pixels that are 0
  double order0_bits_per_pixel = 0;
  std::optional<double> photons_per_pixel;     ///< asked of the simulator
  std::optional<double> detector_bytes_per_s;  ///< of the whole detector that the frames stand for
  std::vector<Measured> results;               ///< ours first, then the peers in their order
  std::vector<LossyBench> lossy;
};

struct BenchPeer {
  std::string codec, label;
  bool lossy = false;
  bool in_python = false;
};
/// All peers in the order of the tables.
[[nodiscard]] const std::vector<BenchPeer>& bench_peers();
/// "all", "none", "fast" (no Python, nothing slow) or a comma-separated list. Errors: invalid_argument.
[[nodiscard]] Result<std::vector<std::string>> parse_bench_peers(const std::string& text);

/// Steps that bench_recording reports for one recording.
[[nodiscard]] std::size_t bench_steps(const CodecBenchOptions& options);

/// Errors: those of load_bench_frames. A codec that fails is a result of state `failed`.
[[nodiscard]] Result<RecordingBench> bench_recording(const std::string& source,
                                                     const CodecBenchOptions& options,
                                                     const std::function<void(const std::string&)>& on_step);

}  // namespace ff::tools
