// SPDX-License-Identifier: Apache-2.0
//
// Cutting a series.
#include "agent/window/window_plan.hpp"

#include <algorithm>
#include <string>

namespace ff::agent {
namespace {

constexpr std::uint64_t kTilePixelsMax = std::uint64_t{1} << 20;
constexpr std::uint64_t kBlockBytesWanted = 600'000;

struct ModulePitch {
  std::string_view word;  ///< in the detector's description
  std::uint32_t rows, cols;
};

/// Module with the gap that follows it: a grid of these puts every module into a tile of its own.
constexpr ModulePitch kModules[] = {
    {"PILATUS", 212, 494},
    {"EIGER", 550, 1040},
    {"JUNGFRAU", 514, 1030},
};
constexpr std::uint32_t kTileSide = 512;

std::uint64_t cap(std::uint64_t frames, double most) noexcept {
  if (most >= static_cast<double>(frames)) return frames;
  return most < 1 ? 1 : static_cast<std::uint64_t>(most);
}

void choose_tiles(const WindowLimits& limits, const FrameShape& frame, std::string_view description,
                  WindowPlan& plan) {
  plan.tile_rows = plan.tile_cols = kTileSide;
  for (const ModulePitch& module : kModules)
    if (description.find(module.word) != std::string_view::npos) {
      plan.tile_rows = module.rows;
      plan.tile_cols = module.cols;
    }
  if (limits.tile_rows != 0)
    plan.tile_rows = static_cast<std::uint32_t>(std::min<std::uint64_t>(limits.tile_rows, 65536));
  if (limits.tile_cols != 0)
    plan.tile_cols = static_cast<std::uint32_t>(std::min<std::uint64_t>(limits.tile_cols, 65536));
  plan.tile_rows = std::min(plan.tile_rows, frame.rows);
  plan.tile_cols = std::min(plan.tile_cols, frame.cols);
}

}  // namespace

Result<WindowPlan> plan_windows(const WindowLimits& limits, const FrameShape& frame, std::size_t streams,
                                std::optional<double> frame_time_s, std::string_view description) {
  WindowPlan plan;
  choose_tiles(limits, frame, description, plan);
  const std::uint64_t tile_pixels = std::uint64_t{plan.tile_rows} * plan.tile_cols;
  if (tile_pixels == 0 || tile_pixels > kTilePixelsMax)
    return fail(Errc::out_of_range,
                "tiles of " + std::to_string(plan.tile_rows) + " x " + std::to_string(plan.tile_cols) +
                    " pixels; a tile has at most 2^20, lower encode.tile_rows or encode.tile_cols");

  std::uint64_t window = std::clamp<std::uint64_t>(limits.window_frames, 1, 64);
  if (frame_time_s && *frame_time_s > 0)
    window = cap(window, std::chrono::duration<double>(limits.window_time_max).count() / *frame_time_s);
  window = cap(window, static_cast<double>(limits.window_bytes_max) /
                           (static_cast<double>(frame.bytes()) *
                            static_cast<double>(std::max<std::size_t>(streams, 1))));
  plan.window_frames = static_cast<std::uint32_t>(window);

  std::uint64_t group = limits.group_frames == 0 ? window : std::min(limits.group_frames, window);
  group = std::clamp<std::uint64_t>(limits.group_pixels_max / tile_pixels, 1, group);
  plan.group_frames = static_cast<std::uint32_t>(group);
  const std::uint64_t most = limits.group_frames != 0 ? group : window;
  plan.group_frames_most = static_cast<std::uint32_t>(
      std::clamp(limits.group_growth * limits.group_pixels_max / tile_pixels, group, std::max(group, most)));
  plan.reorder_frames = static_cast<std::uint32_t>(std::min(limits.reorder_frames, window));
  return plan;
}

std::uint32_t group_frames_for(const WindowPlan& plan, std::uint64_t frame_bytes) noexcept {
  if (frame_bytes == 0) return plan.group_frames;
  return static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(kBlockBytesWanted / frame_bytes, plan.group_frames, plan.group_frames_most));
}

std::uint64_t pool_slots_for(const WindowPlan& plan, std::size_t streams) noexcept {
  return (2 * std::uint64_t{plan.window_frames} + plan.reorder_frames + 1) * streams;
}

}  // namespace ff::agent
