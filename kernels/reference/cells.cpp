// SPDX-License-Identifier: Apache-2.0
//
// Cells: the model smooth on the image of cells.
#include "kernels/reference/cells.hpp"

namespace ff::kernels::reference {

std::vector<CellLevels> cell_levels(const PredictorState& state, const FrameView& frame) {
  const FrameShape shape = cell_shape(frame.shape);
  std::vector<CellLevels> cells(shape.pixels(), CellLevels{});
  std::vector<std::uint32_t> levels(frame.shape.cols);
  for (std::uint32_t row = 0; row < frame.shape.rows; ++row) {
    state.codec.levels_of_row(frame.row(row), frame.shape.cols, levels.data());
    for (std::uint32_t col = 0; col < frame.shape.cols; ++col) {
      const std::size_t p = std::size_t{row} * frame.shape.cols + col;
      if (state.mask != nullptr && state.mask->classes[p] != 0) continue;
      cells[std::size_t{row / 2} * shape.cols + col / 2][row % 2 * 2 + col % 2] = levels[col];
    }
  }
  return cells;
}

std::uint32_t cell_sum(const CellLevels& levels, const LevelMap& map) noexcept {
  std::uint32_t sum = 0;
  for (const std::uint32_t level : levels) {
    if (!map.sentinels.empty() && level >= map.first_sentinel_level()) return kCellUnseen;
    sum += std::min(level, kCellLevelMax);
  }
  return sum;
}

std::vector<LaneRecord> CellPredictor::contexts() const {
  std::vector<LaneRecord> records((shape_.pixels() + kLanes - 1) / kLanes * kLanes);
  for (std::uint32_t row = 0; row < shape_.rows; ++row) {
    for (std::uint32_t col = 0; col < shape_.cols; ++col) {
      LaneRecord& record = records[std::size_t{row} * shape_.cols + col];
      record.form = RecordForm::cell;
      if (around_.masked(row, col)) continue;
      const auto expected =
          static_cast<std::uint32_t>(around_.smoothed(image_.mean.data(), row, col, group_.smoothing));
      record.active = true;
      record.context = entries_[bucket_of(expected)].first_context;
    }
  }
  return records;
}

void CellPredictor::learn(const std::vector<CellLevels>& levels) {
  const std::int32_t mean_gain = gain(image_.frames, group_.mean_frames);
  for (std::size_t c = 0; c < levels.size(); ++c) {
    if (image_.mask != nullptr && image_.mask->classes[c] != 0) continue;
    const std::uint32_t sum = cell_sum(levels[c], state_.setup.levels);
    if (sum == kCellUnseen) continue;
    const std::int32_t mean = image_.mean[c];
    image_.mean[c] = static_cast<std::uint16_t>(mean + scaled(seen(sum, image_.setup) - mean, mean_gain));
  }
  image_.frames = std::min(image_.frames + 1, kWindowFramesMax);
}

LaneRecord ValueContexts::next(std::size_t cell, std::size_t pixel, std::uint8_t earlier) const {
  LaneRecord record;
  record.context = contexts_[value_key(last_[cell * kCellPixels + pixel], earlier)];
  record.form = RecordForm::value;
  record.active = true;
  return record;
}

void ValueContexts::settle(std::size_t cell, std::size_t pixel, std::uint32_t level, std::uint8_t& earlier) {
  if (!map_.sentinels.empty() && level >= map_.first_sentinel_level()) return;
  last_[cell * kCellPixels + pixel] = earlier = half_octave(level);
}

}  // namespace ff::kernels::reference
