// SPDX-License-Identifier: Apache-2.0
//
// RateMap: which pixels of a simulated detector are masked, hot or dead, and the mean counts of the others.
#pragma once

#include <cstdint>
#include <vector>

#include "tools/simulator/poisson_levels.hpp"
#include "tools/simulator/simulator.hpp"

namespace ff::tools {

struct RateMap {
  std::vector<std::uint16_t> levels;      ///< rows × cols of PoissonLevels; 0 for masked and dead pixels
  std::vector<std::uint32_t> pixel_mask;  ///< rows × cols of PixelMaskBit
  double mean_rate = 0;                   ///< of good pixels, as the ladder has it
  double entropy_bits_per_pixel = 0;      ///< over all pixels; masked ones have none
};

/// Powder rings on a background that falls from the centre; mean over good pixels is spec.photons_per_pixel.
[[nodiscard]] RateMap make_rate_map(const SimulatorSpec& spec, const PoissonLevels& levels);

/// Gaps between modules, and a few dead pixels that the detector knows and masks.
[[nodiscard]] std::vector<std::uint32_t> make_pixel_mask(const SimulatorSpec& spec);

}  // namespace ff::tools
