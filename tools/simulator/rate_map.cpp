// SPDX-License-Identifier: Apache-2.0
//
// Masks and rate maps of simulated detectors. Square roots and basic operations only: equal everywhere.
#include "tools/simulator/rate_map.hpp"

#include <algorithm>
#include <cmath>

#include "tools/simulator/seeded_random.hpp"

namespace ff::tools {

namespace {

constexpr std::uint64_t kMaskStream = 1ull << 60,
                        kDefectStream = 2ull << 60;  // of SeededRandom; frames use 0, 1, 2 ...
constexpr double kMaskedDeadShare = 5e-5, kUnmaskedDeadShare = 1e-5, kHotShare = 2e-5;

/// At least one of each defect also on a small crop, so that tests meet them.
std::uint64_t defects(std::size_t pixels, double share) {
  return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(static_cast<double>(pixels) * share));
}

double peak(double distance) { return 1 / (1 + distance * distance); }

/// Relative intensity at `radius`, in units of half the shorter side.
double powder_pattern(double radius) {
  constexpr double kRings[] = {0.22, 0.41, 0.53, 0.77, 0.98};
  double intensity = 0.25 + peak(radius / 0.3);
  for (const double ring : kRings) intensity += 0.7 * peak((radius - ring) / 0.012);
  return radius < 0.03 ? 0.05 * intensity : intensity;  // the beam stop's shadow
}

std::vector<double> pattern_of(const SimulatorSpec& spec) {
  const FrameShape& shape = spec.shape;
  const double half = static_cast<double>(std::min(shape.rows, shape.cols)) / 2;
  const double centre_row = static_cast<double>(shape.rows) / 2,
               centre_col = static_cast<double>(shape.cols) / 2;
  std::vector<double> pattern(shape.pixels());
  std::size_t i = 0;
  for (std::uint32_t row = 0; row < shape.rows; ++row) {
    for (std::uint32_t col = 0; col < shape.cols; ++col) {
      const double down = row - centre_row, across = col - centre_col;
      pattern[i++] = powder_pattern(std::sqrt(down * down + across * across) / half);
    }
  }
  return pattern;
}

void add_defects(const SimulatorSpec& spec, const PoissonLevels& levels, RateMap& map) {
  SeededRandom random(spec.seed, kDefectStream);
  const std::size_t pixels = spec.shape.pixels();
  const std::uint16_t hot = levels.level_of(spec.photons_per_pixel * 40 + 5);
  for (std::uint64_t i = defects(pixels, kHotShare); i > 0; --i) map.levels[random.below(pixels)] = hot;
  for (std::uint64_t i = defects(pixels, kUnmaskedDeadShare); i > 0; --i)
    map.levels[random.below(pixels)] = 0;
}

}  // namespace

std::vector<std::uint32_t> make_pixel_mask(const SimulatorSpec& spec) {
  const FrameShape& shape = spec.shape;
  const ModuleLayout& modules = spec.modules;
  std::vector<std::uint32_t> mask(shape.pixels(), 0);
  for (std::uint32_t row = 0; row < shape.rows; ++row) {
    const bool gap_row = row % (modules.module_rows + modules.gap_rows) >= modules.module_rows;
    for (std::uint32_t col = 0; col < shape.cols; ++col) {
      const bool gap_col = col % (modules.module_cols + modules.gap_cols) >= modules.module_cols;
      if (gap_row || gap_col) mask[std::size_t{row} * shape.cols + col] = kPixelGap;
    }
  }
  SeededRandom random(spec.seed, kMaskStream);
  for (std::uint64_t i = defects(mask.size(), kMaskedDeadShare); i > 0; --i) {
    std::uint32_t& pixel = mask[random.below(mask.size())];
    if (pixel == 0) pixel = kPixelDead;
  }
  return mask;
}

RateMap make_rate_map(const SimulatorSpec& spec, const PoissonLevels& levels) {
  RateMap map;
  map.pixel_mask = make_pixel_mask(spec);
  const std::vector<double> pattern = pattern_of(spec);
  double sum = 0;
  std::size_t good = 0;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (map.pixel_mask[i] != 0) continue;
    sum += pattern[i];
    ++good;
  }
  const double scale = good == 0 ? 0 : spec.photons_per_pixel * static_cast<double>(good) / sum;
  map.levels.resize(pattern.size());
  for (std::size_t i = 0; i < pattern.size(); ++i) map.levels[i] = levels.level_of(pattern[i] * scale);
  add_defects(spec, levels, map);
  double rates = 0, entropies = 0;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (map.pixel_mask[i] != 0) map.levels[i] = 0;
    rates += levels.rate(map.levels[i]);
    entropies += levels.entropy_bits(map.levels[i]);
  }
  map.mean_rate = good == 0 ? 0 : rates / static_cast<double>(good);
  map.entropy_bits_per_pixel = entropies / static_cast<double>(pattern.size());
  return map;
}

}  // namespace ff::tools
