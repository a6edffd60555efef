// SPDX-License-Identifier: Apache-2.0
//
// ArchiveRecording: an archive file as a recording, so that everything that reads recordings reads archives.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/wire/tile_grid.hpp"
#include "kernels/codec.hpp"
#include "tools/archive/archive_file.hpp"
#include "tools/recording/recording.hpp"

namespace ff::tools {

/// Frames in ascending order are decoded once; going back inside a group is free, farther back decodes the
/// window again. Memory: one group of frames and 10 bytes a pixel.
class ArchiveRecording final : public FrameReader {
 public:
  /// Errors: those of ArchiveReader::open and parse_envelope; malformed (no geometry, blocks missing).
  [[nodiscard]] static Result<std::unique_ptr<ArchiveRecording>> open(const std::string& path,
                                                                      kernels::Device device);

  /// Errors: those of decode_group; malformed (a frame that is in no block).
  [[nodiscard]] Status read(std::uint64_t index, MutableByteSpan pixels) override;

 private:
  /// Blocks of one group, one for each tile.
  struct Group {
    std::uint64_t window = 0;
    std::uint32_t group = 0;
    std::vector<const ArchiveEntry*> tiles;
  };
  ArchiveRecording(RecordingInfo info, ArchiveReader archive, const foreframe::wire::StreamGeometry& geometry,
                   std::uint32_t window_frames, kernels::Device device)
      : FrameReader(std::move(info)),
        archive_(std::move(archive)),
        grid_(geometry),
        window_frames_(window_frames),
        device_(device) {}

  [[nodiscard]] Status arrange();
  [[nodiscard]] Status load_window(std::uint64_t window);
  [[nodiscard]] Status decode_next_group();
  [[nodiscard]] Status decode_block(const ArchiveEntry& entry, std::uint32_t tile);

  ArchiveReader archive_;
  wire::TileGrid grid_;
  std::uint32_t window_frames_;
  kernels::Device device_;
  std::vector<Group> groups_;               ///< by window, then group
  std::vector<kernels::TileState> states_;  ///< of the window at hand
  std::size_t next_group_ = 0;
  std::uint64_t first_frame_ = 0;  ///< of the decoded group, in the series
  std::uint32_t decoded_frames_ = 0;
  std::vector<std::byte> frames_;
};

}  // namespace ff::tools
