// SPDX-License-Identifier: Apache-2.0
//
// Cells: frames as images of 2 x 2 pixels; which contexts the cells and the values in them are coded with.
//
// Data path  level map > [predict cells > token > values] > lanes
// Meaning    docs/formats/block.md §6.10 to §6.12; every device's yardstick.
// Not here   symbols of cells and values (kernels/format/cell_values.hpp), the smooth model (predict.hpp).
#pragma once

#include <array>
#include <vector>

#include "kernels/format/cell_values.hpp"
#include "kernels/reference/lanes.hpp"
#include "kernels/reference/predict.hpp"

namespace ff::kernels::reference {

/// Levels of one cell: top left, top right, bottom left, bottom right. Masked pixels and those outside the
/// tile have level 0.
using CellLevels = std::array<std::uint32_t, kCellPixels>;

[[nodiscard]] std::vector<CellLevels> cell_levels(const PredictorState& state, const FrameView& frame);

/// What a cell's sum is to the predictor: kCellUnseen where a sentinel is among its levels.
[[nodiscard]] std::uint32_t cell_sum(const CellLevels& levels, const LevelMap& map) noexcept;

/// Contexts of a frame's cells, and the update after it.
class CellPredictor {
 public:
  CellPredictor(PredictorState& state, const FrameShape& tile, const GroupSetup& group)
      : shape_(cell_shape(tile)),
        state_(state),
        image_(state.cells->image),
        group_(group),
        around_(shape_, image_.mask.get()),
        entries_(bucket_entries(*state.tables)) {}

  /// One record a cell, padded to whole groups; active where a pixel is coded. From the state before this frame.
  [[nodiscard]] std::vector<LaneRecord> contexts() const;
  /// Moves the state to after this frame.
  void learn(const std::vector<CellLevels>& levels);

 private:
  FrameShape shape_;
  PredictorState& state_;
  PredictorState& image_;
  const GroupSetup& group_;
  Neighbourhood around_;
  std::array<BucketEntry, kBuckets> entries_;
};

/// The value that is next in a cell: its context by what the pixel and the cell had before.
class ValueContexts {
 public:
  ValueContexts(CellState& cells, const ContextTables& tables, const LevelMap& map)
      : last_(cells.last_value), contexts_(value_contexts(tables)), map_(map) {}

  /// `earlier`: half octave of the value coded before in this cell and frame, 0 at first.
  [[nodiscard]] LaneRecord next(std::size_t cell, std::size_t pixel, std::uint8_t earlier) const;
  /// Remembers the level that was coded, unless it is a sentinel.
  void settle(std::size_t cell, std::size_t pixel, std::uint32_t level, std::uint8_t& earlier);

 private:
  std::vector<std::uint8_t>& last_;
  std::vector<std::uint8_t> contexts_;
  const LevelMap& map_;
};

/// True where pixel `pixel` of a cell with this token has a value behind it.
[[nodiscard]] constexpr bool value_follows(std::uint32_t token, std::size_t pixel) noexcept {
  return cell_digit(token, pixel) == kDigitMax;
}

}  // namespace ff::kernels::reference
