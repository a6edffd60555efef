// SPDX-License-Identifier: Apache-2.0
//
// BraggSpots: reflections of a rotating crystal; each comes, moves a little and goes.
#pragma once

#include <cstdint>
#include <vector>

#include "tools/simulator/poisson_levels.hpp"
#include "tools/simulator/simulator.hpp"

namespace ff::tools {

class BraggSpots {
 public:
  explicit BraggSpots(const SimulatorSpec& spec);

  /// Raises the levels of `frame`'s pixels under the spots that shine in it; pixels of level 0 stay dark.
  void add_to(std::uint64_t frame, const PoissonLevels& levels,
              std::vector<std::uint16_t>& pixel_levels) const;

 private:
  struct Spot {
    double row, col;         ///< where it is strongest
    double brightest_frame;  ///< modulo the cycle
    double width_frames;     ///< rocking curve
    double drift_pixels;     ///< along the row, over one width
    double photons;          ///< in the middle, at the strongest
  };
  void add_spot(const Spot& spot, double distance_frames, const PoissonLevels& levels,
                std::vector<std::uint16_t>& pixel_levels) const;

  FrameShape shape_;
  std::uint64_t cycle_frames_;  ///< the pattern repeats: a full turn
  std::vector<Spot> spots_;
};

}  // namespace ff::tools
