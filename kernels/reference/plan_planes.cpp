// SPDX-License-Identifier: Apache-2.0
//
// Planes for the planner: rows in, rows of samples out.
#include "kernels/reference/plan_planes.hpp"

#include <algorithm>

#include "kernels/reference/predict.hpp"

namespace ff::kernels::reference {

void PlaneSample::resize(std::size_t row_count, std::size_t col_count, std::size_t feature_count) {
  rows = row_count;
  cols = col_count;
  pitch = (col_count + 31) / 32 * 32;
  features.resize(feature_count);
  for (auto& feature : features) feature.resize(size());
  scale_features.resize(3);
  for (auto& feature : scale_features) feature.resize(size());
  for (auto* row : {&target, &spread, &reference, &expected, &miss, &scale}) row->resize(size());
  live.assign(size(), 0);
  coded.assign(size(), 0);
  levels.resize(size());
}

void PhaseImage::resize(std::size_t phase, std::uint32_t rows, std::uint32_t cols) {
  seen[phase] = PaddedPlane(rows, cols);
  miss[phase] = PaddedPlane(rows, cols);
  levels[phase].resize(std::size_t{rows} * cols);
  kinds[phase].resize(levels[phase].size());
}

void replicate_borders(PaddedPlane& plane, std::uint32_t row) noexcept {
  std::uint16_t* const cells = plane.row(row);
  const std::uint32_t cols = plane.cols();
  cells[-1] = cells[-2] = cells[0];
  cells[cols] = cells[cols + 1] = cells[cols - 1];
}

NeighbourStep step_from(std::size_t phase, PhaseOffset offset) noexcept {
  const std::int32_t row = (phase == 1 || phase == 3 ? 1 : 0) + offset.row;
  const std::int32_t col = (phase == 1 || phase == 2 ? 1 : 0) + offset.col;
  const bool odd_row = (row & 1) != 0, odd_col = (col & 1) != 0;
  return {static_cast<std::size_t>(odd_row ? (odd_col ? 1 : 3) : (odd_col ? 2 : 0)), row >> 1, col >> 1};
}

PlaneReader::PlaneReader(const FrameShape& tile, const PredictorSetup& setup, const LevelCodec& codec,
                         const MaskMap* mask)
    : setup_(setup), codec_(codec), mask_(mask), level_row_(tile.cols + 1) {}

void PlaneReader::read_row(const FrameView& frame, const PhasePlaneShape& plane, std::uint32_t y,
                           const std::uint16_t* before, PhaseImage& image, std::uint32_t to) {
  const std::uint32_t sentinel = setup_.levels.first_sentinel_level();
  const bool sentinels = !setup_.levels.sentinels.empty();
  const std::uint32_t r = plane.row_first + y * plane.step, cols = frame.shape.cols;
  codec_.levels_of_row(frame.row(r), cols, level_row_.data());
  const std::uint8_t* hidden = mask_ == nullptr ? nullptr : &mask_->classes[std::size_t{r} * cols];
  const auto k = static_cast<std::size_t>(plane.phase);
  std::uint32_t* levels = &image.levels[k][std::size_t{to} * plane.cols];
  std::uint8_t* kinds = &image.kinds[k][std::size_t{to} * plane.cols];
  std::uint16_t* seen_row = image.seen[k].row(to);
  std::uint16_t near = 0;
  for (std::uint32_t x = 0; x < plane.cols; ++x) {
    const std::uint32_t c = plane.col_first + x * plane.step, level = level_row_[c];
    const bool coded = hidden == nullptr || hidden[c] == 0;
    const bool live = coded && !(sentinels && level >= sentinel);
    levels[x] = level;
    kinds[x] = static_cast<std::uint8_t>((coded ? PhaseImage::kCoded : 0) | (live ? PhaseImage::kLive : 0));
    near = live ? static_cast<std::uint16_t>(seen(level, setup_)) : before != nullptr ? before[x] : near;
    seen_row[x] = near;
  }
  replicate_borders(image.seen[k], to);
}

void sample_targets(const PhaseImage& image, std::size_t phase, std::uint32_t from, std::size_t at,
                    PlaneSample& out) {
  std::memcpy(&out.target[at], image.seen[phase].row(from), 2 * out.pitch);
  const std::size_t first = from * out.cols;
  for (std::size_t x = 0; x < out.cols; ++x) {
    out.coded[at + x] = image.kinds[phase][first + x] & PhaseImage::kCoded;
    out.live[at + x] = image.kinds[phase][first + x] / PhaseImage::kLive;
    out.levels[at + x] = image.levels[phase][first + x];
  }
}

namespace {

// Of a frame without a past: coded neighbours are all there is.
void expect_by_neighbours(std::int16_t level, bool first, PlaneSample& out) {
  std::ranges::fill(out.scale_features[0], std::int16_t{0});
  std::ranges::fill(out.scale_features[1], std::int16_t{0});
  if (first) {
    std::ranges::fill(out.reference, std::int16_t{0});
    std::ranges::fill(out.spread, level);
    return;
  }
  const auto& f = out.features;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::int32_t a = f[0][i], b = f[1][i], c = f[2][i], d = f[3][i];
    const std::int32_t range =
        std::max(std::max(a, b), std::max(c, d)) - std::min(std::min(a, b), std::min(c, d));
    out.reference[i] = static_cast<std::int16_t>((a + b + c + d + 2) >> 2);
    out.spread[i] = static_cast<std::int16_t>(range * 2 / 5);
  }
}

}  // namespace

void finish_sample(const PhasePlaneShape& plane, bool past, unsigned up, PlaneSample& out) {
  if (past) {
    out.reference = out.features[0];
    plan_loops().average2(out.scale_features[0].data(), out.scale_features[1].data(), out.size(),
                          out.spread.data());
  } else {
    expect_by_neighbours(static_cast<std::int16_t>(1 << std::min<unsigned>(up, 14)), plane.first, out);
  }
  if (plane.first) std::ranges::fill(out.scale_features[2], std::int16_t{0});
}

void store_settled(const PlaneSample& sample, std::size_t at, std::size_t phase, std::uint32_t to,
                   PhaseImage& image) {
  std::memcpy(image.seen[phase].row(to), &sample.target[at], 2 * sample.cols);
  std::memcpy(image.miss[phase].row(to), &sample.miss[at], 2 * sample.cols);
  replicate_borders(image.seen[phase], to);
  replicate_borders(image.miss[phase], to);
}

void merge_row(const PhaseImage& image, std::uint32_t y, PhaseImage& below, std::uint32_t to) {
  const auto merge = [&](const std::array<PaddedPlane, kPhases>& from, PaddedPlane& ee) {
    const std::uint16_t* even = from[y % 2 == 0 ? 0 : 3].row(y / 2);  // ee, oe
    const std::uint16_t* odd = from[y % 2 == 0 ? 2 : 1].row(y / 2);   // eo, oo
    std::uint16_t* const row = ee.row(to);
    for (std::uint32_t x = 0; x < ee.cols(); x += 2) row[x] = even[x / 2];
    for (std::uint32_t x = 1; x < ee.cols(); x += 2) row[x] = odd[x / 2];
    replicate_borders(ee, to);
  };
  merge(image.seen, below.seen[0]);
  merge(image.miss, below.miss[0]);
}

}  // namespace ff::kernels::reference
