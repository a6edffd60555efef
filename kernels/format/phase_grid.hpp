// SPDX-License-Identifier: Apache-2.0
//
// Phases: the pixels of a frame in an order in which most have coded neighbours, and many can be coded at once.
//
//     ee eo ee eo      level 1: even and odd rows x columns; a level's ee plane is the next level's frame
//     oe oo oe oo      order: ee, then oo (diagonal ee known), eo (left, right ee; up, down oo known), oe
//     ee eo ee eo
//
// Data path  level map > [predict, phases] > context > token > lanes
// Meaning    docs/formats/block.md §6.6 (geometry, order). Shared by all devices and the planner.
// Not here   the arithmetic (kernels/reference/phases.hpp, kernels/cpu/), the weights (phase_mix.hpp).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace ff::kernels {

inline constexpr unsigned kPhaseLevelsMax = 6;
inline constexpr unsigned kPhases = 4;
enum class Phase : std::uint8_t { ee = 0, oo = 1, eo = 2, oe = 3 };

/// How frames are cut into planes; part of the setup section.
struct PhaseSetup {
  std::uint8_t key_levels = 3;    ///< levels of a frame without a past, 1 ... kPhaseLevelsMax
  std::uint8_t later_levels = 1;  ///< levels of every other frame
  bool wide = false;              ///< more coded neighbours: eight for oo and eo, four for oe

  friend bool operator==(const PhaseSetup&, const PhaseSetup&) = default;
};

[[nodiscard]] constexpr std::size_t plane_count(unsigned levels) noexcept {
  return 1 + 3 * std::size_t{levels};
}

/// A tile can have `levels` levels when its top level still has two rows and two columns.
[[nodiscard]] constexpr bool levels_fit(std::uint32_t rows, std::uint32_t cols, unsigned levels) noexcept {
  return levels >= 1 && levels <= kPhaseLevelsMax && std::min(rows, cols) >= 1u << levels;
}

/// One plane: the pixels (row_first + y x step, col_first + x x step).
struct PhasePlaneShape {
  std::uint8_t level = 1;
  Phase phase = Phase::ee;
  bool first = false;  ///< the top level's ee: nothing of this frame is known before it
  std::uint32_t step = 2;
  std::uint32_t row_first = 0, col_first = 0;
  std::uint32_t rows = 0, cols = 0;
};

/// Plane `index` of a frame of `levels` levels, in coding order: ee of the top level, then oo, eo, oe of each
/// level from the top down. Precondition: levels_fit, index < plane_count(levels).
[[nodiscard]] constexpr PhasePlaneShape phase_plane(std::uint32_t rows, std::uint32_t cols, unsigned levels,
                                                    std::size_t index) noexcept {
  PhasePlaneShape plane;
  plane.first = index == 0;
  plane.level = static_cast<std::uint8_t>(plane.first ? levels : levels - (index - 1) / 3);
  plane.phase = static_cast<Phase>(plane.first ? 0 : 1 + (index - 1) % 3);
  const std::uint32_t distance = 1u << (plane.level - 1);
  plane.step = 2 * distance;
  plane.row_first = plane.phase == Phase::oo || plane.phase == Phase::oe ? distance : 0;
  plane.col_first = plane.phase == Phase::oo || plane.phase == Phase::eo ? distance : 0;
  plane.rows = (rows - plane.row_first + plane.step - 1) / plane.step;
  plane.cols = (cols - plane.col_first + plane.step - 1) / plane.step;
  return plane;
}

/// A neighbour in units of the level's distance (half the plane's step), from the pixel.
struct PhaseOffset {
  std::int8_t row = 0, col = 0;
};

/// Coded neighbours that the mix looks at, in the order of its weights; the first four are the nearest.
/// `wide` adds the ones behind `near`.
struct PhaseNeighbours {
  std::array<PhaseOffset, 12> offsets{};
  std::uint8_t near = 0, wide = 0;  ///< how many without and with the wide ones
};
inline constexpr std::array<PhaseNeighbours, kPhases> kPhaseNeighbours{{
    {{}, 0, 0},  // ee (only where it is the frame's first plane)
    {{{{-1, -1},
       {-1, 1},
       {1, -1},
       {1, 1},  // diagonal ee
       {-3, -1},
       {-3, 1},
       {3, -1},
       {3, 1},
       {-1, -3},
       {1, -3},
       {-1, 3},
       {1, 3}}},  // the next ee
     4,
     12},
    {{{{0, -1},
       {0, 1},
       {-1, 0},
       {1, 0},  // ee left, right; oo up, down
       {-2, -1},
       {-2, 1},
       {2, -1},
       {2, 1},
       {-1, -2},
       {1, -2},
       {-1, 2},
       {1, 2}}},  // the next ee, the next oo
     4,
     12},
    {{{{-1, 0},
       {1, 0},
       {0, -1},
       {0, 1},  // ee up, down; oo left, right
       {-1, -1},
       {-1, 1},
       {1, -1},
       {1, 1},  // diagonal eo
       {-1, -2},
       {-1, 2},
       {1, -2},
       {1, 2}}},  // the next ee
     8,
     12},
}};

/// A coordinate that left the tile comes back by whole steps: the nearest pixel of the same plane.
/// Precondition: the plane has a pixel along this axis (levels_fit).
[[nodiscard]] constexpr std::uint32_t step_back(std::int64_t at, std::uint32_t size,
                                                std::uint32_t step) noexcept {
  while (at < 0) at += step;
  while (at >= std::int64_t{size}) at -= step;
  return static_cast<std::uint32_t>(at);
}

/// Rows of level 1 are coded in turns, so that a decoder works on four independent rows at a time and keeps only
/// a few rows in its cache: in turn i, row i of ee, i - 3 of oo, i - 4 of eo and i - 6 of oe, where they exist.
inline constexpr std::array<std::uint32_t, kPhases> kPhaseLag{0, 3, 4, 6};
/// After turn i, nothing looks at the state of plane rows up to i - kPhaseStateLag any more.
inline constexpr std::uint32_t kPhaseStateLag = 6;

/// Calls visit(plane index, y) for every plane row of a frame in coding order.
template <typename Visit>
constexpr void for_each_phase_row(std::uint32_t rows, std::uint32_t cols, unsigned levels, Visit&& visit) {
  const std::size_t last = plane_count(levels) - 3;  // index of level 1's oo
  const std::size_t whole = levels == 1 ? 0 : last;  // planes coded one after the other
  for (std::size_t p = 0; p < whole; ++p) {
    const std::uint32_t count = phase_plane(rows, cols, levels, p).rows;
    for (std::uint32_t y = 0; y < count; ++y) visit(p, y);
  }
  const std::uint32_t turns = (rows + 1) / 2 + kPhaseLag[3];
  for (std::uint32_t turn = 0; turn < turns; ++turn) {
    for (std::size_t p = levels == 1 ? 0 : last; p < plane_count(levels); ++p) {
      const PhasePlaneShape plane = phase_plane(rows, cols, levels, p);
      const std::uint32_t lag = kPhaseLag[static_cast<std::size_t>(plane.phase)];
      if (turn >= lag && turn - lag < plane.rows) visit(p, turn - lag);
    }
  }
}

}  // namespace ff::kernels
