// SPDX-License-Identifier: Apache-2.0
//
// Groups of an archive: its index sorted into groups of frames with one block for each tile.
//
// Not here   the index itself (archive_file.hpp), reading blocks (archive_tile_decoder.hpp).
#pragma once

#include <string>
#include <vector>

#include "tools/archive/archive_file.hpp"

namespace ff::tools {

struct ArchiveGroup {
  std::uint64_t window = 0;
  std::uint32_t group = 0;
  std::uint32_t frames = 0;       ///< 0: its first block can't be read
  std::uint64_t first_frame = 0;  ///< in the series
  std::vector<const ArchiveEntry*> tiles;

  /// For messages: "SOURCE: window 3 group 1".
  [[nodiscard]] std::string name(const std::string& source) const;
};

/// All groups, by window, then group, pointing into the archive's entries. What is missing is named now, not in the
/// middle. Errors: malformed (blocks missing, a group beyond its window).
[[nodiscard]] Result<std::vector<ArchiveGroup>> sort_groups(const ArchiveReader& archive,
                                                            std::uint32_t window_frames, std::uint32_t tiles);

/// The first group of a window; where there is none, the first one behind it.
[[nodiscard]] std::size_t first_of_window(const std::vector<ArchiveGroup>& groups, std::uint64_t window);

}  // namespace ff::tools
