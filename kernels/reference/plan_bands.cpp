// SPDX-License-Identifier: Apache-2.0
//
// Phase bands: reading, features, settling and learning, row by row.
#include "kernels/reference/plan_bands.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernels/reference/predict.hpp"

namespace ff::kernels::reference {
namespace {

constexpr std::uint32_t kBandRows = 4;  // plane rows: eight rows of the tile

std::size_t padded(std::size_t cols) noexcept { return (cols + 31) / 32 * 32; }

void replicate(std::uint16_t* row, std::uint32_t cols) noexcept {
  row[-1] = row[-2] = row[0];
  row[cols] = row[cols + 1] = row[cols - 1];
}

// A neighbour at (row, col) in units of the level's distance: its phase, and where its plane has it.
struct Step {
  std::size_t phase = 0;
  std::int32_t y = 0, x = 0;
};
Step step_from(std::size_t phase, std::int32_t row, std::int32_t col) noexcept {
  const std::int32_t a = phase == 1 || phase == 3 ? 1 : 0, b = phase == 1 || phase == 2 ? 1 : 0;
  const std::int32_t r = a + row, c = b + col;
  const bool odd_row = (r & 1) != 0, odd_col = (c & 1) != 0;
  return {static_cast<std::size_t>(odd_row ? (odd_col ? 1 : 3) : (odd_col ? 2 : 0)), r >> 1, c >> 1};
}

const std::uint16_t* image_row(const PaddedPlane& plane, std::int64_t y) noexcept {
  return plane.row(static_cast<std::uint32_t>(std::clamp<std::int64_t>(y, 0, plane.rows() - 1)));
}

}  // namespace

void PlaneSample::resize(std::size_t row_count, std::size_t col_count, std::size_t feature_count) {
  rows = row_count;
  cols = col_count;
  pitch = padded(col_count);
  features.resize(feature_count);
  for (auto& feature : features) feature.resize(size());
  scale_features.resize(3);
  for (auto& feature : scale_features) feature.resize(size());
  for (auto* row : {&target, &spread, &reference, &expected, &miss, &scale}) row->resize(size());
  live.assign(size(), 0);
  coded.assign(size(), 0);
  levels.resize(size());
}

PhaseBands::PhaseBands(const FrameShape& tile, const PredictorSetup& setup, const GroupSetup& group,
                       const LevelCodec& codec, const MaskMap* mask, std::size_t pixels_wanted)
    : tile_(tile), setup_(setup), group_(group), codec_(codec), mask_(mask), level_row_(tile.cols + 1) {
  const std::uint32_t plane_rows = (tile.rows + 1) / 2;
  const std::size_t band_pixels = std::size_t{2} * kBandRows * tile.cols;
  const std::size_t wanted = std::max<std::size_t>(pixels_wanted / band_pixels, 2);
  whole_ = 2 * wanted * kBandRows >= plane_rows || setup.phases.later_levels > 1;
  const std::size_t count = whole_ ? 1 : wanted;
  std::array<std::uint32_t, kPhases> rows{};
  const std::uint32_t halo = setup.phases.wide ? 2 : 1;
  std::uint64_t measured = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Band band;
    const std::uint32_t height = whole_ ? plane_rows : kBandRows;
    band.first = static_cast<std::uint32_t>((2 * i + 1) * (plane_rows - height) / (2 * count));
    band.last = band.first + height;
    measured += height;
    for (std::size_t k = 0; k < kPhases; ++k) {
      band.top[k] = std::min(band.first > halo ? band.first - halo : 0, phase_rows(k) - 1);
      band.bottom[k] = std::min(band.last + halo, phase_rows(k));
      band.offset[k] = rows[k];
      rows[k] += band.bottom[k] - band.top[k];
    }
    bands_.push_back(band);
  }
  ratio_256_ = std::uint64_t{plane_rows} * 256 / measured;
  for (std::size_t k = 0; k < kPhases; ++k) {
    for (Planes* planes : {&mean_, &fast_, &last_, &scale_, &seen_, &miss_})
      (*planes)[k] = PaddedPlane(rows[k], phase_cols(k));
    levels_[k].resize(std::size_t{rows[k]} * phase_cols(k));
    coded_[k].assign(levels_[k].size(), 1);
  }
}

const std::uint16_t* PhaseBands::row(const Planes& planes, const Band& band, std::size_t phase,
                                     std::int64_t y, bool inner) const noexcept {
  const std::int64_t top = inner ? band.first : band.top[phase];
  const std::int64_t bottom = inner ? measured_end(band, phase) : band.bottom[phase];
  const std::int64_t at = std::clamp(y, std::min(top, bottom - 1), bottom - 1);
  return planes[phase].row(static_cast<std::uint32_t>(band.offset[phase] + at - band.top[phase]));
}

void PhaseBands::start(const PhaseState& state, std::uint32_t frames_before) {
  frames_ = frames_before;
  for (const Band& band : bands_) {
    for (std::size_t k = 0; k < kPhases; ++k) {
      const PhasePlaneState& from = state.planes[k];
      const std::uint32_t cols = phase_cols(k);
      for (std::uint32_t y = band.top[k]; y < band.bottom[k]; ++y) {
        const std::uint32_t to = band.offset[k] + y - band.top[k];
        const auto copy = [&](const PaddedPlane& source, PaddedPlane& target) {
          std::memcpy(target.row(to), source.row(y), std::size_t{2} * cols);
          replicate(target.row(to), cols);
        };
        copy(from.mean, mean_[k]);
        copy(from.fast, fast_[k]);
        copy(from.last, last_[k]);
        copy(from.scale, scale_[k]);
      }
    }
  }
}

unsigned PhaseBands::levels() const noexcept {
  return frames_ == 0 ? setup_.phases.key_levels : setup_.phases.later_levels;
}

void PhaseBands::read(const FrameView& frame) {
  for (const Band& band : bands_) read_band(frame, band);
  if (levels() > 1) read_pyramid(frame);
}

void PhaseBands::read_band(const FrameView& frame, const Band& band) {
  const std::uint32_t sentinel = setup_.levels.first_sentinel_level();
  const bool sentinels = !setup_.levels.sentinels.empty();
  for (std::size_t k = 0; k < kPhases; ++k) {
    const PhasePlaneShape shape = phase_plane(tile_.rows, tile_.cols, 1, k);
    for (std::uint32_t y = band.top[k]; y < band.bottom[k]; ++y) {
      const std::uint32_t to = band.offset[k] + y - band.top[k], r = shape.row_first + 2 * y;
      codec_.levels_of_row(frame.row(r), tile_.cols, level_row_.data());
      const std::uint8_t* hidden = mask_ == nullptr ? nullptr : &mask_->classes[std::size_t{r} * tile_.cols];
      std::uint16_t* seen_row = seen_[k].row(to);
      const std::uint16_t* before = frames_ == 0 ? nullptr : mean_[k].row(to);
      std::uint16_t near = 0;
      for (std::uint32_t x = 0; x < shape.cols; ++x) {
        const std::uint32_t c = shape.col_first + 2 * x, level = level_row_[c];
        const std::size_t p = std::size_t{to} * shape.cols + x;
        const bool coded = hidden == nullptr || hidden[c] == 0;
        const bool live = coded && !(sentinels && level >= sentinel);
        levels_[k][p] = level;
        coded_[k][p] = static_cast<std::uint8_t>((coded ? 1 : 0) | (live ? 2 : 0));
        near = live ? static_cast<std::uint16_t>(seen(level, setup_)) : before != nullptr ? before[x] : near;
        seen_row[x] = near;
      }
      replicate(seen_row, shape.cols);
    }
  }
}

void PhaseBands::read_pyramid(const FrameView& frame) {
  const std::uint32_t sentinel = setup_.levels.first_sentinel_level();
  const bool sentinels = !setup_.levels.sentinels.empty();
  pyramid_.resize(levels() - 1);
  for (unsigned level = 2; level <= levels(); ++level) {
    PhaseImage& image = pyramid_[level - 2];
    const std::uint32_t distance = 1u << (level - 1);
    image.rows = (tile_.rows + distance - 1) / distance;
    image.cols = (tile_.cols + distance - 1) / distance;
    for (std::size_t k = 0; k < kPhases; ++k) {
      const PhasePlaneShape shape = phase_plane(tile_.rows, tile_.cols, level, k == 0 ? 0 : k);
      const std::uint32_t row_first = k == 1 || k == 3 ? distance : 0,
                          col_first = k == 1 || k == 2 ? distance : 0;
      const std::uint32_t rows = (tile_.rows - row_first + 2 * distance - 1) / (2 * distance);
      const std::uint32_t cols = (tile_.cols - col_first + 2 * distance - 1) / (2 * distance);
      (void)shape;
      image.seen[k] = PaddedPlane(rows, cols);
      image.miss[k] = PaddedPlane(rows, cols);
      image.levels[k].resize(std::size_t{rows} * cols);
      image.coded[k].resize(image.levels[k].size());
      for (std::uint32_t y = 0; y < rows; ++y) {
        const std::uint32_t r = row_first + 2 * distance * y;
        codec_.levels_of_row(frame.row(r), tile_.cols, level_row_.data());
        std::uint16_t near = 0;
        for (std::uint32_t x = 0; x < cols; ++x) {
          const std::uint32_t c = col_first + 2 * distance * x, value = level_row_[c];
          const bool coded = mask_ == nullptr || mask_->classes[std::size_t{r} * tile_.cols + c] == 0;
          const bool live = coded && !(sentinels && value >= sentinel);
          const std::size_t p = std::size_t{y} * cols + x;
          image.levels[k][p] = value;
          image.coded[k][p] = static_cast<std::uint8_t>((coded ? 1 : 0) | (live ? 2 : 0));
          near = live ? static_cast<std::uint16_t>(seen(value, setup_)) : near;
          image.seen[k].row(y)[x] = near;
        }
        replicate(image.seen[k].row(y), cols);
      }
    }
  }
}

void PhaseBands::sample(std::size_t index, PlaneSample& out) const {
  const PhasePlaneShape plane = phase_plane(tile_.rows, tile_.cols, levels(), index);
  const std::size_t features = mix_features(plane, past(), setup_.phases.wide);
  std::size_t rows = plane.rows;
  if (plane.level == 1) {
    rows = 0;
    for (const Band& band : bands_) {
      const std::uint32_t end = measured_end(band, static_cast<std::size_t>(plane.phase));
      rows += end > band.first ? end - band.first : 0;
    }
  }
  out.resize(rows, plane.cols, features);
  if (plane.level == 1) {
    sample_band_plane(plane, out);
  } else {
    sample_pyramid_plane(plane, out);
  }
  finish_sample(plane, out);
}

void PhaseBands::sample_band_plane(const PhasePlaneShape& plane, PlaneSample& out) const {
  const auto k = static_cast<std::size_t>(plane.phase);
  const std::size_t n = out.pitch;
  std::vector<std::int16_t> diagonal(n);
  std::size_t at = 0;
  for (const Band& band : bands_) {
    for (std::uint32_t y = band.first; y < measured_end(band, k); ++y, at += n) {
      const auto near = [&](const Planes& planes, std::int32_t dr, std::int32_t dc, bool inner = false) {
        const Step step = step_from(k, dr, dc);
        return row(planes, band, step.phase, std::int64_t{y} + step.y, inner) + step.x;
      };
      const auto edges = [&](const Planes& planes, std::int16_t* to, bool inner = false) {
        loops_.average4(near(planes, -1, 0, inner), near(planes, 1, 0, inner), near(planes, 0, -1, inner),
                        near(planes, 0, 1, inner), n, to);
      };
      const auto diagonals = [&](const Planes& planes, std::int16_t* to, bool inner = false) {
        loops_.average4(near(planes, -1, -1, inner), near(planes, -1, 1, inner), near(planes, 1, -1, inner),
                        near(planes, 1, 1, inner), n, to);
      };
      const auto copy = [&](const std::uint16_t* from, std::vector<std::int16_t>& to) {
        std::memcpy(&to[at], from, 2 * n);
      };
      std::size_t j = 0;
      if (past()) {
        copy(row(mean_, band, k, y), out.features[0]);
        copy(row(fast_, band, k, y), out.features[1]);
        copy(row(last_, band, k, y), out.features[2]);
        edges(mean_, &out.features[3][at]);
        diagonals(mean_, &out.features[4][at]);
        edges(last_, &out.features[5][at]);
        diagonals(last_, &out.features[6][at]);
        copy(row(scale_, band, k, y), out.scale_features[0]);
        edges(scale_, &out.scale_features[1][at], true);
        diagonals(scale_, diagonal.data(), true);
        loops_.average2(&out.scale_features[1][at], diagonal.data(), n, &out.scale_features[1][at]);
        j = kHistoryFeatures;
      }
      const PhaseNeighbours& around = kPhaseNeighbours[k];
      for (std::size_t i = 0; j < out.features.size(); ++i, ++j)
        copy(near(seen_, around.offsets[i].row, around.offsets[i].col), out.features[j]);
      if (!plane.first) {
        const auto miss = [&](std::size_t i) {
          return near(miss_, around.offsets[i].row, around.offsets[i].col, true);
        };
        loops_.average4(miss(0), miss(1), miss(2), miss(3), n, &out.scale_features[2][at]);
      }
      copy(row(seen_, band, k, y), out.target);
      const std::size_t from = std::size_t{band.offset[k] + y - band.top[k]} * plane.cols;
      for (std::size_t x = 0; x < plane.cols; ++x) {
        out.coded[at + x] = coded_[k][from + x] & 1;
        out.live[at + x] = coded_[k][from + x] >> 1;
        out.levels[at + x] = levels_[k][from + x];
      }
    }
  }
}

void PhaseBands::sample_pyramid_plane(const PhasePlaneShape& plane, PlaneSample& out) const {
  const auto k = static_cast<std::size_t>(plane.phase);
  const PhaseImage& image = pyramid_[plane.level - 2u];
  if (past()) sample_past_at(plane, out);
  for (std::uint32_t y = 0; y < plane.rows; ++y) {
    const std::size_t at = y * out.pitch;
    const auto near = [&](const std::array<PaddedPlane, kPhases>& planes, PhaseOffset offset) {
      const Step step = step_from(k, offset.row, offset.col);
      return image_row(planes[step.phase], std::int64_t{y} + step.y) + step.x;
    };
    const PhaseNeighbours& around = kPhaseNeighbours[k];
    std::size_t j = past() ? kHistoryFeatures : 0;
    for (std::size_t i = 0; j < out.features.size(); ++i, ++j)
      std::memcpy(&out.features[j][at], near(image.seen, around.offsets[i]), 2 * out.pitch);
    if (!plane.first) {
      const auto miss = [&](std::size_t i) { return near(image.miss, around.offsets[i]); };
      loops_.average4(miss(0), miss(1), miss(2), miss(3), out.pitch, &out.scale_features[2][at]);
    }
    std::memcpy(&out.target[at], image.seen[k].row(y), 2 * out.pitch);
    for (std::size_t x = 0; x < plane.cols; ++x) {
      const std::size_t p = std::size_t{y} * plane.cols + x;
      out.coded[at + x] = image.coded[k][p] & 1;
      out.live[at + x] = image.coded[k][p] >> 1;
      out.levels[at + x] = image.levels[k][p];
    }
  }
}

// The past of a plane above level 1 lies in the phase ee of level 1, and its neighbours in the other phases; the
// only band is the whole tile.
void PhaseBands::sample_past_at(const PhasePlaneShape& plane, PlaneSample& out) const {
  const Band& band = bands_.front();
  // The pixel itself, its edges, its diagonals.
  using Rows = std::array<const std::uint16_t*, 9>;
  constexpr std::array<PhaseOffset, 9> kAround{
      {{0, 0}, {-1, 0}, {1, 0}, {0, -1}, {0, 1}, {-1, -1}, {-1, 1}, {1, -1}, {1, 1}}};
  const auto mean4 = [](const Rows& rows, std::size_t first, std::size_t c) {
    return average(average(rows[first][c], rows[first + 1][c]),
                   average(rows[first + 2][c], rows[first + 3][c]));
  };
  for (std::uint32_t y = 0; y < plane.rows; ++y) {
    const std::int64_t r = (plane.row_first + y * plane.step) / 2;
    const auto rows_of = [&](const Planes& planes) {
      Rows rows{};
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const Step step = step_from(0, kAround[i].row, kAround[i].col);
        rows[i] = row(planes, band, step.phase, r + step.y) + step.x;
      }
      return rows;
    };
    const Rows mean = rows_of(mean_), last = rows_of(last_), scale = rows_of(scale_);
    const std::uint16_t* fast = row(fast_, band, 0, r);
    for (std::uint32_t x = 0; x < plane.cols; ++x) {
      const std::size_t at = y * out.pitch + x, c = (plane.col_first + std::size_t{x} * plane.step) / 2;
      const std::array<std::int32_t, kHistoryFeatures> history{
          mean[0][c],        fast[c],           last[0][c],       mean4(mean, 1, c),
          mean4(mean, 5, c), mean4(last, 1, c), mean4(last, 5, c)};
      for (std::size_t j = 0; j < kHistoryFeatures; ++j)
        out.features[j][at] = static_cast<std::int16_t>(history[j]);
      out.scale_features[0][at] = static_cast<std::int16_t>(scale[0][c]);
      out.scale_features[1][at] = static_cast<std::int16_t>(average(mean4(scale, 1, c), mean4(scale, 5, c)));
    }
  }
}

// The reference of the fit, and how far from it pixels may be expected to lie.
void PhaseBands::finish_sample(const PhasePlaneShape& plane, PlaneSample& out) const {
  const std::size_t n = out.size();
  const auto one = static_cast<std::int16_t>(1 << std::min<unsigned>(setup_.up, 14));
  if (past()) {
    out.reference = out.features[0];
    loops_.average2(out.scale_features[0].data(), out.scale_features[1].data(), n, out.spread.data());
  } else {
    std::ranges::fill(out.scale_features[0], std::int16_t{0});
    std::ranges::fill(out.scale_features[1], std::int16_t{0});
    if (plane.first) {
      std::ranges::fill(out.reference, std::int16_t{0});
      std::ranges::fill(out.spread, one);
    } else {
      const auto& f = out.features;
      for (std::size_t i = 0; i < n; ++i) {
        const std::int32_t a = f[0][i], b = f[1][i], c = f[2][i], d = f[3][i];
        const std::int32_t range =
            std::max(std::max(a, b), std::max(c, d)) - std::min(std::min(a, b), std::min(c, d));
        out.reference[i] = static_cast<std::int16_t>((a + b + c + d + 2) >> 2);
        out.spread[i] = static_cast<std::int16_t>(range * 2 / 5);
      }
    }
  }
  if (plane.first) std::ranges::fill(out.scale_features[2], std::int16_t{0});
}

void PhaseBands::settle(std::size_t index, PlaneSample& out) {
  const PhasePlaneShape plane = phase_plane(tile_.rows, tile_.cols, levels(), index);
  const auto k = static_cast<std::size_t>(plane.phase);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::int16_t seen_here = out.live[i] != 0 ? out.target[i] : out.expected[i];
    out.target[i] = seen_here;
    out.miss[i] = static_cast<std::int16_t>(std::abs(seen_here - out.expected[i]));
  }
  if (plane.level > 1) return settle_upper(plane, out);
  std::size_t at = 0;
  for (const Band& band : bands_) {
    for (std::uint32_t y = band.first; y < measured_end(band, k); ++y, at += out.pitch) {
      const std::uint32_t to = band.offset[k] + y - band.top[k];
      std::memcpy(seen_[k].row(to), &out.target[at], std::size_t{2} * plane.cols);
      std::memcpy(miss_[k].row(to), &out.miss[at], std::size_t{2} * plane.cols);
      replicate(seen_[k].row(to), plane.cols);
      replicate(miss_[k].row(to), plane.cols);
    }
  }
}

void PhaseBands::settle_upper(const PhasePlaneShape& plane, PlaneSample& out) {
  const auto k = static_cast<std::size_t>(plane.phase);
  PhaseImage& image = pyramid_[plane.level - 2u];
  for (std::uint32_t y = 0; y < plane.rows; ++y) {
    std::memcpy(image.seen[k].row(y), &out.target[y * out.pitch], std::size_t{2} * plane.cols);
    std::memcpy(image.miss[k].row(y), &out.miss[y * out.pitch], std::size_t{2} * plane.cols);
    replicate(image.seen[k].row(y), plane.cols);
    replicate(image.miss[k].row(y), plane.cols);
  }
  if (plane.phase == Phase::oe) lower_top(plane.level);
}

// A settled level is the ee plane of the one below it.
void PhaseBands::lower_top(unsigned level) {
  const PhaseImage& image = pyramid_[level - 2];
  const auto pixel = [](const std::array<PaddedPlane, kPhases>& planes, std::uint32_t r, std::uint32_t c) {
    const std::size_t phase = r % 2 == 0 ? (c % 2 == 0 ? 0 : 2) : (c % 2 == 0 ? 3 : 1);
    return planes[phase].row(r / 2)[c / 2];
  };
  if (level > 2) {
    PhaseImage& below = pyramid_[level - 3];
    for (std::uint32_t y = 0; y < below.seen[0].rows(); ++y) {
      for (std::uint32_t x = 0; x < below.seen[0].cols(); ++x) {
        below.seen[0].row(y)[x] = pixel(image.seen, y, x);
        below.miss[0].row(y)[x] = pixel(image.miss, y, x);
      }
      replicate(below.seen[0].row(y), below.seen[0].cols());
      replicate(below.miss[0].row(y), below.miss[0].cols());
    }
    return;
  }
  for (const Band& band : bands_) {
    for (std::uint32_t y = band.top[0]; y < band.bottom[0]; ++y) {
      const std::uint32_t to = band.offset[0] + y - band.top[0];
      for (std::uint32_t x = 0; x < phase_cols(0); ++x) {
        seen_[0].row(to)[x] = pixel(image.seen, y, x);
        miss_[0].row(to)[x] = pixel(image.miss, y, x);
      }
      replicate(seen_[0].row(to), phase_cols(0));
      replicate(miss_[0].row(to), phase_cols(0));
    }
  }
}

void PhaseBands::learn() {
  const std::int32_t mean_gain = frames_ == 0 ? 0 : gain(frames_, group_.mean_frames);
  const std::int32_t fast_gain = frames_ == 0 ? 0 : gain(frames_, group_.fast_frames);
  const std::int32_t scale_gain = frames_ == 0 ? 0 : gain(frames_, group_.scale_frames);
  for (std::size_t k = 0; k < kPhases; ++k) {
    const std::uint32_t cols = phase_cols(k);
    for (std::uint32_t y = 0; y < seen_[k].rows(); ++y) {
      std::uint16_t *m = mean_[k].row(y), *e = fast_[k].row(y), *d = scale_[k].row(y);
      const std::uint16_t *now = seen_[k].row(y), *missed = miss_[k].row(y);
      if (frames_ == 0) {
        std::memcpy(m, now, std::size_t{2} * cols);
        std::memcpy(e, now, std::size_t{2} * cols);
        std::memcpy(d, missed, std::size_t{2} * cols);
      } else {
        loops_.learn(m, now, mean_gain, cols);
        loops_.learn(e, now, fast_gain, cols);
        loops_.learn(d, missed, scale_gain, cols);
      }
      std::memcpy(last_[k].row(y), now, std::size_t{2} * cols);
      for (std::uint16_t* state : {m, e, d, last_[k].row(y)}) replicate(state, cols);
    }
  }
  frames_ = std::min(frames_ + 1, kWindowFramesMax);
}

}  // namespace ff::kernels::reference
