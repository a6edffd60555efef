// SPDX-License-Identifier: Apache-2.0
//
// VirtualLayout: rows to runs, runs to strided mappings.
#include "hpc_sink/store/virtual_layout.hpp"

namespace ff::sink {
namespace {

struct Run {
  std::uint64_t row, frame, length;
};

std::vector<Run> runs_of(const FileRow& file, std::vector<bool>& taken) {
  std::vector<Run> runs;
  for (std::uint64_t row = 0; row < file.frame_numbers.size(); ++row) {
    const auto frame = static_cast<std::uint64_t>(file.frame_numbers[row]);
    if (frame >= taken.size() || taken[frame]) continue;
    taken[frame] = true;
    Run* const last = runs.empty() ? nullptr : &runs.back();
    if (last != nullptr && last->row + last->length == row && last->frame + last->length == frame)
      ++last->length;
    else
      runs.push_back({row, frame, 1});
  }
  return runs;
}

// True when `run` is the next of the mapping's equal, evenly spaced runs; a second run sets the stride.
bool extends(VirtualMapping& mapping, const Run& run) {
  if (run.length != mapping.length || run.row != mapping.row + mapping.count * mapping.length) return false;
  if (mapping.count == 1) {
    if (run.frame < mapping.frame + mapping.length) return false;
    mapping.stride = run.frame - mapping.frame;
    return true;
  }
  return run.frame == mapping.frame + mapping.count * mapping.stride;
}

}  // namespace

std::vector<VirtualMapping> plan_virtual_layout(const std::vector<FileRow>& files,
                                                std::uint64_t frames_expected) {
  std::vector<bool> taken(frames_expected, false);
  std::vector<VirtualMapping> mappings;
  for (const FileRow& file : files) {
    const std::size_t first_of_file = mappings.size();
    for (const Run& run : runs_of(file, taken)) {
      if (mappings.size() > first_of_file && extends(mappings.back(), run))
        ++mappings.back().count;
      else
        mappings.push_back(
            {file.name, file.frame_numbers.size(), run.row, run.frame, run.length, run.length, 1});
    }
  }
  return mappings;
}

}  // namespace ff::sink
