// SPDX-License-Identifier: Apache-2.0
//
// Phase pyramid: whole planes; at its edges the nearest row stands for what is not there.
#include "kernels/reference/plan_pyramid.hpp"

#include <algorithm>

namespace ff::kernels::reference {

void PhasePyramid::read(const FrameView& frame, unsigned levels, PlaneReader& reader) {
  images_.resize(levels - 1);
  for (unsigned level = 2; level <= levels; ++level) {
    PhaseImage& image = images_[level - 2];
    for (std::size_t k = 0; k < kPhases; ++k) {
      const PhasePlaneShape plane = phase_plane(tile_.rows, tile_.cols, level, k);  // as if it were the top
      image.resize(k, plane.rows, plane.cols);
      for (std::uint32_t y = 0; y < plane.rows; ++y) reader.read_row(frame, plane, y, nullptr, image, y);
    }
  }
}

void PhasePyramid::sample(const PhasePlaneShape& plane, std::size_t past_features, PlaneSample& out) const {
  const auto k = static_cast<std::size_t>(plane.phase);
  const PhaseImage& image = images_[plane.level - 2u];
  for (std::uint32_t y = 0; y < plane.rows; ++y) {
    const auto near = [&](const std::array<PaddedPlane, kPhases>& planes, PhaseOffset offset) {
      const NeighbourStep step = step_from(k, offset);
      const PaddedPlane& source = planes[step.phase];
      const std::int64_t row = std::clamp<std::int64_t>(std::int64_t{y} + step.row, 0, source.rows() - 1);
      return source.row(static_cast<std::uint32_t>(row)) + step.col;
    };
    const std::size_t at = y * out.pitch;
    sample_neighbours(
        plane, at, past_features, [&](PhaseOffset offset) { return near(image.seen, offset); },
        [&](PhaseOffset offset) { return near(image.miss, offset); }, out);
    sample_targets(image, k, y, at, out);
  }
}

void PhasePyramid::settle(const PhasePlaneShape& plane, const PlaneSample& sample) {
  PhaseImage& image = images_[plane.level - 2u];
  for (std::uint32_t y = 0; y < plane.rows; ++y)
    store_settled(sample, y * sample.pitch, static_cast<std::size_t>(plane.phase), y, image);
  if (plane.phase != Phase::oe || plane.level == 2) return;
  PhaseImage& below = images_[plane.level - 3u];
  for (std::uint32_t y = 0; y < below.seen[0].rows(); ++y) merge_row(image, y, below, y);
}

}  // namespace ff::kernels::reference
