// SPDX-License-Identifier: Apache-2.0
//
// Phase bands: which rows are looked at, their past, and level 1 of their samples.
#include "kernels/reference/plan_bands.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernels/reference/predict.hpp"

namespace ff::kernels::reference {
namespace {

constexpr std::uint32_t kBandRows = 4;  // plane rows: eight rows of the tile

// The pixel itself, its edges, its diagonals.
constexpr std::array<PhaseOffset, 9> kAround{
    {{0, 0}, {-1, 0}, {1, 0}, {0, -1}, {0, 1}, {-1, -1}, {-1, 1}, {1, -1}, {1, 1}}};
constexpr std::size_t kEdges = 1, kDiagonals = 5;  // the first of four

}  // namespace

PhaseBands::PhaseBands(const FrameShape& tile, const PredictorSetup& setup, const GroupSetup& group,
                       const LevelCodec& codec, const MaskMap* mask, std::size_t pixels_wanted)
    : tile_(tile), setup_(setup), group_(group), reader_(tile, setup, codec, mask), pyramid_(tile) {
  const std::uint32_t plane_rows = (tile.rows + 1) / 2;
  const std::size_t band_pixels = std::size_t{2} * kBandRows * tile.cols;
  const std::size_t wanted = std::max<std::size_t>(pixels_wanted / band_pixels, 2);
  const bool whole = 2 * wanted * kBandRows >= plane_rows || setup.phases.later_levels > 1;
  const std::uint32_t height = whole ? plane_rows : kBandRows;
  const std::size_t count = whole ? 1 : wanted;
  for (std::size_t i = 0; i < count; ++i) bands_.push_back(make_band(i, count, height));
  ratio_256_ = std::uint64_t{plane_rows} * 256 / (count * height);
  for (std::size_t k = 0; k < kPhases; ++k) {
    const std::uint32_t rows = bands_.back().at(k, bands_.back().bottom[k]);
    for (Planes* planes : {&mean_, &fast_, &last_, &scale_}) (*planes)[k] = PaddedPlane(rows, phase_cols(k));
    image_.resize(k, rows, phase_cols(k));
  }
}

// The next of `count` bands spread evenly, behind the rows of the one before.
PhaseBands::Band PhaseBands::make_band(std::size_t index, std::size_t count,
                                       std::uint32_t height) const noexcept {
  const std::uint32_t plane_rows = (tile_.rows + 1) / 2, halo = setup_.phases.wide ? 2 : 1;
  Band band;
  band.first = static_cast<std::uint32_t>((2 * index + 1) * (plane_rows - height) / (2 * count));
  band.last = band.first + height;
  for (std::size_t k = 0; k < kPhases; ++k) {
    band.top[k] = std::min(band.first > halo ? band.first - halo : 0, phase_rows(k) - 1);
    band.bottom[k] = std::min(band.last + halo, phase_rows(k));
    band.offset[k] = bands_.empty() ? 0 : bands_.back().at(k, bands_.back().bottom[k]);
  }
  return band;
}

const std::uint16_t* PhaseBands::row(const Planes& planes, const Band& band, std::size_t phase,
                                     std::int64_t y, bool inner) const noexcept {
  const std::int64_t top = inner ? band.first : band.top[phase];
  const std::int64_t bottom = inner ? measured_end(band, phase) : band.bottom[phase];
  const std::int64_t at = std::clamp(y, std::min(top, bottom - 1), bottom - 1);
  return planes[phase].row(band.at(phase, static_cast<std::uint32_t>(at)));
}

void PhaseBands::start(const PhaseState& state, std::uint32_t frames_before) {
  frames_ = frames_before;
  for (const Band& band : bands_) {
    for (std::size_t k = 0; k < kPhases; ++k) {
      for (std::uint32_t y = band.top[k]; y < band.bottom[k]; ++y) {
        const std::uint32_t to = band.at(k, y);
        const auto copy = [&](const PaddedPlane& source, PaddedPlane& target) {
          std::memcpy(target.row(to), source.row(y), std::size_t{2} * target.cols());
          replicate_borders(target, to);
        };
        copy(state.planes[k].mean, mean_[k]);
        copy(state.planes[k].fast, fast_[k]);
        copy(state.planes[k].last, last_[k]);
        copy(state.planes[k].scale, scale_[k]);
      }
    }
  }
}

unsigned PhaseBands::levels() const noexcept {
  return frames_ == 0 ? setup_.phases.key_levels : setup_.phases.later_levels;
}

void PhaseBands::read(const FrameView& frame) {
  for (const Band& band : bands_) {
    for (std::size_t k = 0; k < kPhases; ++k) {
      const PhasePlaneShape plane = phase_plane(tile_.rows, tile_.cols, 1, k);
      for (std::uint32_t y = band.top[k]; y < band.bottom[k]; ++y) {
        const std::uint32_t to = band.at(k, y);
        reader_.read_row(frame, plane, y, past() ? mean_[k].row(to) : nullptr, image_, to);
      }
    }
  }
  if (levels() > 1) pyramid_.read(frame, levels(), reader_);
}

void PhaseBands::sample(std::size_t index, PlaneSample& out) const {
  const PhasePlaneShape plane = phase_plane(tile_.rows, tile_.cols, levels(), index);
  const std::size_t features = mix_features(plane, past(), setup_.phases.wide);
  if (plane.level == 1) {
    std::size_t rows = 0;
    for (const Band& band : bands_) {
      const std::uint32_t end = measured_end(band, static_cast<std::size_t>(plane.phase));
      rows += end > band.first ? end - band.first : 0;
    }
    out.resize(rows, plane.cols, features);
    sample_band_plane(plane, out);
  } else {
    out.resize(plane.rows, plane.cols, features);
    if (past()) sample_past_above(plane, out);
    pyramid_.sample(plane, past() ? kHistoryFeatures : 0, out);
  }
  finish_sample(plane, past(), setup_.up, out);
}

void PhaseBands::sample_band_plane(const PhasePlaneShape& plane, PlaneSample& out) const {
  const auto k = static_cast<std::size_t>(plane.phase);
  std::size_t at = 0;
  for (const Band& band : bands_) {
    for (std::uint32_t y = band.first; y < measured_end(band, k); ++y, at += out.pitch) {
      const auto near = [&](const Planes& planes, PhaseOffset offset, bool inner) {
        const NeighbourStep step = step_from(k, offset);
        return row(planes, band, step.phase, std::int64_t{y} + step.row, inner) + step.col;
      };
      if (past()) sample_past_row(band, k, y, at, out);
      sample_neighbours(
          plane, at, past() ? kHistoryFeatures : 0,
          [&](PhaseOffset offset) { return near(image_.seen, offset, false); },
          [&](PhaseOffset offset) { return near(image_.miss, offset, true); }, out);
      sample_targets(image_, k, band.at(k, y), at, out);
    }
  }
}

// Features of the past: block.md §6.7.
void PhaseBands::sample_past_row(const Band& band, std::size_t phase, std::uint32_t y, std::size_t at,
                                 PlaneSample& out) const {
  const auto copy = [&](const Planes& planes, std::vector<std::int16_t>& to) {
    std::memcpy(&to[at], row(planes, band, phase, y), 2 * out.pitch);
  };
  const auto mean4 = [&](const Planes& planes, std::size_t first, std::int16_t* to, bool inner = false) {
    const auto near = [&](std::size_t i) {
      const NeighbourStep step = step_from(phase, kAround[first + i]);
      return row(planes, band, step.phase, std::int64_t{y} + step.row, inner) + step.col;
    };
    loops_.average4(near(0), near(1), near(2), near(3), out.pitch, to);
  };
  copy(mean_, out.features[0]);
  copy(fast_, out.features[1]);
  copy(last_, out.features[2]);
  mean4(mean_, kEdges, &out.features[3][at]);
  mean4(mean_, kDiagonals, &out.features[4][at]);
  mean4(last_, kEdges, &out.features[5][at]);
  mean4(last_, kDiagonals, &out.features[6][at]);
  copy(scale_, out.scale_features[0]);
  std::int16_t *edges = &out.scale_features[1][at], *diagonals = &out.spread[at];  // which is filled last
  mean4(scale_, kEdges, edges, true);
  mean4(scale_, kDiagonals, diagonals, true);
  loops_.average2(edges, diagonals, out.pitch, edges);
}

// The past of a plane above level 1 lies in the phase ee of level 1, and its neighbours in the other phases; the
// only band is the whole tile.
void PhaseBands::sample_past_above(const PhasePlaneShape& plane, PlaneSample& out) const {
  const Band& band = bands_.front();
  using Rows = std::array<const std::uint16_t*, kAround.size()>;
  const auto mean4 = [](const Rows& rows, std::size_t first, std::size_t c) {
    return average(average(rows[first][c], rows[first + 1][c]),
                   average(rows[first + 2][c], rows[first + 3][c]));
  };
  for (std::uint32_t y = 0; y < plane.rows; ++y) {
    const std::int64_t r = (plane.row_first + y * plane.step) / 2;
    const auto rows_of = [&](const Planes& planes) {
      Rows rows{};
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const NeighbourStep step = step_from(0, kAround[i]);
        rows[i] = row(planes, band, step.phase, r + step.row) + step.col;
      }
      return rows;
    };
    const Rows mean = rows_of(mean_), last = rows_of(last_), scale = rows_of(scale_);
    const std::uint16_t* fast = row(fast_, band, 0, r);
    for (std::uint32_t x = 0; x < plane.cols; ++x) {
      const std::size_t at = y * out.pitch + x, c = (plane.col_first + std::size_t{x} * plane.step) / 2;
      const std::int32_t mean_edges = mean4(mean, kEdges, c), mean_diagonals = mean4(mean, kDiagonals, c);
      const std::int32_t last_edges = mean4(last, kEdges, c), last_diagonals = mean4(last, kDiagonals, c);
      const std::array<std::int32_t, kHistoryFeatures> history{
          mean[0][c], fast[c], last[0][c], mean_edges, mean_diagonals, last_edges, last_diagonals};
      for (std::size_t j = 0; j < kHistoryFeatures; ++j)
        out.features[j][at] = static_cast<std::int16_t>(history[j]);
      out.scale_features[0][at] = static_cast<std::int16_t>(scale[0][c]);
      out.scale_features[1][at] =
          static_cast<std::int16_t>(average(mean4(scale, kEdges, c), mean4(scale, kDiagonals, c)));
    }
  }
}

void PhaseBands::settle(std::size_t index, PlaneSample& out) {
  const PhasePlaneShape plane = phase_plane(tile_.rows, tile_.cols, levels(), index);
  const auto k = static_cast<std::size_t>(plane.phase);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::int16_t seen_here = out.live[i] != 0 ? out.target[i] : out.expected[i];
    out.target[i] = seen_here;
    out.miss[i] = static_cast<std::int16_t>(std::abs(seen_here - out.expected[i]));
  }
  if (plane.level > 1) {
    pyramid_.settle(plane, out);
    if (plane.level == 2 && plane.phase == Phase::oe) take_pyramid();
    return;
  }
  std::size_t at = 0;
  for (const Band& band : bands_) {
    for (std::uint32_t y = band.first; y < measured_end(band, k); ++y, at += out.pitch)
      store_settled(out, at, k, band.at(k, y), image_);
  }
}

void PhaseBands::take_pyramid() {
  for (const Band& band : bands_) {
    for (std::uint32_t y = band.top[0]; y < band.bottom[0]; ++y)
      pyramid_.merge_first_level(y, image_, band.at(0, y));
  }
}

void PhaseBands::learn() {
  const std::int32_t mean_gain = frames_ == 0 ? 0 : gain(frames_, group_.mean_frames);
  const std::int32_t fast_gain = frames_ == 0 ? 0 : gain(frames_, group_.fast_frames);
  const std::int32_t scale_gain = frames_ == 0 ? 0 : gain(frames_, group_.scale_frames);
  for (std::size_t k = 0; k < kPhases; ++k) {
    const std::uint32_t cols = phase_cols(k);
    for (std::uint32_t y = 0; y < image_.seen[k].rows(); ++y) {
      std::uint16_t *m = mean_[k].row(y), *e = fast_[k].row(y), *d = scale_[k].row(y);
      const std::uint16_t *now = image_.seen[k].row(y), *missed = image_.miss[k].row(y);
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
      for (PaddedPlane* plane : {&mean_[k], &fast_[k], &scale_[k], &last_[k]}) replicate_borders(*plane, y);
    }
  }
  frames_ = std::min(frames_ + 1, kWindowFramesMax);
}

}  // namespace ff::kernels::reference
