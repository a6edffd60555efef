// SPDX-License-Identifier: Apache-2.0
//
// Phase bands: bands of a tile's rows, cut into phases, with the state of the model phases followed through a group.
//
// Data path  window > [sample] > plan
// Meaning    no part of the format. Means and the last frame are exact on the bands and the rows around them; the
//            scale is known on the bands only, its neighbours at their edges are those inside.
// Not here   weights (plan_mix.hpp), what is chosen from the sample (plan_phases.hpp).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/phase_state.hpp"
#include "kernels/predictor_state.hpp"
#include "kernels/reference/plan_loops.hpp"

namespace ff::kernels::reference {

/// What a plane's pixels are made of, row after row, rows padded to `pitch` elements that do not count.
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

/// One image's four phases of whole rows: levels of a pyramid above the first.
struct PhaseImage {
  std::uint32_t rows = 0, cols = 0;
  std::array<PaddedPlane, kPhases> seen, miss;
  std::array<std::vector<std::uint32_t>, kPhases> levels;
  std::array<std::vector<std::uint8_t>, kPhases> coded;
};

class PhaseBands {
 public:
  /// Bands of about `pixels_wanted` pixels of a frame; all of the tile where that is nearly all.
  PhaseBands(const FrameShape& tile, const PredictorSetup& setup, const GroupSetup& group,
             const LevelCodec& codec, const MaskMap* mask, std::size_t pixels_wanted);

  /// Takes the bands' state from the tile's.
  void start(const PhaseState& state, std::uint32_t frames_before);

  /// Reads a frame's bands; and, without a past or with later_levels > 1, the pyramid above them.
  void read(const FrameView& frame);
  [[nodiscard]] unsigned levels() const noexcept;
  [[nodiscard]] bool past() const noexcept { return frames_ != 0; }

  /// Everything about plane `index` of the frame read last. Planes before it must be settled.
  void sample(std::size_t index, PlaneSample& out) const;
  /// Takes what was expected of a plane (out.expected) and fills out.miss.
  void settle(std::size_t index, PlaneSample& out);
  /// Moves the state past the frame.
  void learn();

  /// Pixels of a frame per sampled pixel, x 256.
  [[nodiscard]] std::uint64_t ratio_256() const noexcept { return ratio_256_; }
  [[nodiscard]] const FrameShape& tile() const noexcept { return tile_; }

 private:
  struct Band {
    std::uint32_t first = 0, last = 0;  ///< measured plane rows, before each phase's own end
    std::array<std::uint32_t, kPhases> top{}, bottom{},
        offset{};  ///< followed plane rows, and where they lie
  };
  using Planes = std::array<PaddedPlane, kPhases>;

  [[nodiscard]] std::uint32_t phase_rows(std::size_t phase) const noexcept {
    return phase_plane(tile_.rows, tile_.cols, 1, phase).rows;
  }
  [[nodiscard]] std::uint32_t phase_cols(std::size_t phase) const noexcept {
    return phase_plane(tile_.rows, tile_.cols, 1, phase).cols;
  }
  [[nodiscard]] std::uint32_t measured_end(const Band& band, std::size_t phase) const noexcept {
    return std::min(band.last, phase_rows(phase));
  }
  /// Row y of a phase inside a band; rows outside the followed (or, with `inner`, measured) ones: the nearest.
  [[nodiscard]] const std::uint16_t* row(const Planes& planes, const Band& band, std::size_t phase,
                                         std::int64_t y, bool inner = false) const noexcept;
  void read_band(const FrameView& frame, const Band& band);
  void read_pyramid(const FrameView& frame);
  void sample_band_plane(const PhasePlaneShape& plane, PlaneSample& out) const;
  void sample_pyramid_plane(const PhasePlaneShape& plane, PlaneSample& out) const;
  void sample_past_at(const PhasePlaneShape& plane, PlaneSample& out) const;
  void finish_sample(const PhasePlaneShape& plane, PlaneSample& out) const;
  void settle_upper(const PhasePlaneShape& plane, PlaneSample& out);
  void lower_top(unsigned level);

  FrameShape tile_;
  const PredictorSetup& setup_;
  const GroupSetup& group_;
  const LevelCodec& codec_;
  const MaskMap* mask_;
  const PlanLoops& loops_ = plan_loops();
  bool whole_ = false;
  std::uint64_t ratio_256_ = 256;
  std::uint32_t frames_ = 0;
  std::vector<Band> bands_;
  Planes mean_, fast_, last_, scale_, seen_, miss_;
  std::array<std::vector<std::uint32_t>, kPhases> levels_;  ///< of followed rows, cols apart
  std::array<std::vector<std::uint8_t>, kPhases> coded_;
  std::vector<PhaseImage> pyramid_;  ///< [0]: level 2
  std::vector<std::uint32_t> level_row_;
};

}  // namespace ff::kernels::reference
