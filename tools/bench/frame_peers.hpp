// SPDX-License-Identifier: Apache-2.0
//
// Peers whose libraries are here already, each coding one frame after the other: bitshuffle + LZ4 and
// bitshuffle + zstd as HDF5 filter 32008 does (blocks of 8 KiB), plain zstd, TERSE.
//
// Not here   peers from Python wheels (python_peers.hpp), TEZip (tezip_peer.hpp).
#pragma once

#include <string_view>

#include "tools/bench/bench_frames.hpp"
#include "tools/bench/measured.hpp"

namespace ff::tools {

struct FramePeer {
  const char* codec;
  const char* label;
};

[[nodiscard]] std::span<const FramePeer> frame_peers() noexcept;

/// Every decoded frame is compared; state `failed` when one differs. `codec` is one of frame_peers().
[[nodiscard]] Measured measure_frame_peer(const BenchFrames& frames, std::string_view codec, int repeat);

}  // namespace ff::tools
