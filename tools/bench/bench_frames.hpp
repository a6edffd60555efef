// SPDX-License-Identifier: Apache-2.0
//
// The frames that a benchmark codes again and again: a recording, or its beginning, in memory.
#pragma once

#include <string>
#include <vector>

#include "tools/recording/recording.hpp"

namespace ff::tools {

struct BenchFrames {
  std::string name;  ///< the file's, without folder and endings; a simulated one's preset and keys
  RecordingInfo info;
  std::uint64_t frames = 0;  ///< that are in memory
  std::vector<std::byte> pixels;

  [[nodiscard]] ByteSpan frame_bytes(std::uint64_t index) const noexcept {
    return ByteSpan(pixels).subspan(index * info.shape.bytes(), info.shape.bytes());
  }
  [[nodiscard]] FrameView frame(std::uint64_t index) const noexcept {
    return dense_view(info.shape, frame_bytes(index).data());
  }
};

inline constexpr std::uint64_t kBenchBytesMax = 4ull << 30;

/// Reads a recording into memory; at most `frames_max` frames (0: all).
/// Errors: those of the recording; too_large (above 4 GiB: give fewer frames), dtype_unsupported (floats).
[[nodiscard]] Result<BenchFrames> load_bench_frames(const std::string& source, std::uint64_t frames_max);

/// Bits a pixel that a code for single pixels, knowing the histogram of all frames, needs at least.
[[nodiscard]] double order0_bits_per_pixel(const BenchFrames& frames);

/// Appends pixels as whole numbers; types of 8, 16 and 32 bits.
void append_pixel_values(Dtype dtype, ByteSpan pixels, std::vector<std::int64_t>& values);
/// All of them.
[[nodiscard]] std::vector<std::int64_t> pixel_values(const BenchFrames& frames);

/// All in a folder: FOLDER/NAME/NAME.json and FOLDER/NAME.json, in ascending order.
[[nodiscard]] std::vector<std::string> recordings_in(const std::string& folder);

/// Those taken when none is named: in the folder FF_DATA_DIR, or in shared/data beside the repository.
[[nodiscard]] std::vector<std::string> recordings_at_hand();

}  // namespace ff::tools
