// SPDX-License-Identifier: Apache-2.0
//
// Encodes a recording into an archive file: windows of groups of tiles, as an agent would, on many cores.
//
// Memory and order: archive_layout.hpp. The same frames, options and stamp give the same file with any number
// of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/encode/tile_coder.hpp"
#include "kernels/codec.hpp"
#include "tools/archive/archive_layout.hpp"
#include "tools/archive/archive_records.hpp"
#include "tools/recording/recording.hpp"

namespace ff::tools {

struct ArchiveEncodeOptions {
  kernels::Profile profile = kernels::Profile::fast;
  kernels::Device device = kernels::Device::cpu;  ///< plans it can't execute go to the reference
  std::uint32_t window_frames = 16;               ///< 1 ... 64
  std::uint32_t group_frames = 0;                 ///< 0: by the size that blocks come to (archive_encode.cpp)
  std::uint32_t tile_rows = 0, tile_cols = 0;     ///< 0: 512 × 512, or the frame where that is smaller
  agent::Windowing windowing;
  kernels::LossBound bound;           ///< none: exact
  std::uint32_t threads = 1;          ///< 0: as many as there are cores
  std::uint64_t memory_max = 0;       ///< refused where the bound is above it; 0: no limit
  std::optional<ArchiveStamp> stamp;  ///< nothing: a new one
  bool force = false;
};

struct ArchiveEncodeReport {
  std::uint64_t frames = 0, groups = 0, blocks = 0;
  std::uint64_t key_blocks = 0;  ///< that dynamic windowing made key groups inside a window
  std::uint64_t raw_bytes = 0;
  std::uint64_t coded_bytes = 0;       ///< of the blocks alone
  std::uint64_t file_bytes = 0;        ///< of the whole archive
  std::uint64_t reference_blocks = 0;  ///< coded by the reference because the device couldn't
  double encode_seconds = 0;           ///< planning and coding, of all threads together
  double seconds = 0;
  std::uint32_t threads = 1;
  MemoryBound memory;
  std::vector<WindowSize> windows;
};

/// What encode_archive will take at most. Errors: invalid_argument, out_of_range (options).
[[nodiscard]] Result<MemoryBound> encode_memory(const FrameReader& reader,
                                                const ArchiveEncodeOptions& options);

/// Memory: encode_memory, which is also in the report.
/// Errors: invalid_argument (options, memory), those of the recording, the codec and the output.
[[nodiscard]] Result<ArchiveEncodeReport> encode_archive(FrameReader& reader, const std::string& target,
                                                         const ArchiveEncodeOptions& options,
                                                         const std::function<void(std::uint64_t)>& progress);

}  // namespace ff::tools
