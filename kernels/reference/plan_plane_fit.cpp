// SPDX-License-Identifier: Apache-2.0
//
// Plane fit: rows of the sample through the planner's loops.
#include "kernels/reference/plan_plane_fit.hpp"

#include <algorithm>
#include <cstdlib>

#include "kernels/reference/phases.hpp"

namespace ff::kernels::reference {
namespace {

constexpr std::size_t kThinMax = 4;      // of the runs of planes that are sampled whole
constexpr std::size_t kRunPixels = 512;  // of a sum of products: shorter ones take longer
constexpr double kRidge = 2e-4;

}  // namespace

PlaneFit::PlaneFit(unsigned up, std::size_t pixels_wanted)
    : roots_(root_table(up)), wanted_(pixels_wanted), form_{0, false, up} {}

void PlaneFit::begin(const PhasePlaneShape& shape, bool past, bool wide, std::size_t turn) {
  shape_ = shape;
  form_ = {mix_features(shape, past, wide), past, form_.up};
  turn_ = turn;
}

// Calls sum(first element, elements, turn) for runs of whole rows. Of planes that are sampled whole, because others
// are predicted from them, some runs are enough for sums: one pair of so many, which is returned; other ones with
// every frame.
template <typename Sum>
std::size_t PlaneFit::for_runs(Sum&& sum) const {
  const std::size_t pixels = kPhases * sample.rows * sample.cols;
  const std::size_t most = form_.past ? kThinMax : 1;  // a frame alone has no other to add to
  const std::size_t thin = std::clamp<std::size_t>(pixels / wanted_, 1, most);
  const std::size_t step = std::max<std::size_t>(kRunPixels / sample.pitch, 1) * sample.pitch;
  for (std::size_t at = 0, turn = 0; at < sample.size(); at += step, ++turn) {
    if ((turn / 2 + turn_) % thin == 0) sum(at, std::min(step, sample.size() - at), turn);
  }
  return thin;
}

std::array<Moments, 2> PlaneFit::expectation_moments() const {
  MomentRows rows;
  const bool has_reference = form_.features != 0;
  std::array<const std::int16_t*, kMixFeaturesMax> features{};
  rows.features = features.data();
  rows.count = has_reference ? form_.features - 1 : 0;
  rows.floor = 0.3f * level();
  rows.one = level();
  std::array<std::array<std::int64_t, kMomentSums>, 2> sums{};
  const std::size_t thin = for_runs([&](std::size_t at, std::size_t count, std::size_t turn) {
    for (std::size_t j = 0; j < rows.count; ++j) features[j] = &sample.features[j + 1][at];
    rows.reference = has_reference ? &sample.reference[at] : nullptr;
    rows.target = &sample.target[at];
    rows.spread = &sample.spread[at];
    rows.live = &sample.live[at];
    loops_.add_moments(rows, count, sums[turn % 2].data());
  });
  rows.reference = has_reference ? sample.reference.data() : nullptr;
  return {moments_of(sums[0].data(), rows.columns(), has_reference, thin),
          moments_of(sums[1].data(), rows.columns(), has_reference, thin)};
}

void PlaneFit::expect(const PlaneMix& mix) {
  std::array<const std::int16_t*, kMixFeaturesMax> features{};
  for (std::size_t j = 0; j < form_.features; ++j) features[j] = sample.features[j].data();
  loops_.mix(features.data(), mix.weights.data(), form_.features, mix.bias, 0, sample.size(),
             sample.expected.data());
}

void PlaneFit::measure_misses() {
  const std::size_t n = sample.size();
  root_.resize(n);
  for (std::size_t i = 0; i < n; ++i)
    root_[i] = static_cast<std::int16_t>(roots_[bucket_of(static_cast<std::uint32_t>(sample.expected[i]))]);
  for (std::size_t i = 0; i < n; ++i)
    sample.miss[i] = static_cast<std::int16_t>(std::abs(sample.target[i] - sample.expected[i]));
}

// How far misses may be expected to lie from 0.
void PlaneFit::spread_scales() {
  const std::size_t n = sample.size();
  const auto& f = sample.scale_features;
  if (form_.past) {
    for (std::size_t i = 0; i < n; ++i)
      sample.spread[i] = static_cast<std::int16_t>((f[0][i] + 2 * f[1][i] + f[2][i]) >> 2);
  } else {
    for (std::size_t i = 0; i < n; ++i)
      sample.spread[i] = static_cast<std::int16_t>(std::min(32767, f[2][i] + sample.spread[i] * 3 / 4));
  }
}

Moments PlaneFit::scale_moments() {
  measure_misses();
  spread_scales();
  const auto& f = sample.scale_features;
  std::array<const std::int16_t*, kScaleFeatures> features{};
  MomentRows rows;
  rows.features = features.data();
  rows.count = kScaleFeatures;
  rows.floor = 0.16f * level();
  rows.one = level();
  rows.outlier = 4;
  std::array<std::int64_t, kMomentSums> sums{};
  const std::size_t thin = for_runs([&](std::size_t at, std::size_t count, std::size_t) {
    for (std::size_t j = 0; j < 3; ++j) features[j] = &f[j][at];
    features[3] = &root_[at];
    rows.target = &sample.miss[at];
    rows.spread = &sample.spread[at];
    rows.live = &sample.live[at];
    loops_.add_moments(rows, count, sums.data());
  });
  return moments_of(sums.data(), rows.columns(), false, thin);
}

void PlaneFit::fit_scale(PlaneMix& mix, const Moments& moments) const {
  reference::fit_scale(mix, form_, moments, {form_.past, form_.past, !shape_.first, true});
}

void PlaneFit::apply_scale(const PlaneMix& mix) {
  const auto& f = sample.scale_features;
  const std::array<const std::int16_t*, kScaleFeatures> features{f[0].data(), f[1].data(), f[2].data(),
                                                                 root_.data()};
  loops_.mix(features.data(), mix.scale_weights.data(), kScaleFeatures, mix.scale_bias, 1, sample.size(),
             sample.scale.data());
}

PlaneMix PlaneFit::fit_alone() {
  PlaneMix mix;
  if (form_.features == 0) {
    mix.bias = mean_of_sample();
  } else {
    auto halves = expectation_moments();
    halves[0].add(halves[1], 1);
    set_expectation(mix, form_, fitted_coefficients(halves[0]));
  }
  expect(mix);
  fit_scale(mix, scale_moments());
  apply_scale(mix);
  return mix;
}

std::int16_t PlaneFit::mean_of_sample() const noexcept {
  std::int64_t sum = 0, count = 0;
  for (std::size_t i = 0; i < sample.size(); ++i) {
    sum += sample.live[i] != 0 ? sample.target[i] : 0;
    count += sample.live[i];
  }
  return static_cast<std::int16_t>(count == 0 ? 0 : (sum + count / 2) / count);
}

// The spread is a mean distance, so squares left are about 1.6 a pixel; bits go with squares over their mean.
double PlaneFit::noise_share(double left) const noexcept {
  const double live = static_cast<double>(std::count(sample.live.begin(), sample.live.end(), 1));
  return left > 0 ? std::min(live / left, 4.0) : 1.0;
}

Coefficients fitted_coefficients(const Moments& moments) noexcept { return least_squares(moments, kRidge); }

}  // namespace ff::kernels::reference
