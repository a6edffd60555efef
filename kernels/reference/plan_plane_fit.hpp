// SPDX-License-Identifier: Apache-2.0
//
// Plane fit: sums of products over one sampled plane, and what a mix makes of its pixels.
//
// Data path  window > [sample] > plan
// Meaning    no part of the format; the arithmetic of a mix is that of block.md §6.7.
// Not here   where the sample comes from (plan_bands.hpp), the least squares (plan_mix.hpp), when new weights pay
//            (plan_phases.cpp).
#pragma once

#include <array>
#include <vector>

#include "kernels/format/phase_root.hpp"
#include "kernels/reference/plan_mix.hpp"
#include "kernels/reference/plan_planes.hpp"

namespace ff::kernels::reference {

class PlaneFit {
 public:
  /// `up`: fraction bits of what is seen; `pixels_wanted`: of a frame, for sums.
  PlaneFit(unsigned up, std::size_t pixels_wanted);

  PlaneSample sample;

  /// Turns to a plane, whose sample is in place. `turn`: of frames.
  void begin(const PhasePlaneShape& shape, bool past, bool wide, std::size_t turn);
  [[nodiscard]] const MixForm& form() const noexcept { return form_; }

  /// Products of the plane's rows, every other run of them apart, so that one half can judge what the other half says.
  [[nodiscard]] std::array<Moments, 2> expectation_moments() const;
  /// Puts a mix's expectations into the sample.
  void expect(const PlaneMix& mix);
  /// Roots and misses of expectations just made.
  void measure_misses();
  /// Measures the misses, and gives their products with the scale features.
  [[nodiscard]] Moments scale_moments();
  void fit_scale(PlaneMix& mix, const Moments& moments) const;
  /// Puts a mix's scales into the sample, after its misses.
  void apply_scale(const PlaneMix& mix);

  /// Weights from this frame alone, expectations and scales made with them.
  [[nodiscard]] PlaneMix fit_alone();
  /// How a sum of squares that is left goes with the noise: 1 as expected.
  [[nodiscard]] double noise_share(double left) const noexcept;

 private:
  template <typename Sum>
  std::size_t for_runs(Sum&& sum) const;
  [[nodiscard]] float level() const noexcept { return static_cast<float>(1u << form_.up); }
  [[nodiscard]] std::int16_t mean_of_sample() const noexcept;
  void spread_scales();

  const PlanLoops& loops_ = plan_loops();
  RootTable roots_;
  std::size_t wanted_;
  std::size_t turn_ = 0;
  PhasePlaneShape shape_;
  MixForm form_;
  std::vector<std::int16_t> root_;
};

/// Minimum of the sum of squares, with the ridge that all fits of expectations have.
[[nodiscard]] Coefficients fitted_coefficients(const Moments& moments) noexcept;

}  // namespace ff::kernels::reference
