// SPDX-License-Identifier: Apache-2.0
//
// Prior planning: one pass for the means, one for the distances.
#include "kernels/reference/plan_prior.hpp"

#include <algorithm>
#include <bit>

#include "kernels/format/prior.hpp"
#include "kernels/reference/plan_loops.hpp"

namespace ff::kernels::reference {
namespace {

// Sums over blocks of a frame, by way of sums over the columns of a row of blocks.
class BlockSums {
 public:
  BlockSums(const FrameView& frame, const LevelCodec& codec, const PredictorSetup& setup, const MaskMap* mask,
            unsigned log2_block)
      : frame_(frame),
        codec_(codec),
        mask_(mask),
        rule_{setup.up, setup.down, setup.levels.first_sentinel_level() - 1, 0, 0},
        log2_block_(log2_block),
        levels_(frame.shape.cols),
        column_sums_(frame.shape.cols),
        column_counts_(frame.shape.cols),
        expected_(frame.shape.cols),
        sum(grid_size()),
        count(grid_size()) {}

  // Of what the pixels are seen as; or of how far that is from their block's value in `grid`.
  void add(const std::vector<std::uint16_t>* grid) {
    const std::uint32_t block = 1u << log2_block_;
    std::ranges::fill(count, 0);
    for (std::uint32_t row = 0; row < frame_.shape.rows; row += block) {
      if (grid != nullptr) expect(*grid, row);
      std::ranges::fill(column_sums_, 0);
      std::ranges::fill(column_counts_, 0);
      for (std::uint32_t r = row; r < std::min(row + block, frame_.shape.rows); ++r)
        add_row(r, grid != nullptr);
      fold(row);
    }
  }

 private:
  [[nodiscard]] std::size_t grid_cols() const noexcept { return grid_points(frame_.shape.cols, log2_block_); }
  [[nodiscard]] std::size_t grid_size() const noexcept {
    return grid_cols() * grid_points(frame_.shape.rows, log2_block_);
  }

  void expect(const std::vector<std::uint16_t>& grid, std::uint32_t row) {
    const std::uint16_t* from = &grid[(row >> log2_block_) * grid_cols()];
    for (std::size_t col = 0; col < expected_.size(); ++col) expected_[col] = from[col >> log2_block_];
  }

  void add_row(std::uint32_t row, bool distances) {
    const std::size_t cols = frame_.shape.cols;
    codec_.levels_of_row(frame_.row(row), cols, levels_.data());
    const std::uint8_t* hidden = mask_ == nullptr ? nullptr : &mask_->classes[row * cols];
    plan_loops().sum_levels(rule_, levels_.data(), hidden, distances ? expected_.data() : nullptr, cols,
                            column_sums_.data(), column_counts_.data());
  }

  void fold(std::uint32_t row) {
    const std::size_t first = (row >> log2_block_) * grid_cols(), block = std::size_t{1} << log2_block_;
    for (std::size_t g = 0; g < grid_cols(); ++g) {
      std::uint64_t block_sum = 0;
      std::uint32_t pixels = 0;
      for (std::size_t col = g * block; col < std::min((g + 1) * block, column_sums_.size()); ++col)
        block_sum += column_sums_[col], pixels += column_counts_[col];
      sum[first + g] = block_sum;
      count[first + g] = pixels;
    }
  }

  const FrameView& frame_;
  const LevelCodec& codec_;
  const MaskMap* mask_;
  LearnRule rule_;
  unsigned log2_block_;
  std::vector<std::uint32_t> levels_, column_sums_, column_counts_;
  std::vector<std::uint16_t> expected_;

 public:
  std::vector<std::uint64_t> sum;  ///< by grid point
  std::vector<std::uint32_t> count;
};

// Blocks without a pixel that counts repeat the one before them, which costs the least.
std::vector<std::uint16_t> means(const std::vector<std::uint64_t>& sums,
                                 const std::vector<std::uint32_t>& counts) {
  std::vector<std::uint16_t> grid(sums.size());
  std::uint64_t last = 0;
  for (std::size_t i = 0; i < grid.size(); ++i) {
    if (counts[i] != 0) last = (sums[i] + counts[i] / 2) / counts[i];
    grid[i] = static_cast<std::uint16_t>(last);
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
  Prior prior;
  prior.log2_block = static_cast<std::uint8_t>(log2_block);
  prior.frames_weight = static_cast<std::uint8_t>(frames_weight);
  BlockSums sums(frame, codec, setup, mask, log2_block);
  sums.add(nullptr);
  prior.mean = means(sums.sum, sums.count);
  if (setup.source == ContextSource::scale) {
    sums.add(&prior.mean);
    prior.scale = means(sums.sum, sums.count);
  }
  prior.quantum = static_cast<std::uint8_t>(choose_quantum(prior, setup));
  for (auto* plane : {&prior.mean, &prior.scale}) {
    for (auto& value : *plane) value = static_cast<std::uint16_t>(value >> prior.quantum << prior.quantum);
  }
  return prior;
}

}  // namespace ff::kernels::reference
