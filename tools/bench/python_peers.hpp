// SPDX-License-Identifier: Apache-2.0
//
// Peers that live in Python wheels, measured by tools/python/codec_peers.py: Blosc2, JPEG-LS, JPEG XL, FFV1, x265
// and, lossy, ZFP and SZ3.
//
// Not here   how each is called: the script.
#pragma once

#include <functional>
#include <span>

#include "tools/bench/bench_frames.hpp"
#include "tools/bench/measured.hpp"

namespace ff::tools {

struct PythonPeer {
  const char* codec;
  const char* label;
  bool lossy;
};

[[nodiscard]] std::span<const PythonPeer> python_peers() noexcept;

struct PythonPeerOptions {
  std::vector<std::string> codecs;  ///< of python_peers(); at least one
  int repeat = 3;
  double max_seconds = 4;  ///< a codec
  std::uint32_t window_frames = 16;
  std::int32_t bound = 1;  ///< of the lossy ones
};

/// One result a codec, in order; `not_installed` where Python or a library is missing. The frames go to the
/// script through a file in the temporary folder, removed at the end. `on_result` is called after each.
[[nodiscard]] std::vector<Measured> measure_python_peers(const BenchFrames& frames,
                                                         const PythonPeerOptions& options,
                                                         const std::function<void()>& on_result);

}  // namespace ff::tools
