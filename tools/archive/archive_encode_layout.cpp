// SPDX-License-Identifier: Apache-2.0
//
// Encoding's layout: groups as long as blocks want them, as far as the memory limit allows.
#include "tools/archive/archive_encode_layout.hpp"

#include <algorithm>

#include "common/base/units.hpp"

namespace ff::tools {

namespace {

constexpr std::size_t kRawBlockBytesWanted = 4u << 20, kRawBlockBytesMost = 16u << 20;
constexpr std::uint64_t kRawGroupBytesMost = 256u << 20;  // of a long group, all tiles: memory
constexpr std::uint32_t kTileSide = 512;

}  // namespace

foreframe::wire::StreamGeometry geometry_of(const RecordingInfo& info, const ArchiveEncodeOptions& options) {
  foreframe::wire::StreamGeometry geometry;
  geometry.set_rows(info.shape.rows);
  geometry.set_cols(info.shape.cols);
  geometry.set_dtype(static_cast<std::uint32_t>(info.shape.dtype));
  geometry.set_tile_rows(options.tile_rows > 0 ? options.tile_rows : std::min(kTileSide, info.shape.rows));
  geometry.set_tile_cols(options.tile_cols > 0 ? options.tile_cols : std::min(kTileSide, info.shape.cols));
  geometry.set_detector_rows(info.shape.rows);
  geometry.set_detector_cols(info.shape.cols);
  for (const std::int64_t value : info.sentinels) geometry.add_sentinels(value);
  return geometry;
}

Status check_options(const FrameReader& reader, const ArchiveEncodeOptions& options) {
  if (options.window_frames < 1 || options.window_frames > kernels::kWindowFramesMax)
    return fail(Errc::out_of_range, "--window takes 1 to 64 frames");
  FF_TRY(kernels::check_loss_bound(options.bound, reader.info().shape.dtype));
  const Status possible = wire::check_geometry(geometry_of(reader.info(), options));
  if (possible.ok()) return {};
  return fail(Errc::invalid_argument, reader.info().source + ": " + possible.error().message);
}

ArchiveLayout layout_of(const FrameReader& reader, const wire::TileGrid& grid,
                        const ArchiveEncodeOptions& options) {
  const RecordingInfo& info = reader.info();
  ArchiveLayout layout;
  layout.frame = info.shape;
  layout.tile = grid.tile_shape(0);
  layout.tiles = grid.count();
  layout.window_frames = options.window_frames;
  const auto frames_of = [&](std::uint64_t bytes, std::size_t frame_bytes) {
    return static_cast<std::uint32_t>(
        std::clamp<std::uint64_t>(bytes / frame_bytes, 1, options.window_frames));
  };
  const std::uint32_t fixed = std::min(options.group_frames, options.window_frames);
  layout.group_frames_least = fixed > 0 ? fixed : frames_of(kRawBlockBytesWanted, layout.tile.bytes());
  const std::uint32_t most = std::min(frames_of(kRawBlockBytesMost, layout.tile.bytes()),
                                      frames_of(kRawGroupBytesMost, layout.frame.bytes()));
  layout.group_frames = fixed > 0 ? fixed : std::max(layout.group_frames_least, most);
  layout.windows = (info.frames + options.window_frames - 1) / options.window_frames;
  layout.coded_twice = options.windowing.factor_per_mille > 0;
  layout.source_bytes = reader.memory_bytes() + info.pixel_mask.size() +  // and the tiles' masks
                        kernels::loss_table_bytes(options.bound);
  layout.threads = threads_for(options.threads, layout);
  while (layout.group_frames > layout.group_frames_least && options.memory_max != 0 &&
         layout.encode_bound().total() > options.memory_max)
    --layout.group_frames;
  return layout;
}

std::string memory_advice(ArchiveLayout layout, std::uint64_t memory_max) {
  for (const std::uint32_t threads : {layout.threads, 1u}) {
    layout.threads = threads;
    for (std::uint32_t group = layout.group_frames; group > 0; group /= 2) {
      ArchiveLayout other = layout;
      other.group_frames = other.group_frames_least = group;
      const std::uint64_t bytes = other.encode_bound().total();
      if (bytes > memory_max) continue;
      return "--group " + std::to_string(group) + " --threads " + std::to_string(threads) + " needs " +
             human_bytes(static_cast<double>(bytes));
    }
  }
  layout.group_frames = layout.group_frames_least = 1;
  return "no --group or --threads is small enough; the least, with --group 1 --threads 1, is " +
         human_bytes(static_cast<double>(layout.encode_bound().total()));
}

}  // namespace ff::tools
