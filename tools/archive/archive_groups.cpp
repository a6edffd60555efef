// SPDX-License-Identifier: Apache-2.0
//
// Groups of an archive: one pass over the sorted index, one check of each group.
#include "tools/archive/archive_groups.hpp"

#include <algorithm>
#include <tuple>

namespace ff::tools {

namespace {

std::vector<const ArchiveEntry*> sorted_blocks(const ArchiveReader& archive) {
  std::vector<const ArchiveEntry*> blocks;
  for (const ArchiveEntry& entry : archive.entries())
    if (entry.kind == ArchiveRecord::block) blocks.push_back(&entry);
  const auto place = [](const ArchiveEntry* e) { return std::tuple(e->window, e->group, e->tile); };
  std::sort(blocks.begin(), blocks.end(), [&](const auto* a, const auto* b) { return place(a) < place(b); });
  return blocks;
}

Status check_group(const ArchiveGroup& group, const std::string& source, std::uint32_t window_frames,
                   std::uint32_t tiles) {
  if (group.first_frame + group.frames > (group.window + 1) * window_frames)
    return fail(Errc::malformed, group.name(source) + " reaches beyond its window");
  if (group.tiles.size() == tiles) return {};
  return fail(Errc::malformed, group.name(source) + " has " + std::to_string(group.tiles.size()) + " of " +
                                   std::to_string(tiles) + " tiles");
}

}  // namespace

std::string ArchiveGroup::name(const std::string& source) const {
  return source + ": window " + std::to_string(window) + " group " + std::to_string(group);
}

Result<std::vector<ArchiveGroup>> sort_groups(const ArchiveReader& archive, std::uint32_t window_frames,
                                              std::uint32_t tiles) {
  std::vector<ArchiveGroup> groups;
  for (const ArchiveEntry* entry : sorted_blocks(archive)) {
    const bool opens = groups.empty() || groups.back().window != entry->window;
    if (opens || groups.back().group != entry->group) {
      // An index has no first frames: there, a window's groups follow each other.
      const std::uint64_t first = opens || !archive.has_index()
                                      ? entry->window * std::uint64_t{window_frames} + entry->first_frame
                                      : groups.back().first_frame + groups.back().frames;
      groups.push_back({entry->window, entry->group, entry->frames, first, {}});
    }
    if (entry->tile == groups.back().tiles.size()) groups.back().tiles.push_back(entry);
  }
  for (const ArchiveGroup& group : groups) FF_TRY(check_group(group, archive.path(), window_frames, tiles));
  return groups;
}

std::size_t first_of_window(const std::vector<ArchiveGroup>& groups, std::uint64_t window) {
  const auto before = [](const ArchiveGroup& group, std::uint64_t w) { return group.window < w; };
  return static_cast<std::size_t>(std::lower_bound(groups.begin(), groups.end(), window, before) -
                                  groups.begin());
}

}  // namespace ff::tools
