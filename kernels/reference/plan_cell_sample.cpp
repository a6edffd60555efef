// SPDX-License-Identifier: Apache-2.0
//
// Cell sample: the bands of plan_sample.hpp on the image of cells. A band's level is sum << 8 | symbol, so that
// one plane serves the prediction and the histograms.
#include "kernels/reference/plan_cell_sample.hpp"

#include <algorithm>

namespace ff::kernels::reference {
namespace {

constexpr unsigned kSymbolBits = 8;
constexpr std::size_t kSampledFrames = 16;  // more bands tell more than more frames
constexpr std::size_t kBandsMin = 8;

std::uint32_t sum_of(const std::uint32_t* levels, const LevelMap& map) noexcept {
  std::uint32_t sum = 0;
  for (std::size_t p = 0; p < kCellPixels; ++p) {
    const bool counts = map.sentinels.empty() || levels[p] < map.first_sentinel_level();
    sum += counts ? std::min(levels[p], kCellLevelMax) : 0;
  }
  return sum;
}

}  // namespace

CellRow::CellRow(const FrameShape& tile, const LevelCodec& codec, const MaskMap* mask)
    : tile_(tile),
      codec_(codec),
      mask_(mask),
      levels_(tile.cols),
      cells_(cell_shape(tile).cols * kCellPixels) {}

const std::uint32_t* CellRow::read(const FrameView& frame, std::uint32_t cell_row) {
  for (std::size_t half = 0; half < 2; ++half) {
    const auto row = static_cast<std::uint32_t>(2 * std::size_t{cell_row} + half);
    std::uint32_t* out = cells_.data() + 2 * half;
    if (row < tile_.rows) {
      codec_.levels_of_row(frame.row(row), tile_.cols, levels_.data());
    } else {
      std::ranges::fill(levels_, 0);
    }
    if (mask_ != nullptr && row < tile_.rows) {
      const std::uint8_t* hidden = &mask_->classes[std::size_t{row} * tile_.cols];
      for (std::uint32_t col = 0; col < tile_.cols; ++col) levels_[col] = hidden[col] != 0 ? 0 : levels_[col];
    }
    for (std::size_t col = 0; col + 1 < tile_.cols; col += 2) {
      out[2 * col] = levels_[col];
      out[2 * col + 1] = levels_[col + 1];
    }
    if (tile_.cols % 2 != 0) out[std::size_t{2} * (tile_.cols - 1)] = levels_[tile_.cols - 1];
  }
  return cells_.data();
}

CellSample::CellSample(const FrameShape& tile, std::size_t frames, std::size_t cells_wanted)
    : tile_(tile),
      shape_(cell_shape(tile)),
      frames_(frames),
      bands_(shape_, std::min(frames, kSampledFrames), cells_wanted, kBandsMin) {}

void CellSample::read(GroupFrames frames, const LevelCodec& codec, const MaskMap* mask,
                      const MaskMap* image_mask, const std::vector<std::uint8_t>* last_value) {
  CellRow cells(tile_, codec, mask);
  std::vector<std::uint8_t> last(shape_.cols * kCellPixels);
  const auto count_values = [&](const std::uint32_t* levels, std::uint8_t* known) {
    std::uint8_t earlier = 0;
    for (std::size_t p = 0; p < kCellPixels; ++p) {
      if (levels[p] < kDigitMax) continue;
      const ValueSymbol value = value_symbol(levels[p]);
      ++values_.by_key[value_key(known[p], earlier)][value.symbol];
      values_.raw_bits += value.raw_bits;
      ++value_count_;
      known[p] = earlier = half_octave(levels[p]);
    }
  };
  const auto fill = [&](std::size_t t, std::uint32_t row, std::uint32_t* out) {
    const std::size_t row_pixels = shape_.cols * kCellPixels;
    if (t == 0) {
      ++rows_read_;
      std::ranges::fill(last, 0);
      if (last_value != nullptr) std::copy_n(&(*last_value)[row * row_pixels], row_pixels, last.data());
    }
    const std::uint32_t* levels = cells.read(frames[t], row);
    for (std::size_t c = 0; c < shape_.cols; ++c) {
      const std::uint32_t* cell = levels + c * kCellPixels;
      const std::uint32_t token = cell_token(cell);
      out[c] = sum_of(cell, codec.map()) << kSymbolBits | token;
      if (has_values(token)) count_values(cell, &last[c * kCellPixels]);
    }
  };
  bands_.read(fill, image_mask);
}

SampleRecords CellSample::run(const PredictorSetup& setup, const GroupSetup& group, const Prior& prior,
                              std::size_t frames_max) {
  bands_.start(prior);
  return run(setup, group, frames_max);
}

SampleRecords CellSample::run(const PredictorSetup& setup, const GroupSetup& group,
                              const PredictorState& image, std::size_t frames_max) {
  bands_.start(image.mean.data(), nullptr, image.frames);
  return run(setup, group, frames_max);
}

SampleRecords CellSample::run(const PredictorSetup& setup, const GroupSetup& group, std::size_t frames_max) {
  PredictorSetup image;
  image.levels.level_bits = 32;
  image.up = setup.up;
  image.down = kSymbolBits;
  SampleRecords records;
  bands_.run({image, group}, frames_max, records);
  for (std::uint32_t& level : records.level) level &= (1u << kSymbolBits) - 1;
  return records;
}

}  // namespace ff::kernels::reference
