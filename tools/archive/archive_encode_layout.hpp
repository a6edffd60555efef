// SPDX-License-Identifier: Apache-2.0
//
// What a recording will become as an archive, before its first frame is read: geometry, groups, and the memory it takes.
//
// Not here   the layout's own arithmetic (archive_layout.hpp), coding (archive_encode.cpp).
#pragma once

#include <string>

#include "common/wire/tile_grid.hpp"
#include "tools/archive/archive_encode.hpp"

namespace ff::tools {

[[nodiscard]] foreframe::wire::StreamGeometry geometry_of(const RecordingInfo& info,
                                                          const ArchiveEncodeOptions& options);

/// Errors: invalid_argument, out_of_range.
[[nodiscard]] Status check_options(const FrameReader& reader, const ArchiveEncodeOptions& options);

/// Preconditions: checked options, and the grid of their geometry.
[[nodiscard]] ArchiveLayout layout_of(const FrameReader& reader, const wire::TileGrid& grid,
                                      const ArchiveEncodeOptions& options);

/// What to change, and to what, so that the bound keeps to the limit.
[[nodiscard]] std::string memory_advice(ArchiveLayout layout, std::uint64_t memory_max);

}  // namespace ff::tools
