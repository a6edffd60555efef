// SPDX-License-Identifier: Apache-2.0
//
// Ladder of Poisson rates; alias tables in integers. Compiled without fused multiply-add: tables are equal
// everywhere.
#include "tools/simulator/poisson_levels.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "common/base/check.hpp"

namespace ff::tools {

namespace {

constexpr double kStep = 33.0 / 32.0;
constexpr double kNegligible =
    0x1.0p-40;  // relative to the most likely count; below a weight of 2^-32 in all

struct Distribution {
  std::uint32_t lowest_count = 0;
  std::vector<double> weights;  ///< relative to the most likely count
  std::size_t peak = 0;
};

/// By recurrence from the most likely count, both ways: multiplications and divisions only.
Distribution poisson(double rate) {
  const auto mode = static_cast<std::uint32_t>(rate);
  std::vector<double> below;
  double weight = 1;
  for (std::uint32_t count = mode; count > 0; --count) {
    weight = weight * static_cast<double>(count) / rate;
    if (weight < kNegligible) break;
    below.push_back(weight);
  }
  Distribution result;
  result.lowest_count = mode - static_cast<std::uint32_t>(below.size());
  result.weights.assign(below.rbegin(), below.rend());
  result.peak = result.weights.size();
  weight = 1;
  for (std::uint32_t count = mode; weight >= kNegligible; ++count) {
    result.weights.push_back(weight);
    weight = weight * rate / static_cast<double>(count + 1);
  }
  return result;
}

}  // namespace

PoissonLevels::PoissonLevels(double rate_max) {
  rates_.push_back(0);
  entropies_.push_back(0);
  add_table({1ull << 32}, 0);
  const double last = std::min(rate_max, kRateMax);
  double rate = kRateMin;
  add_level(rate);
  while (rate < last) {
    rate *= kStep;
    add_level(rate);
  }
}

std::uint16_t PoissonLevels::level_of(double rate) const noexcept {
  if (rate < kRateMin / 2) return 0;
  const auto at = std::lower_bound(rates_.begin() + 1, rates_.end(), rate);
  return static_cast<std::uint16_t>(std::min<std::ptrdiff_t>(at - rates_.begin(), highest()));
}

void PoissonLevels::add_level(double rate) {
  const Distribution distribution = poisson(rate);
  double sum = 0;
  for (const double weight : distribution.weights) sum += weight;
  std::vector<std::uint64_t> weights;
  std::uint64_t total = 0;
  double entropy = 0;
  for (const double weight : distribution.weights) {
    const double probability = weight / sum;
    entropy -= probability * std::log2(probability);
    weights.push_back(static_cast<std::uint64_t>(std::llround(probability * 0x1.0p32)));
    total += weights.back();
  }
  weights[distribution.peak] += (1ull << 32) - total;  // rounding; the peak is far larger than it
  rates_.push_back(rate);
  entropies_.push_back(entropy);
  add_table(weights, distribution.lowest_count);
}

void PoissonLevels::add_table(const std::vector<std::uint64_t>& given, std::uint32_t lowest_count) {
  const std::size_t count = std::max<std::size_t>(2, std::bit_ceil(given.size()));
  const auto shift = static_cast<std::uint32_t>(32 - std::countr_zero(count));
  const std::uint64_t share = 1ull << shift;  // of the 2^32, for each column
  std::vector<std::uint64_t> weights(given);
  weights.resize(count, 0);
  const auto first = static_cast<std::uint32_t>(columns_.size());
  columns_.resize(columns_.size() + count);
  std::vector<std::uint32_t> poor, rich;
  for (std::uint32_t i = 0; i < count; ++i) (weights[i] < share ? poor : rich).push_back(i);
  while (!poor.empty()) {
    const std::uint32_t taker = poor.back(), giver = rich.back();
    poor.pop_back();
    columns_[first + taker] = {static_cast<std::uint32_t>(weights[taker]), giver};
    weights[giver] -= share - weights[taker];
    if (weights[giver] >= share) continue;
    rich.pop_back();
    poor.push_back(giver);
  }
  for (const std::uint32_t full : rich) {
    FF_CHECK(weights[full] == share);
    columns_[first + full] = {static_cast<std::uint32_t>(share), full};
  }
  levels_.push_back({first, lowest_count, static_cast<std::uint32_t>(share - 1), shift});
}

}  // namespace ff::tools
