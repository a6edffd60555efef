// SPDX-License-Identifier: Apache-2.0
//
// Prior planning: one pass for the means, one for the distances.
#include "kernels/reference/plan_prior.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "kernels/format/prior.hpp"
#include "kernels/reference/predict.hpp"

namespace ff::kernels::reference {
namespace {

struct BlockSums {
  std::vector<std::uint64_t> sum;
  std::vector<std::uint32_t> count;
};

// Calls visit(block, state value) for every pixel that counts.
template <typename Visit>
void for_each_pixel(const FrameView& frame, const LevelCodec& codec, const PredictorSetup& setup,
                    const MaskMap* mask, unsigned log2_block, Visit&& visit) {
  const FrameShape& tile = frame.shape;
  const std::size_t grid_cols = grid_points(tile.cols, log2_block);
  const bool has_sentinels = !setup.levels.sentinels.empty();
  const std::uint32_t first_sentinel = setup.levels.first_sentinel_level();
  std::vector<std::uint32_t> levels(tile.cols);
  for (std::uint32_t row = 0; row < tile.rows; ++row) {
    codec.levels_of_row(frame.row(row), tile.cols, levels.data());
    const std::uint8_t* hidden = mask == nullptr ? nullptr : &mask->classes[std::size_t{row} * tile.cols];
    const std::size_t block_row = (row >> log2_block) * grid_cols;
    for (std::uint32_t col = 0; col < tile.cols; ++col) {
      if (hidden != nullptr && hidden[col] != 0) continue;
      if (has_sentinels && levels[col] >= first_sentinel) continue;
      visit(block_row + (col >> log2_block), seen(levels[col], setup));
    }
  }
}

// Blocks without a pixel that counts repeat the one before them, which costs the least.
std::vector<std::uint16_t> means(const BlockSums& sums, unsigned quantum) {
  std::vector<std::uint16_t> grid(sums.sum.size());
  std::uint64_t last = 0;
  for (std::size_t i = 0; i < grid.size(); ++i) {
    if (sums.count[i] != 0) last = (sums.sum[i] + sums.count[i] / 2) / sums.count[i];
    grid[i] = static_cast<std::uint16_t>(last >> quantum << quantum);
  }
  return grid;
}

std::uint16_t middle_value(std::vector<std::uint16_t> grid) {
  const auto middle = grid.begin() + static_cast<std::ptrdiff_t>(grid.size() / 2);
  std::ranges::nth_element(grid, middle);
  return *middle;
}

// Steps of about an eighth of a frame's noise: the scale itself, or the square root of a rate. A rate also
// picks the context, which wants it to an eighth of its value.
unsigned choose_quantum(const Prior& prior, const PredictorSetup& setup) {
  const bool by_scale = setup.source == ContextSource::scale;
  const auto width = static_cast<unsigned>(
      std::bit_width(static_cast<unsigned>(middle_value(by_scale ? prior.scale : prior.mean))));
  const unsigned noise = by_scale ? width : std::min(width, (width + setup.up) / 2);
  return noise > 3 ? noise - 3 : 0;
}

}  // namespace

Prior plan_prior(const FrameView& frame, const LevelCodec& codec, const PredictorSetup& setup,
                 const MaskMap* mask, unsigned log2_block, unsigned frames_weight) {
  const std::size_t points =
      std::size_t{grid_points(frame.shape.rows, log2_block)} * grid_points(frame.shape.cols, log2_block);
  Prior prior;
  prior.log2_block = static_cast<std::uint8_t>(log2_block);
  prior.frames_weight = static_cast<std::uint8_t>(frames_weight);
  BlockSums sums{std::vector<std::uint64_t>(points, 0), std::vector<std::uint32_t>(points, 0)};
  for_each_pixel(frame, codec, setup, mask, log2_block, [&](std::size_t block, std::int32_t value) {
    sums.sum[block] += static_cast<std::uint64_t>(value);
    ++sums.count[block];
  });
  prior.mean = means(sums, 0);
  if (setup.source == ContextSource::scale) {
    std::ranges::fill(sums.sum, 0);
    for_each_pixel(frame, codec, setup, mask, log2_block, [&](std::size_t block, std::int32_t value) {
      sums.sum[block] += static_cast<std::uint64_t>(std::abs(value - std::int32_t{prior.mean[block]}));
    });
    prior.scale = means(sums, 0);
  }
  prior.quantum = static_cast<std::uint8_t>(choose_quantum(prior, setup));
  for (auto* plane : {&prior.mean, &prior.scale}) {
    for (auto& value : *plane) value = static_cast<std::uint16_t>(value >> prior.quantum << prior.quantum);
  }
  return prior;
}

}  // namespace ff::kernels::reference
