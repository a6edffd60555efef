// SPDX-License-Identifier: Apache-2.0
//
// Mix planning: weighted least squares from sums of products to the integer weights of a plane.
//
// Data path  window > [plan] > encode
// Meaning    no part of the format: any weights in range are legal. Sums are whole numbers, and all that follows is
//            double arithmetic in a fixed order without contraction: the same weights on every machine.
// Not here   the sums (plan_loops.hpp), when new weights pay (plan_phases.hpp).
//
// A plane's expectation is fitted relative to a reference (the running mean; without a past, the mean of the four
// nearest coded pixels), whose own weight is what is left: rounding the others then costs nothing.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/format/phase_mix.hpp"
#include "kernels/reference/plan_loops.hpp"

namespace ff::kernels::reference {

/// Sums of products of whitened columns, in units of standard deviations; doubles, because they fade.
struct Moments {
  std::size_t columns = 0;  ///< the target included, which is the last
  std::array<double, kMomentSums> sums{};

  [[nodiscard]] double at(std::size_t a, std::size_t b) const noexcept {
    return a >= b ? sums[a * (a + 1) / 2 + b] : sums[b * (b + 1) / 2 + a];
  }
  void add(const Moments& other, double share) noexcept;
};

/// What add_moments summed, as numbers of standard deviations. `reference`: the rows had one; `thin`: one of so many
/// rows was summed, and stands for them all.
[[nodiscard]] Moments moments_of(const std::int64_t* sums, std::size_t columns, bool reference,
                                 std::size_t thin = 1) noexcept;

/// Coefficients of all columns but the target.
using Coefficients = std::array<double, kMomentColumnsMax>;

/// Minimum of the sum of squares, with a ridge (a share of each column's own square).
[[nodiscard]] Coefficients least_squares(const Moments& moments, double ridge) noexcept;
/// Sum of squares that is left under given coefficients.
[[nodiscard]] double left_over(const Moments& moments, const Coefficients& coefficients) noexcept;

/// What a plane's features are: how many, and whether they begin with the past's.
struct MixForm {
  std::size_t features = 0;
  bool past = false;
  unsigned up = 0;

  [[nodiscard]] std::size_t coded_first() const noexcept { return past ? kHistoryFeatures : 0; }
};

/// Weights and bias from coefficients of (features but the first, relative) + reference + constant; the first weight
/// alone, or the plain mean, where those leave the range. Scale weights are left as they are in `mix`.
void set_expectation(PlaneMix& mix, const MixForm& form, const Coefficients& coefficients) noexcept;
/// The other way round: what `mix` would have to be fitted as.
[[nodiscard]] Coefficients expectation_coefficients(const PlaneMix& mix, const MixForm& form) noexcept;

/// Scale weights from sums of (own scale, neighbours' scale, coded neighbours' miss, root, constant; miss);
/// negative ones are left out one after the other. `usable[i]`: feature i is not always 0.
void fit_scale(PlaneMix& mix, const MixForm& form, const Moments& moments,
               const std::array<bool, kScaleFeatures>& usable) noexcept;
[[nodiscard]] Coefficients scale_coefficients(const PlaneMix& mix, const MixForm& form) noexcept;

/// About how many bits it takes to send `mix` after `before`.
[[nodiscard]] unsigned mix_bits(const PlaneMix& mix, const PlaneMix& before, std::size_t features) noexcept;

}  // namespace ff::kernels::reference
