// SPDX-License-Identifier: Apache-2.0
//
// DoneWindows: sets of windows as ranges.
#include "hpc_sink/decode/done_windows.hpp"

#include <iterator>

namespace ff::sink {
namespace {

using Ranges = std::map<std::uint64_t, std::uint64_t>;

// The range that holds `window`, or end().
Ranges::const_iterator find_range(const Ranges& ranges, std::uint64_t window) {
  auto next = ranges.upper_bound(window);
  if (next == ranges.begin()) return ranges.end();
  const auto range = std::prev(next);
  return window < range->second ? range : ranges.end();
}

}  // namespace

void DoneWindows::insert(const WindowKey& key) {
  std::lock_guard lock(mutex_);
  Ranges& ranges = streams_[key.stream];
  if (find_range(ranges, key.window) != ranges.end()) return;
  std::uint64_t first = key.window, end = key.window + 1;
  const auto next = ranges.upper_bound(key.window);
  if (next != ranges.begin() && std::prev(next)->second == first) first = std::prev(next)->first;
  if (next != ranges.end() && next->first == end) {
    end = next->second;
    ranges.erase(next);
  }
  ranges[first] = end;
}

void DoneWindows::erase(const WindowKey& key) {
  std::lock_guard lock(mutex_);
  const auto stream = streams_.find(key.stream);
  if (stream == streams_.end()) return;
  const auto range = find_range(stream->second, key.window);
  if (range == stream->second.end()) return;
  const auto [first, end] = *range;
  stream->second.erase(range);
  if (first < key.window) stream->second[first] = key.window;
  if (key.window + 1 < end) stream->second[key.window + 1] = end;
}

bool DoneWindows::contains(const WindowKey& key) const {
  std::lock_guard lock(mutex_);
  const auto stream = streams_.find(key.stream);
  return stream != streams_.end() && find_range(stream->second, key.window) != stream->second.end();
}

std::vector<std::pair<std::uint64_t, std::uint64_t>> DoneWindows::gaps(const StreamKey& stream,
                                                                       std::uint64_t end,
                                                                       std::size_t ranges_max) const {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> found;
  std::uint64_t next = 0;
  const auto known = streams_.find(stream);
  if (known != streams_.end()) {
    for (const auto& [first, past] : known->second) {
      if (first >= end || found.size() >= ranges_max) break;
      if (next < first) found.emplace_back(next, first);
      next = past;
    }
  }
  if (next < end && found.size() < ranges_max) found.emplace_back(next, end);
  return found;
}

std::uint64_t DoneWindows::count(const StreamKey& stream) const {
  std::lock_guard lock(mutex_);
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return 0;
  std::uint64_t windows = 0;
  for (const auto& [first, end] : found->second) windows += end - first;
  return windows;
}

}  // namespace ff::sink
