// SPDX-License-Identifier: Apache-2.0
//
// Planes for the planner: a frame's phases as images that are read, sampled and settled row by row.
//
// Data path  window > [sample] > plan
// Meaning    no part of the format.
// Not here   which rows are looked at, and their past (plan_bands.hpp); levels above the first (plan_pyramid.hpp).
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/phase_state.hpp"
#include "kernels/predictor_state.hpp"
#include "kernels/reference/plan_loops.hpp"

namespace ff::kernels::reference {

/// What a plane's pixels are made of, row after row; rows padded to `pitch` elements that do not count.
struct PlaneSample {
  std::size_t rows = 0, cols = 0, pitch = 0;
  std::vector<std::vector<std::int16_t>> features;      ///< in the order of the weights
  std::vector<std::int16_t> target, spread, reference;  ///< what was seen; expected distance; fit's reference
  std::vector<std::vector<std::int16_t>> scale_features;  ///< own scale, neighbours', coded neighbours' miss
  std::vector<std::uint8_t> live;                         ///< 1: has a regular level
  std::vector<std::uint8_t> coded;                        ///< 1: is not masked
  std::vector<std::uint32_t> levels;
  std::vector<std::int16_t> expected, miss, scale;

  [[nodiscard]] std::size_t size() const noexcept { return rows * pitch; }
  void resize(std::size_t row_count, std::size_t col_count, std::size_t feature_count);
};

/// The phases of a frame or of some rows of one. What is seen of a pixel without a regular level is what is expected.
struct PhaseImage {
  static constexpr std::uint8_t kCoded = 1, kLive = 2;  ///< not masked; has a regular level, too

  std::array<PaddedPlane, kPhases> seen, miss;
  std::array<std::vector<std::uint32_t>, kPhases> levels;
  std::array<std::vector<std::uint8_t>, kPhases> kinds;

  void resize(std::size_t phase, std::uint32_t rows, std::uint32_t cols);
};

/// The nearest pixels of a row on its borders.
void replicate_borders(PaddedPlane& plane, std::uint32_t row) noexcept;

/// A neighbour's phase, and how far its row and column there are from the pixel's in its own plane.
struct NeighbourStep {
  std::size_t phase = 0;
  std::int32_t row = 0, col = 0;
};
[[nodiscard]] NeighbourStep step_from(std::size_t phase, PhaseOffset offset) noexcept;

/// Reads plane rows of frames of a tile; keeps references to all that it is made of.
class PlaneReader {
 public:
  PlaneReader(const FrameShape& tile, const PredictorSetup& setup, const LevelCodec& codec,
              const MaskMap* mask);

  /// Row y of a plane to row `to` of an image. Until a pixel that is not live is settled, `before` stands for it, or where
  /// that is null the last live one of the row.
  void read_row(const FrameView& frame, const PhasePlaneShape& plane, std::uint32_t y,
                const std::uint16_t* before, PhaseImage& image, std::uint32_t to);

 private:
  const PredictorSetup& setup_;
  const LevelCodec& codec_;
  const MaskMap* mask_;
  std::vector<std::uint32_t> level_row_;
};

/// Features and miss of the coded neighbours of a row whose sample begins at element `at`, behind the features of the
/// past. seen(offset) and miss(offset) are that neighbour's rows.
template <typename Seen, typename Miss>
void sample_neighbours(const PhasePlaneShape& plane, std::size_t at, std::size_t past_features,
                       const Seen& seen, const Miss& miss, PlaneSample& out) {
  const auto& offsets = kPhaseNeighbours[static_cast<std::size_t>(plane.phase)].offsets;
  for (std::size_t i = 0, j = past_features; j < out.features.size(); ++i, ++j)
    std::memcpy(&out.features[j][at], seen(offsets[i]), 2 * out.pitch);
  if (plane.first) return;
  plan_loops().average4(miss(offsets[0]), miss(offsets[1]), miss(offsets[2]), miss(offsets[3]), out.pitch,
                        &out.scale_features[2][at]);
}

/// What is to be predicted of the same row, which is row `from` of a phase.
void sample_targets(const PhaseImage& image, std::size_t phase, std::uint32_t from, std::size_t at,
                    PlaneSample& out);

/// The reference of the fit, and how far from it pixels may be expected to lie, when all features are there.
/// `up`: fraction bits of what is seen.
void finish_sample(const PhasePlaneShape& plane, bool past, unsigned up, PlaneSample& out);

/// Puts a settled row's target and miss into an image.
void store_settled(const PlaneSample& sample, std::size_t at, std::size_t phase, std::uint32_t to,
                   PhaseImage& image);

/// Row y of the frame that an image's settled phases make up, to row `to` of ee in the level below.
void merge_row(const PhaseImage& image, std::uint32_t y, PhaseImage& below, std::uint32_t to);

}  // namespace ff::kernels::reference
