// SPDX-License-Identifier: Apache-2.0
//
// Band sample: the predictor of predict.hpp over rows, with band edges treated as tile borders.
#include "kernels/reference/plan_sample.hpp"

#include <algorithm>
#include <cstring>
#include <span>

#include "kernels/format/prior.hpp"
#include "kernels/reference/plan_loops.hpp"
#include "kernels/reference/predict.hpp"

namespace ff::kernels::reference {
namespace {

constexpr std::uint32_t kBandRows = 2;

}  // namespace

void SampleRecords::append(const std::uint16_t* keys, const std::uint16_t* expectations,
                           const std::uint32_t* levels, const std::uint8_t* masked, std::size_t count) {
  std::size_t to = level.size();
  bucket.resize(to + count);
  expected.resize(to + count);
  level.resize(to + count);
  plan_loops().buckets(keys, count, &bucket[to]);
  std::memcpy(&expected[to], expectations, count * sizeof(std::uint16_t));
  std::memcpy(&level[to], levels, count * sizeof(std::uint32_t));
  if (masked == nullptr) return;
  const std::size_t from = to;
  for (std::size_t i = 0; i < count; ++i) {
    bucket[to] = bucket[from + i];
    expected[to] = expectations[i];
    level[to] = levels[i];
    to += masked[i] == 0 ? 1 : 0;
  }
  bucket.resize(to);
  expected.resize(to);
  level.resize(to);
}

BandSample::BandSample(const FrameShape& tile, std::size_t frames, std::size_t pixels_wanted,
                       std::size_t bands_min)
    : tile_(tile), frames_(frames) {
  const std::size_t band_pixels = std::size_t{kBandRows} * tile.cols * frames;
  const std::size_t bands_wanted =
      std::clamp<std::size_t>(pixels_wanted / band_pixels, bands_min, tile.rows / kBandRows + bands_min);
  const bool everything = bands_wanted * kBandRows >= tile.rows;
  const std::size_t bands = everything ? 1 : bands_wanted;
  for (std::size_t i = 0; i < bands; ++i) {
    Band band;
    band.rows = everything ? tile.rows : kBandRows;
    band.first = static_cast<std::uint32_t>((2 * i + 1) * (tile.rows - band.rows) / (2 * bands));
    band.top = band.first == 0 ? 0 : band.first - 1;
    band.height = std::min(band.first + band.rows + 1, tile.rows) - band.top;
    band.offset = plane_pixels_;
    plane_pixels_ += std::size_t{band.height} * tile.cols;
    bands_.push_back(band);
  }
}

std::uint64_t BandSample::ratio_256() const noexcept {
  std::uint64_t rows = 0;
  for (const Band& band : bands_) rows += band.rows;
  return std::uint64_t{tile_.rows} * 256 / rows;
}

void BandSample::read(GroupFrames frames, const LevelCodec& codec, const MaskMap* mask) {
  read([&](std::size_t t, std::uint32_t row,
           std::uint32_t* levels) { codec.levels_of_row(frames[t].row(row), tile_.cols, levels); },
       mask);
}

void BandSample::read(const FillRow& fill, const MaskMap* mask) {
  levels_.resize(plane_pixels_ * frames_);
  masked_.assign(plane_pixels_, 0);
  row_masked_.assign(plane_pixels_ / tile_.cols, 0);
  for (const Band& band : bands_) {
    for (std::uint32_t r = 0; r < band.height; ++r) {
      const std::size_t at = band.offset + std::size_t{r} * tile_.cols;
      for (std::size_t t = 0; t < frames_; ++t) fill(t, band.top + r, &levels_[t * plane_pixels_ + at]);
      if (mask == nullptr) continue;
      std::memcpy(&masked_[at], &mask->classes[std::size_t{band.top + r} * tile_.cols], tile_.cols);
      const auto classes = std::span(masked_).subspan(at, tile_.cols);
      row_masked_[at / tile_.cols] = std::ranges::any_of(classes, [](std::uint8_t c) { return c != 0; });
    }
  }
}

void BandSample::start(const std::uint16_t* mean, const std::uint16_t* scale, std::uint32_t frames_before) {
  mean_.assign(plane_pixels_, 0);
  scale_.assign(plane_pixels_, 0);
  frames_before_ = frames_before;
  for (const Band& band : bands_) {
    const std::size_t from = std::size_t{band.top} * tile_.cols,
                      pixels = std::size_t{band.height} * tile_.cols;
    if (mean != nullptr) std::copy_n(mean + from, pixels, &mean_[band.offset]);
    if (scale != nullptr) std::copy_n(scale + from, pixels, &scale_[band.offset]);
  }
}

void BandSample::start(const Prior& prior) {
  mean_.assign(plane_pixels_, 0);
  scale_.assign(plane_pixels_, 0);
  frames_before_ = prior.frames_weight;
  for (const Band& band : bands_) {
    const std::uint32_t end = band.top + band.height;
    expand_prior(prior.mean, prior.log2_block, tile_, band.top, end, &mean_[band.offset]);
    if (!prior.scale.empty())
      expand_prior(prior.scale, prior.log2_block, tile_, band.top, end, &scale_[band.offset]);
  }
}

const std::uint8_t* BandSample::hidden_row(const Band& band, std::uint32_t row) const noexcept {
  const std::size_t at = band.offset + std::size_t{row} * tile_.cols;
  return row_masked_[at / tile_.cols] != 0 ? &masked_[at] : nullptr;
}

void BandSample::smooth_row(const Band& band, std::uint32_t row, const std::uint16_t* plane,
                            std::uint32_t smoothing, std::uint16_t* vertical, std::uint16_t* out) const {
  const std::size_t cols = tile_.cols, at = band.offset + row * cols;
  const std::size_t above = row > 0 ? at - cols : at, below = row + 1 < band.height ? at + cols : at;
  SmoothRows rows{plane + above, plane + at, plane + below};
  const bool hidden =
      row_masked_[above / cols] != 0 || row_masked_[at / cols] != 0 || row_masked_[below / cols] != 0;
  if (hidden)
    rows.hidden_up = &masked_[above], rows.hidden = &masked_[at], rows.hidden_down = &masked_[below];
  plan_loops().smooth(rows, smoothing, cols, vertical, out);
}

void BandSample::run_band_frame(const Band& band, std::size_t frame, const TrialSetup& trial,
                                std::vector<std::uint16_t>& mean, std::vector<std::uint16_t>& scale,
                                Scratch& scratch, SampleRecords& out) const {
  const bool by_scale = trial.setup.source == ContextSource::scale;
  const std::uint32_t frames_seen =
      std::min<std::uint32_t>(frames_before_ + static_cast<std::uint32_t>(frame), kWindowFramesMax);
  const LearnRule rule{trial.setup.up, trial.setup.down, trial.setup.levels.first_sentinel_level() - 1,
                       gain(frames_seen, trial.group.mean_frames),
                       gain(frames_seen, trial.group.scale_frames)};
  const std::size_t cols = tile_.cols;
  // Expectations of all rows first: rows learn in place.
  for (std::uint32_t row = 0; row < band.height; ++row) {
    const std::uint32_t tile_row = band.top + row;
    const bool measured = tile_row >= band.first && tile_row < band.first + band.rows;
    if (!measured && !by_scale) continue;
    std::uint16_t* expected = &scratch.expected[row * cols];
    smooth_row(band, row, mean.data(), trial.group.smoothing, scratch.vertical.data(), expected);
    if (!measured) continue;
    const std::uint16_t* key = expected;
    if (by_scale) {
      key = scratch.key.data();
      smooth_row(band, row, scale.data(), trial.group.scale_smoothing, scratch.vertical.data(),
                 scratch.key.data());
    }
    const std::size_t at = band.offset + row * cols;
    out.append(key, expected, &levels_[frame * plane_pixels_ + at], hidden_row(band, row), cols);
  }
  for (std::uint32_t row = 0; row < band.height; ++row) {
    const std::size_t at = band.offset + row * cols;
    plan_loops().learn_levels(rule, &levels_[frame * plane_pixels_ + at], hidden_row(band, row),
                              &scratch.expected[row * cols], cols, &mean[at],
                              by_scale ? &scale[at] : nullptr);
  }
}

void BandSample::run(const TrialSetup& trial, std::size_t frames_max, SampleRecords& out) const {
  std::vector<std::uint16_t> mean = mean_, scale = scale_;
  std::uint32_t height = 0;
  for (const Band& band : bands_) height = std::max(height, band.height);
  Scratch scratch;
  scratch.vertical.resize(tile_.cols + 2);
  scratch.key.resize(tile_.cols);
  scratch.expected.resize(std::size_t{height} * tile_.cols);
  for (std::size_t t = 0; t < std::min(frames_max, frames_); ++t) {
    for (const Band& band : bands_) run_band_frame(band, t, trial, mean, scale, scratch, out);
  }
}

}  // namespace ff::kernels::reference
