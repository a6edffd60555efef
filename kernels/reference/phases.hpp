// SPDX-License-Identifier: Apache-2.0
//
// Phases: expectation, scale and context of a pixel from the past and from coded neighbours.
//
// Data path  level map > [predict, phases] > context > token > lanes
// Meaning    docs/formats/block.md §6.6 to §6.9; this is those sections in C++, and every device's yardstick.
// Not here   geometry and order of planes (kernels/format/phase_grid.hpp), roots (phase_root.hpp), lanes (lanes.hpp).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/format/context_tables.hpp"
#include "kernels/format/phase_grid.hpp"
#include "kernels/format/phase_mix.hpp"
#include "kernels/format/phase_root.hpp"
#include "kernels/predictor_state.hpp"
#include "kernels/reference/predict.hpp"

namespace ff::kernels::reference {

/// One tile's frame while it is coded: what is known of it, pixel by pixel, beside the state.
class PhaseFrame {
 public:
  PhaseFrame(const FrameShape& tile, PredictorState& state, const GroupSetup& group);

  /// Levels of planes of the next frame: more without a past.
  [[nodiscard]] unsigned levels() const noexcept;
  [[nodiscard]] bool masked(std::uint32_t row, std::uint32_t col) const noexcept;

  /// Context of a pixel, from the state before this frame and from pixels already settled.
  [[nodiscard]] PixelContext predict(const PhasePlaneShape& plane, const PlaneMix& mix, std::uint32_t row,
                                     std::uint32_t col);
  /// The pixel's level is known (or the pixel is masked, then it never will be).
  void settle(std::uint32_t row, std::uint32_t col, std::uint32_t level, bool active) noexcept;
  /// Every pixel is settled: moves the state past this frame.
  void learn() noexcept;

 private:
  using Plane = PaddedPlane PhasePlaneState::*;

  [[nodiscard]] std::size_t at(std::uint32_t row, std::uint32_t col) const noexcept {
    return std::size_t{row} * tile_.cols + col;
  }
  [[nodiscard]] std::int32_t past(Plane plane, std::int64_t row, std::int64_t col) const noexcept;
  [[nodiscard]] std::int32_t edge_mean(Plane plane, std::uint32_t row, std::uint32_t col) const noexcept;
  [[nodiscard]] std::int32_t diagonal_mean(Plane plane, std::uint32_t row, std::uint32_t col) const noexcept;
  [[nodiscard]] std::size_t neighbour(const PhasePlaneShape& plane, PhaseOffset offset, std::uint32_t row,
                                      std::uint32_t col) const noexcept;
  [[nodiscard]] std::int32_t expectation(const PhasePlaneShape& plane, const PlaneMix& mix, std::uint32_t row,
                                         std::uint32_t col) const noexcept;
  [[nodiscard]] std::int32_t scale(const PhasePlaneShape& plane, const PlaneMix& mix, std::uint32_t row,
                                   std::uint32_t col, std::int32_t root) const noexcept;

  const FrameShape& tile_;
  PredictorState& state_;
  const GroupSetup& group_;
  std::array<BucketEntry, kBuckets> entries_;
  RootTable roots_;
  std::vector<std::int32_t> expected_, seen_, miss_;  // of this frame
};

}  // namespace ff::kernels::reference
