// SPDX-License-Identifier: Apache-2.0
//
// Encodes a recording into an archive file: windows of groups of tiles, as an agent would.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/codec.hpp"
#include "tools/recording/recording.hpp"

namespace ff::tools {

struct ArchiveEncodeOptions {
  kernels::Profile profile = kernels::Profile::fast;
  kernels::Device device = kernels::Device::cpu;  ///< plans it can't execute go to the reference
  std::uint32_t window_frames = 16;               ///< 1 ... 64
  std::uint32_t group_frames = 0;                 ///< 0: the window, or less so that a raw block is ≤ 4 MiB
  std::uint32_t tile_rows = 0, tile_cols = 0;     ///< 0: 512 × 512, or the frame where that is smaller
  bool force = false;
};

struct WindowSize {
  std::uint64_t window = 0;
  std::uint64_t raw_bytes = 0, coded_bytes = 0;
};

struct ArchiveEncodeReport {
  std::uint64_t frames = 0, blocks = 0;
  std::uint64_t raw_bytes = 0;
  std::uint64_t coded_bytes = 0;       ///< of the blocks alone
  std::uint64_t file_bytes = 0;        ///< of the whole archive
  std::uint64_t reference_blocks = 0;  ///< coded by the reference because the device couldn't
  double encode_seconds = 0;           ///< planning and coding, without reading and writing files
  double seconds = 0;
  std::vector<WindowSize> windows;
};

/// Memory: one group of frames and 10 bytes a pixel. Errors: invalid_argument (options), those of the
/// recording, the codec and the output.
[[nodiscard]] Result<ArchiveEncodeReport> encode_archive(FrameReader& reader, const std::string& target,
                                                         const ArchiveEncodeOptions& options,
                                                         const std::function<void(std::uint64_t)>& progress);

}  // namespace ff::tools
