// SPDX-License-Identifier: Apache-2.0
//
// Which part of an archive is wanted: frames, and a rectangle of each.
//
// Ranges are written as in numpy, half-open and counted from 0: "10:20" are frames 10 ... 19, "10:" and ":20" end
// where the archive does. Unlike numpy nothing is cut to fit: a range past the end is an error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/wire/tile_grid.hpp"
#include "tools/recording/recording.hpp"

namespace ff::tools {

struct IndexRange {
  std::uint64_t begin = 0;
  std::optional<std::uint64_t> end;  ///< nothing: to the last
  friend bool operator==(const IndexRange&, const IndexRange&) = default;
};

/// As the user says it; empty: all.
struct ArchiveSelection {
  std::optional<IndexRange> frames;
  std::optional<IndexRange> windows;                            ///< or these; not both
  std::optional<std::pair<std::uint32_t, std::uint32_t>> tile;  ///< row and column in the grid of tiles
  std::optional<std::pair<IndexRange, IndexRange>> region;      ///< rows, columns; or this; not both
};

/// "A:B", "A:", ":B" or ":". Errors: invalid_argument (`option` is named in it).
[[nodiscard]] Result<IndexRange> parse_range(std::string_view text, std::string_view option);
/// The four options' texts, empty where they are not given. Errors: invalid_argument.
[[nodiscard]] Result<ArchiveSelection> parse_selection(const std::string& frames, const std::string& windows,
                                                       const std::string& tile, const std::string& region);

/// What it comes to in one archive.
struct SelectedPart {
  std::uint64_t first_frame = 0, frames = 0;  ///< at least one
  TileRect region;                            ///< at least one pixel
};
/// Errors: out_of_range (an empty range, or one past the end).
[[nodiscard]] Result<SelectedPart> resolve(const ArchiveSelection& selection, const RecordingInfo& info,
                                           const foreframe::wire::StreamGeometry& geometry,
                                           std::uint32_t window_frames);

}  // namespace ff::tools
