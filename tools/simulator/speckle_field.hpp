// SPDX-License-Identifier: Apache-2.0
//
// SpeckleField: a complex Gaussian field that forgets itself over tau frames; its square is a speckle
// pattern.
#pragma once

#include <cstdint>
#include <vector>

#include "tools/simulator/poisson_levels.hpp"
#include "tools/simulator/simulator.hpp"

namespace ff::tools {

class SpeckleField {
 public:
  static constexpr std::uint32_t kSpecklePixels = 2;  ///< side of one speckle

  SpeckleField(const SimulatorSpec& spec, const PoissonLevels& levels);

  /// Starts again at frame 0.
  void restart();
  /// Moves on by one frame.
  void step();
  /// How many levels brighter or darker than the mean the speckle over this pixel is.
  [[nodiscard]] std::int32_t level_shift(std::uint32_t row, std::uint32_t col) const noexcept {
    return shifts_[std::size_t{row / kSpecklePixels} * across_ + col / kSpecklePixels];
  }

 private:
  void refresh_shifts();

  std::uint64_t seed_;
  std::uint64_t frame_ = 0;
  std::uint32_t across_;
  std::int32_t keep_q15_, renew_q15_;  ///< field' = keep · field + renew · noise
  std::vector<std::int32_t> real_, imaginary_;
  std::vector<std::int16_t> shifts_;
  std::vector<std::int16_t> shift_of_intensity_;
};

}  // namespace ff::tools
