// SPDX-License-Identifier: Apache-2.0
//
// Phase pyramid: the levels above the first of one frame, for the planner. A settled level is ee of the one below it.
//
// Data path  window > [sample] > plan
// Meaning    no part of the format; the geometry is that of block.md §6.6.
// Not here   level 1 and the past (plan_bands.hpp).
#pragma once

#include <vector>

#include "kernels/reference/plan_planes.hpp"

namespace ff::kernels::reference {

class PhasePyramid {
 public:
  explicit PhasePyramid(const FrameShape& tile) : tile_(tile) {}

  /// Reads levels 2 ... `levels` of a frame. Precondition: levels > 1.
  void read(const FrameView& frame, unsigned levels, PlaneReader& reader);
  /// Coded neighbours and targets of a plane above level 1, behind the features of the past.
  void sample(const PhasePlaneShape& plane, std::size_t past_features, PlaneSample& out) const;
  /// Takes what is seen and missed of a plane; the last one of a level gives the level below its ee.
  void settle(const PhasePlaneShape& plane, const PlaneSample& sample);
  /// Once level 2 is settled: row y of level 1's ee.
  void merge_first_level(std::uint32_t y, PhaseImage& first_level, std::uint32_t to) const {
    merge_row(images_.front(), y, first_level, to);
  }

 private:
  FrameShape tile_;
  std::vector<PhaseImage> images_;  ///< [0]: level 2
};

}  // namespace ff::kernels::reference
