// SPDX-License-Identifier: Apache-2.0
//
// PhaseWalk: rows, their neighbours and their borders.
#include "kernels/cpu/phase_walk.hpp"

#include <algorithm>

namespace ff::kernels::cpu {
namespace {

constexpr std::uint32_t kRing = 8;  // more than kPhaseStateLag turns

struct Place {
  Phase phase;
  int row, col;  // of the plane, from the pixel's own y and x
};

// Where a neighbour of a pixel of `phase` lies. Offsets in units of the level's distance.
constexpr Place place_of(Phase phase, PhaseOffset offset) noexcept {
  const int row = (phase == Phase::oo || phase == Phase::oe ? 1 : 0) + offset.row;
  const int col = (phase == Phase::oo || phase == Phase::eo ? 1 : 0) + offset.col;
  const bool odd_row = (row & 1) != 0, odd_col = (col & 1) != 0;
  const Phase there = odd_row ? (odd_col ? Phase::oo : Phase::oe) : (odd_col ? Phase::eo : Phase::ee);
  return {there, row >> 1, col >> 1};
}

// As in RowAround.
constexpr std::array<PhaseOffset, 5> kAround{{{-1, 0}, {1, 0}, {0, -1}, {-1, -1}, {1, -1}}};

void close_row(std::uint16_t* row, std::uint32_t cols) noexcept {
  row[-1] = row[-2] = row[0];
  row[cols] = row[cols + 1] = row[cols - 1];
}

void close_plane(PaddedPlane& plane) noexcept {
  for (std::uint32_t y = 0; y < plane.rows(); ++y) close_row(plane.row(y), plane.cols());
}

std::uint16_t average(std::uint16_t a, std::uint16_t b) noexcept {
  return static_cast<std::uint16_t>((a + b + 1) >> 1);
}

void interleave(const std::uint16_t* even, const std::uint16_t* odd, std::uint32_t cols,
                std::uint16_t* out) noexcept {
  for (std::size_t x = 0; x < cols / 2; ++x) {
    out[2 * x] = even[x];
    out[2 * x + 1] = odd[x];
  }
  if (cols % 2 != 0) out[cols - 1] = even[cols / 2];
}

void merge_planes(const std::array<PaddedPlane, kPhases>& from, PaddedPlane& to) noexcept {
  for (std::uint32_t y = 0; y < to.rows(); ++y) {
    const bool odd = y % 2 != 0;
    interleave(from[odd ? 3 : 0].row(y / 2), from[odd ? 1 : 2].row(y / 2), to.cols(), to.row(y));
    close_row(to.row(y), to.cols());
  }
}

}  // namespace

// Borders are no part of the state: whoever had it before may have kept none.
PhaseWalk::PhaseWalk(const FrameShape& tile, PredictorState& state) : tile_(tile), state_(state) {
  for (std::size_t k = 0; k < kPhases; ++k) {
    miss_ring_[k] = PaddedPlane(kRing, phase_plane(tile.rows, tile.cols, 1, k).cols);
    if (state.frames == 0) continue;
    PhasePlaneState& plane = state.phases->planes[k];
    for (PaddedPlane* values : {&plane.mean, &plane.last, &plane.scale}) close_plane(*values);
  }
}

void PhaseWalk::begin_frame() {
  levels_ = past() ? state_.setup.phases.later_levels : state_.setup.phases.key_levels;
  planes_.clear();
  for (std::size_t p = 0; p < plane_count(levels_); ++p) {
    planes_.push_back(phase_plane(tile_.rows, tile_.cols, levels_, p));
    make_idle(planes_.back());
  }
  if (levels_ > 1 && first_miss_.rows() == 0) {
    first_miss_ = PaddedPlane((tile_.rows + 1) / 2, (tile_.cols + 1) / 2);
  }
  while (upper_.size() + 1 < levels_) {
    LevelPlanes& level = upper_.emplace_back();
    const auto of_level = static_cast<unsigned>(upper_.size() + 1);
    for (std::size_t k = 0; k < kPhases; ++k) {
      const PhasePlaneShape shape = phase_plane(tile_.rows, tile_.cols, of_level, k);
      level.seen[k] = level.miss[k] = PaddedPlane(shape.rows, shape.cols);
    }
  }
  if (past()) make_past_rules();
  coded_.clear();
  for (const PhasePlaneShape& plane : planes_) coded_.push_back(coded_rules(plane));
}

std::size_t PhaseWalk::positions(unsigned levels) const noexcept {
  std::size_t sum = 0;
  for (std::size_t p = 0; p < plane_count(levels); ++p) {
    const PhasePlaneShape plane = phase_plane(tile_.rows, tile_.cols, levels, p);
    sum += plane.rows * ((std::size_t{plane.cols} + 31) / 32 * 32);
  }
  return sum;
}

std::vector<std::vector<std::size_t>> PhaseWalk::row_positions() const {
  std::vector<std::vector<std::size_t>> at(planes_.size());
  std::size_t next = 0;
  for_each_phase_row(tile_.rows, tile_.cols, levels_, [&](std::size_t p, std::uint32_t) {
    at[p].push_back(next);
    next += width(p);
  });
  return at;
}

PhaseBatch PhaseWalk::rows_of_plane(std::size_t p, std::uint32_t y) const noexcept {
  PhaseBatch batch;
  for (; batch.count < kBatchRows && y < planes_[p].rows; ++y)
    batch.rows[batch.count++] = {static_cast<std::uint8_t>(p), y};
  return batch;
}

PhaseBatch PhaseWalk::rows_of_turn(std::size_t first, std::uint32_t turn) const noexcept {
  PhaseBatch batch;
  batch.turn = turn;
  for (std::size_t p = first; p < planes_.size(); ++p) {
    const std::uint32_t lag = kPhaseLag[static_cast<std::size_t>(planes_[p].phase)];
    if (turn >= lag && turn - lag < planes_[p].rows)
      batch.rows[batch.count++] = {static_cast<std::uint8_t>(p), turn - lag};
  }
  return batch;
}

// Without a mask all rows of a plane share one row of words.
void PhaseWalk::make_idle(const PhasePlaneShape& plane) {
  IdleWords& words = idle_[plane.level - 1u][static_cast<std::size_t>(plane.phase)];
  if (!words.empty()) return;
  const std::size_t row_words = (plane.cols + 31u) / 32;
  const std::uint32_t rows = state_.mask == nullptr ? 1 : plane.rows;
  words.assign(row_words * rows, 0);
  for (std::uint32_t y = 0; y < rows; ++y) {
    std::uint32_t* row = &words[y * row_words];
    if (plane.cols % 32 != 0) row[row_words - 1] = ~0u << plane.cols % 32;
    if (state_.mask == nullptr) continue;
    const std::uint8_t* classes =
        &state_.mask->classes[std::size_t{plane.row_first + y * plane.step} * tile_.cols + plane.col_first];
    for (std::uint32_t x = 0; x < plane.cols; ++x)
      row[x / 32] |= (classes[std::size_t{x} * plane.step] != 0 ? 1u : 0u) << x % 32;
  }
}

const std::uint32_t* PhaseWalk::idle(const PhaseRow& row) const noexcept {
  const PhasePlaneShape& plane = planes_[row.plane];
  const IdleWords& words = idle_[plane.level - 1u][static_cast<std::size_t>(plane.phase)];
  return words.data() + (state_.mask == nullptr ? 0 : row.y * (width(row.plane) / 32));
}

PaddedPlane& PhaseWalk::seen_plane(unsigned level, Phase phase) noexcept {
  const auto k = static_cast<std::size_t>(phase);
  return level == 1 ? state_.phases->planes[k].next : upper_[level - 2].seen[k];
}

PaddedPlane& PhaseWalk::miss_plane(unsigned level, Phase phase) noexcept {
  const auto k = static_cast<std::size_t>(phase);
  if (level > 1) return upper_[level - 2].miss[k];
  return phase == Phase::ee && levels_ > 1 ? first_miss_ : miss_ring_[k];
}

std::uint16_t* PhaseWalk::seen(Phase phase, std::uint32_t y) noexcept { return seen_plane(1, phase).row(y); }

std::uint16_t* PhaseWalk::miss(Phase phase, std::uint32_t y) noexcept {
  PaddedPlane& plane = miss_plane(1, phase);
  return plane.row(&plane == &first_miss_ ? y : y % kRing);
}

std::uint16_t* PhaseWalk::seen(const PhaseRow& row) noexcept {
  return seen_plane(planes_[row.plane].level, planes_[row.plane].phase).row(row.y);
}

std::uint16_t* PhaseWalk::miss(const PhaseRow& row) noexcept {
  const PhasePlaneShape& plane = planes_[row.plane];
  return plane.level == 1 ? miss(plane.phase, row.y) : miss_plane(plane.level, plane.phase).row(row.y);
}

// Once a frame, because its planes change places with the next one's.
void PhaseWalk::make_past_rules() noexcept {
  const auto rule = [](const PaddedPlane& plane, int row, int col) {
    return RowRule{plane.row(0) + col, plane.stride(), row, static_cast<std::int32_t>(plane.rows()) - 1};
  };
  for (std::size_t k = 0; k < kPhases; ++k) {
    const PhasePlaneState& own = state_.phases->planes[k];
    past_[k].own = {rule(own.mean, 0, 0), rule(own.fast, 0, 0), rule(own.last, 0, 0), rule(own.scale, 0, 0)};
    for (std::size_t i = 0; i < kAround.size(); ++i) {
      const Place place = place_of(static_cast<Phase>(k), kAround[i]);
      const PhasePlaneState& there = state_.phases->planes[static_cast<std::size_t>(place.phase)];
      past_[k].around[0][i] = rule(there.mean, place.row, place.col);
      past_[k].around[1][i] = rule(there.last, place.row, place.col);
      past_[k].around[2][i] = rule(there.scale, place.row, place.col);
    }
  }
}

void PhaseWalk::past_of_level_1(RowInputs& in, Phase phase, std::uint32_t y) const noexcept {
  const PastRules& rules = past_[static_cast<std::size_t>(phase)];
  in.past = RowInputs::Past::around;
  for (std::size_t j = 0; j < in.own.size(); ++j) in.own[j] = rules.own[j].at(y);
  for (std::size_t s = 0; s < in.around.size(); ++s) {
    const auto& rule = rules.around[s];
    in.around[s] = {rule[0].at(y), rule[1].at(y), rule[2].at(y), rule[3].at(y), rule[4].at(y)};
  }
}

// Pixels of an upper level are some of level 1's ee: their past is gathered, and their neighbours' means are made
// here.
void PhaseWalk::past_of_upper_level(RowInputs& in, const PhaseRow& row) {
  const PhasePlaneShape& plane = planes_[row.plane];
  RowInputs ee;
  past_of_level_1(ee, Phase::ee, (plane.row_first + row.y * plane.step) / 2);
  const std::size_t width_here = width(row.plane), first = plane.col_first / 2, step = plane.step / 2;
  strided_.resize(9 * width_here);
  const auto out = [&](std::size_t i) { return strided_.data() + i * width_here; };
  for (std::size_t x = 0; x < plane.cols; ++x) {
    const std::size_t at = first + x * step;
    for (std::size_t j = 0; j < ee.own.size(); ++j) out(j)[x] = ee.own[j][at];
    std::array<std::uint16_t, 6> means{};
    for (std::size_t s = 0; s < ee.around.size(); ++s) {
      const RowAround& n = ee.around[s];
      means[2 * s] = average(average(n.up[at], n.down[at]), average(n.left[at], n.left[at + 1]));
      means[2 * s + 1] =
          average(average(n.up_left[at], n.up_left[at + 1]), average(n.down_left[at], n.down_left[at + 1]));
    }
    for (std::size_t j = 0; j < 4; ++j) out(4 + j)[x] = means[j];
    out(8)[x] = average(means[4], means[5]);
  }
  in.past = RowInputs::Past::means;
  in.own = {out(0), out(1), out(2), out(3)};
  in.means = {out(4), out(5), out(6), out(7), out(8)};
}

PhaseWalk::CodedRules PhaseWalk::coded_rules(const PhasePlaneShape& plane) noexcept {
  CodedRules rules;
  if (plane.first) return rules;
  const PhaseNeighbours& around = kPhaseNeighbours[static_cast<std::size_t>(plane.phase)];
  rules.coded = state_.setup.phases.wide ? around.wide : around.near;
  for (std::size_t i = 0; i < rules.coded; ++i) {
    const Place place = place_of(plane.phase, around.offsets[i]);
    const PaddedPlane& seen = seen_plane(plane.level, place.phase);
    const PaddedPlane& miss = miss_plane(plane.level, place.phase);
    const auto last_row = static_cast<std::int32_t>(seen.rows()) - 1;
    const bool ring = &miss == &miss_ring_[static_cast<std::size_t>(place.phase)];
    rules.seen[i] = {seen.row(0) + place.col, seen.stride(), place.row, last_row, ~0u};
    if (i >= rules.miss.size()) continue;
    rules.miss[i] = {miss.row(0) + place.col, miss.stride(), place.row, last_row, ring ? kRing - 1 : ~0u};
  }
  return rules;
}

const RowInputs& PhaseWalk::inputs(const PhaseRow& row) {
  RowInputs& in = inputs_;
  const PhasePlaneShape& plane = planes_[row.plane];
  in.past = RowInputs::Past::none;
  if (past()) plane.level == 1 ? past_of_level_1(in, plane.phase, row.y) : past_of_upper_level(in, row);
  const CodedRules& rules = coded_[row.plane];
  in.coded = rules.coded;
  for (std::size_t i = 0; i < rules.coded; ++i) in.seen[i] = rules.seen[i].at(row.y);
  for (std::size_t i = 0; i < in.miss.size() && rules.coded != 0; ++i) in.miss[i] = rules.miss[i].at(row.y);
  return in;
}

void PhaseWalk::close(const PhaseRow& row) noexcept {
  close_row(seen(row), planes_[row.plane].cols);
  close_row(miss(row), planes_[row.plane].cols);
}

void PhaseWalk::close_learned(std::uint32_t y) noexcept {
  for (PhasePlaneState& plane : state_.phases->planes) {
    if (y >= plane.mean.rows()) continue;
    close_row(plane.mean.row(y), plane.mean.cols());
    close_row(plane.scale.row(y), plane.scale.cols());
  }
}

void PhaseWalk::merge(unsigned level) noexcept {
  merge_planes(upper_[level - 2].seen, seen_plane(level - 1, Phase::ee));
  merge_planes(upper_[level - 2].miss, miss_plane(level - 1, Phase::ee));
}

void PhaseWalk::end_frame() noexcept {
  for (PhasePlaneState& plane : state_.phases->planes) std::swap(plane.last, plane.next);
  state_.frames = std::min(state_.frames + 1, kWindowFramesMax);
}

}  // namespace ff::kernels::cpu
