// SPDX-License-Identifier: Apache-2.0
//
// What an archive says about its series: geometry, mask, number of frames.
//
// Not here   the file's index (archive_file.hpp), which part of it is wanted (archive_selection.hpp).
#pragma once

#include <vector>

#include "common/wire/tile_grid.hpp"
#include "tools/archive/archive_file.hpp"
#include "tools/recording/recording.hpp"

namespace ff::tools {

struct SeriesFacts {
  foreframe::wire::StreamGeometry geometry;
  std::uint32_t window_frames = 0;
  RecordingInfo info;
};

/// From the start record; a spool's segment without one still has the geometry in every block.
/// Errors: those of ArchiveReader::read and parse_envelope; malformed (no geometry), truncated (never finished).
[[nodiscard]] Result<SeriesFacts> read_facts(const ArchiveReader& archive);

/// A region of a frame's mask; nothing of nothing.
[[nodiscard]] std::vector<std::uint32_t> crop_mask(std::vector<std::uint32_t> mask, const FrameShape& shape,
                                                   const TileRect& region);

}  // namespace ff::tools
