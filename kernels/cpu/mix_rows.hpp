// SPDX-License-Identifier: Apache-2.0
//
// What a row's expectation or scale is summed from: rows of features and their weights.
//
// Data path  level map > [predict, phases] > context > token > lanes
// Meaning    docs/formats/block.md §6.7, §6.8. Features have 15 bits; their ranges are proven there.
// Not here   the sums (generic_mix.inl, avx2_mix.inl), which features (generic_phase_rows.inl).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/format/phase_mix.hpp"

namespace ff::kernels::cpu {

class MixRows {
 public:
  static constexpr std::size_t kStep = 4;  ///< rows that are summed in one go

  explicit MixRows(std::int32_t bias) noexcept : start_(bias * kMixOne + kMixOne / 2) {}

  void add(std::int16_t weight, const std::uint16_t* row) noexcept {
    weights_[count_] = weight;
    rows_[count_++] = row;
  }
  /// Rows of weight 0 until their number is a multiple of kStep; `row` may be any.
  void fill(const std::uint16_t* row) noexcept {
    while (count_ % kStep != 0) add(0, row);
  }

  [[nodiscard]] std::int32_t start() const noexcept { return start_; }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] const std::int16_t* weights() const noexcept { return weights_.data(); }
  [[nodiscard]] const std::uint16_t* const* rows() const noexcept { return rows_.data(); }

 private:
  static constexpr std::size_t kRowsMax = kMixFeaturesMax + kStep;

  std::int32_t start_;
  std::size_t count_ = 0;
  std::array<std::int16_t, kRowsMax> weights_;
  std::array<const std::uint16_t*, kRowsMax> rows_;
};

}  // namespace ff::kernels::cpu
