// SPDX-License-Identifier: Apache-2.0
//
// Cell sample: a few bands of cell rows, followed through a group, on which the planner tries its choices.
//
// Data path  window > [sample] > plan
// Meaning    no part of the format.
// Not here   the choices (plan_cells.cpp); bands and their state (plan_sample.hpp).
#pragma once

#include "kernels/format/cell_values.hpp"
#include "kernels/format/frequencies.hpp"
#include "kernels/reference/log2_fixed.hpp"
#include "kernels/reference/plan_sample.hpp"

namespace ff::kernels::reference {

/// Values behind the sampled cells' digits, by key: how often each symbol, and the raw bits of all.
struct ValueSample {
  std::vector<Histogram> by_key{kValueKeys, Histogram{}};
  std::uint64_t raw_bits = 0;
};

class CellSample {
 public:
  /// About `cells_wanted` cells of the first frames of a group of `frames`.
  CellSample(const FrameShape& tile, std::size_t frames, std::size_t cells_wanted);

  /// `mask` is the pixels', `image_mask` the cells'; `last_value` that of the state, nothing after a setup.
  void read(GroupFrames frames, const LevelCodec& codec, const MaskMap* mask, const MaskMap* image_mask,
            const std::vector<std::uint8_t>* last_value);

  /// Records of the first `frames_max` frames' cells with their symbols as levels, from a prior or from the state.
  [[nodiscard]] SampleRecords run(const PredictorSetup& setup, const GroupSetup& group, const Prior& prior,
                                  std::size_t frames_max);
  [[nodiscard]] SampleRecords run(const PredictorSetup& setup, const GroupSetup& group,
                                  const PredictorState& image, std::size_t frames_max);

  [[nodiscard]] std::size_t value_count() const noexcept { return value_count_; }
  [[nodiscard]] const ValueSample& values() const noexcept { return values_; }
  /// Cells of the group per sampled cell, x 256.
  [[nodiscard]] std::uint64_t ratio_256() const noexcept {
    return bands_.ratio_256() * frames_ / bands_.frames();
  }
  [[nodiscard]] std::uint64_t values_ratio_256() const noexcept {
    return rows_read_ == 0 ? 256
                           : std::uint64_t{shape_.rows} * 256 * frames_ / (rows_read_ * bands_.frames());
  }

 private:
  [[nodiscard]] SampleRecords run(const PredictorSetup& setup, const GroupSetup& group,
                                  std::size_t frames_max);

  FrameShape tile_, shape_;
  std::size_t frames_;
  BandSample bands_;
  ValueSample values_;
  std::uint64_t rows_read_ = 0;
  std::size_t value_count_ = 0;
};

/// A row of the image of cells: two rows of pixels, the second one perhaps missing (null).
class CellRow {
 public:
  CellRow(const FrameShape& tile, const LevelCodec& codec, const MaskMap* mask);

  /// Levels of the row's cells, four each; masked pixels have level 0.
  const std::uint32_t* read(const FrameView& frame, std::uint32_t cell_row);

 private:
  const FrameShape& tile_;
  const LevelCodec& codec_;
  const MaskMap* mask_;
  std::vector<std::uint32_t> levels_, cells_;
};

}  // namespace ff::kernels::reference
