// SPDX-License-Identifier: Apache-2.0
//
// PoissonLevels: a ladder of Poisson rates 1/32 apart, each with its table for sampling by one random number.
//
// A pixel's rate is one of the ladder's, so that a frame's true distribution, and its entropy, are exactly
// known. Walker's alias method (1977) on integer weights that sum to 2^32.
#pragma once

#include <cstdint>
#include <vector>

namespace ff::tools {

class PoissonLevels {
 public:
  static constexpr double kRateMin = 1e-4, kRateMax = 5e4;

  /// Tables for every level up to `rate_max` (at most kRateMax). A few MB, some milliseconds.
  explicit PoissonLevels(double rate_max);

  /// Level 0 never counts anything; levels from 1 on grow by 1/32 each.
  [[nodiscard]] std::uint16_t level_of(double rate) const noexcept;
  [[nodiscard]] std::uint16_t highest() const noexcept {
    return static_cast<std::uint16_t>(levels_.size() - 1);
  }
  [[nodiscard]] double rate(std::uint16_t level) const noexcept { return rates_[level]; }
  /// Entropy of one pixel of this level, in bits.
  [[nodiscard]] double entropy_bits(std::uint16_t level) const noexcept { return entropies_[level]; }

  /// A count, from 32 uniform random bits.
  [[nodiscard]] std::uint32_t sample(std::uint16_t level, std::uint32_t random) const noexcept {
    const Level& table = levels_[level];
    const std::uint32_t column = random >> table.column_shift;
    const std::uint32_t rest = random & table.rest_mask;
    const Column& entry = columns_[table.first_column + column];
    return table.lowest_count + (rest < entry.threshold ? column : entry.alias);
  }

 private:
  struct Level {
    std::uint32_t first_column, lowest_count, rest_mask;
    std::uint32_t column_shift;
  };
  struct Column {
    std::uint32_t threshold, alias;
  };

  void add_level(double rate);
  void add_table(const std::vector<std::uint64_t>& weights, std::uint32_t lowest_count);

  std::vector<Level> levels_;
  std::vector<Column> columns_;
  std::vector<double> rates_, entropies_;
};

}  // namespace ff::tools
