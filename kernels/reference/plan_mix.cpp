// SPDX-License-Identifier: Apache-2.0
//
// Mix planning: LDL^T in double, then rounding to what a file can hold.
#include "kernels/reference/plan_mix.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>

#include "kernels/format/bit_code.hpp"

namespace ff::kernels::reference {
namespace {

constexpr double kTiny = 1e-9;

// Solves the leading n x n system of `moments` for the columns in `used`; the rest stay 0.
Coefficients solve(const Moments& moments, const std::array<bool, kMomentColumnsMax>& used,
                   double ridge) noexcept {
  std::array<std::size_t, kMomentColumnsMax> columns{};
  std::size_t n = 0;
  const std::size_t target = moments.columns - 1;
  for (std::size_t c = 0; c < target; ++c) {
    if (used[c] && moments.at(c, c) > kTiny) columns[n++] = c;
  }
  std::array<std::array<double, kMomentColumnsMax>, kMomentColumnsMax> lower{};
  std::array<double, kMomentColumnsMax> diagonal{}, right{};
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = moments.at(columns[i], columns[j]);
      if (i == j) sum = sum * (1 + ridge) + kTiny;
      for (std::size_t k = 0; k < j; ++k) sum -= lower[i][k] * lower[j][k] * diagonal[k];
      if (i == j) {
        diagonal[i] = std::max(sum, kTiny);
      } else {
        lower[i][j] = sum / diagonal[j];
      }
    }
    right[i] = moments.at(target, columns[i]);
    for (std::size_t k = 0; k < i; ++k) right[i] -= lower[i][k] * right[k];
  }
  for (std::size_t i = 0; i < n; ++i) right[i] /= diagonal[i];
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) right[i] -= lower[k][i] * right[k];
  }
  Coefficients result{};
  for (std::size_t i = 0; i < n; ++i) result[columns[i]] = right[i];
  return result;
}

double rounded_to(double value, std::int32_t unit) noexcept {
  return std::rint(value * kMixOne / unit) * unit;
}

std::int16_t cut(double value) noexcept {
  return static_cast<std::int16_t>(std::clamp(value, -32767.0, 32767.0));
}

// A mix that needs no fit: the running mean, or the mean of the nearest coded pixels.
void set_plain(PlaneMix& mix, const MixForm& form) noexcept {
  mix.weights = {};
  mix.bias = 0;
  if (form.past) {
    mix.weights[0] = kMixOne;
  } else {
    for (std::size_t j = 0; j < std::min<std::size_t>(form.features, 4); ++j) mix.weights[j] = kMixOne / 4;
  }
}

}  // namespace

void Moments::add(const Moments& other, double share) noexcept {
  columns = other.columns;
  const std::size_t count = columns * (columns + 1) / 2;
  for (std::size_t i = 0; i < count; ++i) sums[i] += other.sums[i] * share;
}

Moments moments_of(const std::int64_t* sums, std::size_t columns, bool reference, std::size_t thin) noexcept {
  Moments moments;
  moments.columns = columns;
  std::array<double, kMomentColumnsMax> unit{};
  for (std::size_t c = 0; c < columns; ++c) unit[c] = 1.0 / static_cast<double>(kColumnOne);
  if (reference) unit[columns - 3] = 1.0 / static_cast<double>(kReferenceOne);
  unit[columns - 1] = 1.0 / static_cast<double>(kTargetOne);
  for (std::size_t a = 0, i = 0; a < columns; ++a) {
    for (std::size_t b = 0; b <= a; ++b, ++i)
      moments.sums[i] = static_cast<double>(sums[i]) * (unit[a] * unit[b]) * static_cast<double>(thin);
  }
  return moments;
}

Coefficients least_squares(const Moments& moments, double ridge) noexcept {
  std::array<bool, kMomentColumnsMax> used;
  used.fill(true);
  return solve(moments, used, ridge);
}

double left_over(const Moments& moments, const Coefficients& coefficients) noexcept {
  const std::size_t target = moments.columns - 1;
  double sum = moments.at(target, target);
  for (std::size_t i = 0; i < target; ++i) {
    double inner = 0;
    for (std::size_t j = 0; j < target; ++j) inner += moments.at(i, j) * coefficients[j];
    sum += coefficients[i] * (inner - 2 * moments.at(target, i));
  }
  return std::max(sum, 0.0);
}

void set_expectation(PlaneMix& mix, const MixForm& form, const Coefficients& coefficients) noexcept {
  const std::size_t n = form.features;
  const double level = static_cast<double>(1u << form.up);
  PlaneMix tried = mix;
  tried.weights = {};
  if (n == 0) {
    mix.weights = {};
    mix.bias = cut(std::rint(coefficients[0] * level));
    return;
  }
  // Columns: features 1 ... n - 1 (relative), reference, constant.
  double sum = 0, magnitude = 0;
  for (std::size_t j = 1; j < n; ++j) sum += coefficients[j - 1];
  const double whole = 1 + coefficients[n - 1];
  const double common = form.past ? 0 : (whole - sum) / 4;
  double rest = rounded_to(whole, 1);
  for (std::size_t j = 1; j < n; ++j) {
    const double weight = rounded_to(coefficients[j - 1] + (j < 4 ? common : 0), kMixStep);
    tried.weights[j] = cut(weight);
    rest -= weight;
    magnitude += std::abs(weight);
  }
  tried.weights[0] = cut(rest);
  const double bias = std::rint(coefficients[n] * level);
  tried.bias = cut(bias);
  if (magnitude + std::abs(rest) > kMixSumMax || std::abs(bias) > 32767) return set_plain(mix, form);
  mix = tried;
}

Coefficients expectation_coefficients(const PlaneMix& mix, const MixForm& form) noexcept {
  const std::size_t n = form.features;
  const double level = static_cast<double>(1u << form.up), one = kMixOne;
  Coefficients result{};
  if (n == 0) {
    result[0] = mix.bias / level;
    return result;
  }
  double sum = 0;
  for (std::size_t j = 0; j < n; ++j) sum += mix.weights[j] / one;
  for (std::size_t j = 1; j < n; ++j) {
    const std::int32_t first = !form.past && j < 4 ? mix.weights[0] : 0;
    result[j - 1] = (mix.weights[j] - first) / one;
  }
  result[n - 1] = sum - 1;
  result[n] = mix.bias / level;
  return result;
}

void fit_scale(PlaneMix& mix, const MixForm& form, const Moments& moments,
               const std::array<bool, kScaleFeatures>& usable) noexcept {
  std::array<bool, kMomentColumnsMax> used{};
  for (std::size_t i = 0; i < kScaleFeatures; ++i) used[i] = usable[i];
  used[kScaleFeatures] = true;
  Coefficients c{};
  for (std::size_t round = 0; round <= kScaleFeatures; ++round) {
    c = solve(moments, used, 2e-3);
    std::size_t worst = kScaleFeatures;
    for (std::size_t i = 0; i < kScaleFeatures; ++i) {
      if (c[i] < 0 && (worst == kScaleFeatures || c[i] < c[worst])) worst = i;
    }
    if (worst == kScaleFeatures) break;
    used[worst] = false;
  }
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < kScaleFeatures; ++i) {
    const double weight = std::clamp(rounded_to(c[i], kScaleStep), 0.0, 8000.0);
    mix.scale_weights[i] =
        static_cast<std::int16_t>(static_cast<std::int32_t>(weight) / kScaleStep * kScaleStep);
    sum += mix.scale_weights[i];
  }
  const double level = static_cast<double>(1u << form.up);
  mix.scale_bias = cut(std::rint(c[kScaleFeatures] * level));
  if (sum == 0 && mix.scale_bias < 1)
    mix.scale_bias = static_cast<std::int16_t>(std::max(1, (1 << form.up) / 4));
}

Coefficients scale_coefficients(const PlaneMix& mix, const MixForm& form) noexcept {
  Coefficients c{};
  for (std::size_t i = 0; i < kScaleFeatures; ++i) c[i] = mix.scale_weights[i] / static_cast<double>(kMixOne);
  c[kScaleFeatures] = mix.scale_bias / static_cast<double>(1u << form.up);
  return c;
}

unsigned mix_bits(const PlaneMix& mix, const PlaneMix& before, std::size_t features) noexcept {
  unsigned bits = 1;
  const auto number = [&](std::int32_t now, std::int32_t then, std::int32_t unit) {
    bits += static_cast<unsigned>(std::bit_width(zigzag((now - then) / unit))) + 2;
  };
  for (std::size_t j = 0; j < features; ++j) number(mix.weights[j], before.weights[j], j == 0 ? 1 : kMixStep);
  number(mix.bias, before.bias, 1);
  for (std::size_t i = 0; i < kScaleFeatures; ++i)
    number(mix.scale_weights[i], before.scale_weights[i], kScaleStep);
  number(mix.scale_bias, before.scale_bias, 1);
  return bits;
}

}  // namespace ff::kernels::reference
