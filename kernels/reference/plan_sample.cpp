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

std::size_t BandSample::measured_pixels() const noexcept {
  std::size_t rows = 0;
  for (const Band& band : bands_) rows += band.rows;
  return rows * tile_.cols;
}

std::uint64_t BandSample::ratio_256() const noexcept { return tile_.pixels() * 256 / measured_pixels(); }

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

const std::uint8_t* BandSample::hidden_rows(const Band& band, std::uint32_t first,
                                            std::uint32_t rows) const noexcept {
  const std::size_t at = band.offset / tile_.cols + first;
  const bool any =
      std::ranges::any_of(std::span(row_masked_).subspan(at, rows), [](auto m) { return m != 0; });
  return any ? &masked_[at * tile_.cols] : nullptr;
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
  const std::uint32_t measured = band.first - band.top, measured_end = measured + band.rows;
  // Expectations of all rows first: rows learn in place. Only the scale learns from those that are not measured.
  for (std::uint32_t row = by_scale ? 0 : measured; row < (by_scale ? band.height : measured_end); ++row)
    smooth_row(band, row, mean.data(), trial.group.smoothing, scratch.vertical.data(),
               &scratch.expected[row * cols]);
  const std::uint16_t* keys = &scratch.expected[measured * cols];
  if (by_scale) {
    for (std::uint32_t row = measured; row < measured_end; ++row)
      smooth_row(band, row, scale.data(), trial.group.scale_smoothing, scratch.vertical.data(),
                 &scratch.key[(row - measured) * cols]);
    keys = scratch.key.data();
  }
  const std::uint32_t* levels = &levels_[frame * plane_pixels_ + band.offset];
  out.append(keys, &scratch.expected[measured * cols], levels + measured * cols,
             hidden_rows(band, measured, band.rows), band.rows * cols);
  plan_loops().learn_levels(rule, levels, hidden_rows(band, 0, band.height), scratch.expected.data(),
                            band.height * cols, &mean[band.offset], by_scale ? &scale[band.offset] : nullptr);
}

void BandSample::run(const TrialSetup& trial, std::size_t frames_max, SampleRecords& out) const {
  out.reserve(out.size() + std::min(frames_max, frames_) * measured_pixels());
  std::vector<std::uint16_t> mean = mean_, scale = scale_;
  std::uint32_t height = 0;
  for (const Band& band : bands_) height = std::max(height, band.height);
  Scratch scratch;
  scratch.vertical.resize(tile_.cols + 2);
  scratch.key.resize(std::size_t{height} * tile_.cols);
  scratch.expected.resize(std::size_t{height} * tile_.cols);
  for (std::size_t t = 0; t < std::min(frames_max, frames_); ++t) {
    for (const Band& band : bands_) run_band_frame(band, t, trial, mean, scale, scratch, out);
  }
}

}  // namespace ff::kernels::reference
