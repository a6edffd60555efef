// SPDX-License-Identifier: Apache-2.0
//
// Band sample: the predictor of predict.hpp over rows, with band edges treated as tile borders.
#include "kernels/reference/plan_sample.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/format/prior.hpp"
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
  for (std::size_t i = 0; i < count; ++i) {
    bucket[to] = static_cast<std::uint8_t>(bucket_of(keys[i]));
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
  any_masked_ = mask != nullptr;
  for (const Band& band : bands_) {
    for (std::uint32_t r = 0; r < band.height; ++r) {
      const std::size_t at = band.offset + std::size_t{r} * tile_.cols;
      for (std::size_t t = 0; t < frames_; ++t) fill(t, band.top + r, &levels_[t * plane_pixels_ + at]);
      if (mask != nullptr)
        std::memcpy(&masked_[at], &mask->classes[std::size_t{band.top + r} * tile_.cols], tile_.cols);
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

namespace {

// A row without masked pixels around it: loops that become vectors.
void smooth_plain_row(const std::uint16_t* up, const std::uint16_t* centre, const std::uint16_t* down,
                      std::size_t cols, std::int32_t smoothing, std::uint16_t* vertical,
                      std::uint16_t* out) noexcept {
  for (std::size_t i = 0; i < cols; ++i)
    vertical[i + 1] = static_cast<std::uint16_t>(average(average(up[i], down[i]), centre[i]));
  vertical[0] = vertical[1];
  vertical[cols + 1] = vertical[cols];
  for (std::size_t i = 0; i < cols; ++i) {
    const std::int32_t filtered = average(average(vertical[i], vertical[i + 2]), vertical[i + 1]);
    out[i] = static_cast<std::uint16_t>(centre[i] + scaled(filtered - centre[i], smoothing));
  }
}

}  // namespace

void BandSample::smooth_row(const Band& band, std::uint32_t row, const std::uint16_t* plane,
                            std::uint32_t smoothing, std::vector<std::uint16_t>& vertical,
                            std::vector<std::uint16_t>& out) const {
  const std::uint32_t cols = tile_.cols;
  const std::size_t at = band.offset + std::size_t{row} * cols;
  const std::uint16_t* centre = plane + at;
  const bool has_up = row > 0, has_down = row + 1 < band.height;
  const std::uint16_t* up = has_up ? centre - cols : centre;
  const std::uint16_t* down = has_down ? centre + cols : centre;
  if (!any_masked_) {
    return smooth_plain_row(up, centre, down, cols, static_cast<std::int32_t>(smoothing), vertical.data(),
                            out.data());
  }
  const std::uint8_t* hidden = &masked_[at];
  const std::uint8_t* hidden_up = has_up ? hidden - cols : hidden;
  const std::uint8_t* hidden_down = has_down ? hidden + cols : hidden;
  for (std::uint32_t i = 0; i < cols; ++i) {
    const std::int32_t above = hidden_up[i] != 0 ? centre[i] : up[i];
    const std::int32_t below = hidden_down[i] != 0 ? centre[i] : down[i];
    vertical[i + 1] = static_cast<std::uint16_t>(average(average(above, below), centre[i]));
  }
  vertical[0] = vertical[1];
  vertical[cols + 1] = vertical[cols];
  for (std::uint32_t i = 0; i < cols; ++i) {
    const std::int32_t own = vertical[i + 1];
    const std::int32_t left = i > 0 && hidden[i - 1] != 0 ? own : vertical[i];
    const std::int32_t right = i + 1 < cols && hidden[i + 1] != 0 ? own : vertical[i + 2];
    const std::int32_t filtered = average(average(left, right), own);
    out[i] = static_cast<std::uint16_t>(centre[i] +
                                        scaled(filtered - centre[i], static_cast<std::int32_t>(smoothing)));
  }
}

void BandSample::run_band_frame(const Band& band, std::size_t frame, const TrialSetup& trial,
                                std::vector<std::uint16_t>& mean, std::vector<std::uint16_t>& scale,
                                Scratch& scratch, SampleRecords& out) const {
  const bool by_scale = trial.setup.source == ContextSource::scale;
  const std::uint32_t frames_seen =
      std::min<std::uint32_t>(frames_before_ + static_cast<std::uint32_t>(frame), kWindowFramesMax);
  const std::int32_t mean_gain = gain(frames_seen, trial.group.mean_frames);
  const std::int32_t scale_gain = gain(frames_seen, trial.group.scale_frames);
  const std::uint64_t sentinels =
      (std::uint64_t{1} << trial.setup.levels.level_bits) - trial.setup.levels.sentinels.size();
  const std::size_t cols = tile_.cols;
  // Expectations of all rows first: rows learn in place.
  for (std::uint32_t row = 0; row < band.height; ++row) {
    smooth_row(band, row, mean.data(), trial.group.smoothing, scratch.vertical, scratch.key);
    std::copy_n(scratch.key.begin(), cols,
                scratch.expected.begin() + static_cast<std::ptrdiff_t>(row * cols));
    const std::uint32_t tile_row = band.top + row;
    if (tile_row < band.first || tile_row >= band.first + band.rows) continue;
    if (by_scale)
      smooth_row(band, row, scale.data(), trial.group.scale_smoothing, scratch.vertical, scratch.key);
    const std::size_t at = band.offset + row * cols;
    const std::uint32_t* levels = &levels_[frame * plane_pixels_ + at];
    out.append(scratch.key.data(), &scratch.expected[row * cols], levels, &masked_[at], cols);
  }
  const std::size_t pixels = band.height * cols;
  const std::uint32_t* levels = &levels_[frame * plane_pixels_ + band.offset];
  for (std::size_t i = 0; i < pixels; ++i) {
    if (masked_[band.offset + i] != 0 || levels[i] >= sentinels) continue;
    const std::int32_t now = seen(levels[i], trial.setup);
    std::uint16_t& m = mean[band.offset + i];
    m = static_cast<std::uint16_t>(m + scaled(now - m, mean_gain));
    if (!by_scale) continue;
    std::uint16_t& d = scale[band.offset + i];
    d = static_cast<std::uint16_t>(d + scaled(std::abs(now - scratch.expected[i]) - d, scale_gain));
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
