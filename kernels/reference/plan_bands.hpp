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

#include "kernels/reference/plan_planes.hpp"
#include "kernels/reference/plan_pyramid.hpp"

namespace ff::kernels::reference {

/// Keeps references to what the constructor is given.
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
    std::uint32_t first = 0, last = 0;                   ///< measured plane rows, before each phase's own end
    std::array<std::uint32_t, kPhases> top{}, bottom{};  ///< followed plane rows
    std::array<std::uint32_t, kPhases> offset{};         ///< where they lie

    [[nodiscard]] std::uint32_t at(std::size_t phase, std::uint32_t y) const noexcept {
      return offset[phase] + y - top[phase];
    }
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
  [[nodiscard]] Band make_band(std::size_t index, std::size_t count, std::uint32_t height) const noexcept;
  void sample_band_plane(const PhasePlaneShape& plane, PlaneSample& out) const;
  void sample_past_row(const Band& band, std::size_t phase, std::uint32_t y, std::size_t at,
                       PlaneSample& out) const;
  void sample_past_above(const PhasePlaneShape& plane, PlaneSample& out) const;
  void take_pyramid();

  FrameShape tile_;
  const PredictorSetup& setup_;
  const GroupSetup& group_;
  PlaneReader reader_;
  const PlanLoops& loops_ = plan_loops();
  std::uint64_t ratio_256_ = 256;
  std::uint32_t frames_ = 0;
  std::vector<Band> bands_;
  Planes mean_, fast_, last_, scale_;  ///< of followed rows, as are the image's
  PhaseImage image_;
  PhasePyramid pyramid_;
};

}  // namespace ff::kernels::reference
