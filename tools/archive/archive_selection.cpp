// SPDX-License-Identifier: Apache-2.0
//
// Ranges as text and as numbers.
#include "tools/archive/archive_selection.hpp"

#include <algorithm>
#include <charconv>

namespace ff::tools {

namespace {

bool read_number(std::string_view text, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

Error wrong(std::string_view option, std::string_view text, const char* wants) {
  return {Errc::invalid_argument, std::string(option) + " " + std::string(text) + ": takes " + wants};
}

struct Interval {
  std::uint64_t begin, end;
};

Result<Interval> resolve(const IndexRange& range, std::uint64_t count, const char* what) {
  const Interval found{range.begin, range.end.value_or(count)};
  if (found.begin < found.end && found.end <= count) return found;
  return fail(Errc::out_of_range, std::string(what) + " " + std::to_string(found.begin) + ":" +
                                      std::to_string(found.end) + ": there are " + what +
                                      " 0:" + std::to_string(count) + ", and a range holds at least one");
}

Result<TileRect> resolve_tile(std::pair<std::uint32_t, std::uint32_t> tile,
                              const foreframe::wire::StreamGeometry& geometry) {
  const std::uint32_t down = (geometry.rows() + geometry.tile_rows() - 1) / geometry.tile_rows();
  const std::uint32_t across = (geometry.cols() + geometry.tile_cols() - 1) / geometry.tile_cols();
  if (tile.first >= down || tile.second >= across) {
    return fail(Errc::out_of_range, "tile " + std::to_string(tile.first) + "," + std::to_string(tile.second) +
                                        ": the grid has " + std::to_string(down) + " x " +
                                        std::to_string(across) + " tiles, counted from 0");
  }
  return wire::TileGrid(geometry).rect(tile.first * across + tile.second);
}

Result<TileRect> resolve_region(const std::pair<IndexRange, IndexRange>& region, const FrameShape& frame) {
  FF_ASSIGN(const Interval rows, resolve(region.first, frame.rows, "rows"));
  FF_ASSIGN(const Interval cols, resolve(region.second, frame.cols, "columns"));
  return TileRect{static_cast<std::uint32_t>(rows.begin), static_cast<std::uint32_t>(cols.begin),
                  static_cast<std::uint32_t>(rows.end - rows.begin),
                  static_cast<std::uint32_t>(cols.end - cols.begin)};
}

}  // namespace

Result<IndexRange> parse_range(std::string_view text, std::string_view option) {
  constexpr const char* kWants = "a half-open range counted from 0, as in 10:20, 10: or :20";
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return wrong(option, text, kWants);
  const std::string_view begin = text.substr(0, colon), end = text.substr(colon + 1);
  IndexRange range;
  if (!begin.empty() && !read_number(begin, range.begin)) return wrong(option, text, kWants);
  if (end.empty()) return range;
  std::uint64_t value = 0;
  if (!read_number(end, value)) return wrong(option, text, kWants);
  range.end = value;
  return range;
}

Result<ArchiveSelection> parse_selection(const std::string& frames, const std::string& windows,
                                         const std::string& tile, const std::string& region) {
  ArchiveSelection selection;
  if (!frames.empty() && !windows.empty())
    return fail(Errc::invalid_argument, "--frames and --windows both say which frames: give one of them");
  if (!tile.empty() && !region.empty())
    return fail(Errc::invalid_argument, "--tile and --region both say which pixels: give one of them");
  if (!frames.empty()) {
    FF_ASSIGN(selection.frames, parse_range(frames, "--frames"));
  }
  if (!windows.empty()) {
    FF_ASSIGN(selection.windows, parse_range(windows, "--windows"));
  }
  if (!tile.empty()) {
    const std::size_t comma = std::min(tile.find(','), tile.size() - 1);
    std::uint64_t row = 0, col = 0;
    if (!read_number(tile.substr(0, comma), row) || !read_number(tile.substr(comma + 1), col) ||
        std::max(row, col) > kRecordingRowsMax)
      return wrong("--tile", tile, "row and column of a tile, counted from 0, as in 1,0");
    selection.tile = {static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(col)};
  }
  if (!region.empty()) {
    const std::size_t comma = region.find(',');
    if (comma == std::string::npos)
      return wrong("--region", region, "rows and columns, as in 0:512,1024:2048");
    FF_ASSIGN(const IndexRange rows, parse_range(region.substr(0, comma), "--region"));
    FF_ASSIGN(const IndexRange cols, parse_range(region.substr(comma + 1), "--region"));
    selection.region = {rows, cols};
  }
  return selection;
}

Result<SelectedPart> resolve(const ArchiveSelection& selection, const RecordingInfo& info,
                             const foreframe::wire::StreamGeometry& geometry, std::uint32_t window_frames) {
  SelectedPart part{0, info.frames, {0, 0, info.shape.rows, info.shape.cols}};
  Interval frames{0, info.frames};
  if (selection.frames) {
    FF_ASSIGN(frames, resolve(*selection.frames, info.frames, "frames"));
  }
  if (selection.windows) {
    const std::uint64_t windows = (info.frames + window_frames - 1) / window_frames;
    FF_ASSIGN(const Interval range, resolve(*selection.windows, windows, "windows"));
    frames = {range.begin * window_frames, std::min(range.end * window_frames, info.frames)};
  }
  part.first_frame = frames.begin;
  part.frames = frames.end - frames.begin;
  if (selection.tile) {
    FF_ASSIGN(part.region, resolve_tile(*selection.tile, geometry));
  }
  if (selection.region) {
    FF_ASSIGN(part.region, resolve_region(*selection.region, info.shape));
  }
  return part;
}

}  // namespace ff::tools
