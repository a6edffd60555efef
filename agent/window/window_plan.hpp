// SPDX-License-Identifier: Apache-2.0
//
// WindowPlan: how a series is cut into windows, groups and tiles; fixed when it starts.
//
// Not here   doing it (window_builder.hpp).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/base/frame_view.hpp"
#include "common/base/result.hpp"

namespace ff::agent {

struct WindowLimits {
  std::uint64_t window_frames = 16;  ///< wanted W, 1 ... 64
  std::chrono::nanoseconds window_time_max = std::chrono::seconds(10);
  std::uint64_t window_bytes_max = 256ull << 20;
  std::uint64_t group_frames = 0;  ///< wanted frames of a group; 0 = W
  std::uint64_t group_pixels_max = 1ull
                                   << 21;  ///< of one tile's group: keeps a block near 900 kB at low counts
  std::uint64_t group_growth = 4;  ///< so many times more pixels where blocks turn out small; 1: never
  std::uint64_t reorder_frames = 16;
  std::uint64_t tile_rows = 0, tile_cols = 0;  ///< 0 = by detector
};

struct WindowPlan {
  std::uint32_t window_frames = 1;      ///< W
  std::uint32_t group_frames = 1;       ///< 1 ... W; of a series' first windows
  std::uint32_t group_frames_most = 1;  ///< of later ones, where blocks are small; group_frames ... W
  std::uint32_t reorder_frames = 0;     ///< at most W
  std::uint32_t tile_rows = 0, tile_cols = 0;
};

/// W as wanted, made smaller until a window lasts at most `window_time_max` (where the frame time is known)
/// and holds at most `window_bytes_max` over all `streams`. Tiles as configured, else the detector's module.
/// Errors: out_of_range (configured tile of more than 2^20 pixels).
[[nodiscard]] Result<WindowPlan> plan_windows(const WindowLimits& limits, const FrameShape& frame,
                                              std::size_t streams, std::optional<double> frame_time_s,
                                              std::string_view description);

/// Frames of a group for blocks near 600 kB, when a frame of the largest tile came to `frame_bytes` (0: not known yet).
/// Kafka's brokers take 1 MB a record: the rest is room for what the next windows bring.
[[nodiscard]] std::uint32_t group_frames_for(const WindowPlan& plan, std::uint64_t frame_bytes) noexcept;

/// Pool slots of a series: two windows, and what may wait for a late frame.
[[nodiscard]] std::uint64_t pool_slots_for(const WindowPlan& plan, std::size_t streams) noexcept;

}  // namespace ff::agent
