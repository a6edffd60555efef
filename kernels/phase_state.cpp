// SPDX-License-Identifier: Apache-2.0
//
// PhaseState: its planes for a tile.
#include "kernels/phase_state.hpp"

namespace ff::kernels {

PhaseState::PhaseState(std::uint32_t rows, std::uint32_t cols, const PhaseSetup& setup)
    : last_mixes(plane_count(setup.later_levels)) {
  for (std::size_t p = 0; p < kPhases; ++p) {
    const PhasePlaneShape shape = phase_plane(rows, cols, 1, p);
    const PaddedPlane empty(shape.rows, shape.cols);
    planes[p] = {empty, empty, empty, empty, empty};
  }
}

std::size_t phase_state_bytes(std::uint32_t rows, std::uint32_t cols) noexcept {
  if (!levels_fit(rows, cols, 1)) return 0;
  std::size_t bytes = 0;
  for (std::size_t p = 0; p < kPhases; ++p) {
    const PhasePlaneShape shape = phase_plane(rows, cols, 1, p);
    bytes += 5 * PaddedPlane::bytes(shape.rows, shape.cols);
  }
  return bytes;
}

}  // namespace ff::kernels
