// SPDX-License-Identifier: Apache-2.0
//
// Phases: pixel by pixel, in the words of block.md §6.
#include "kernels/reference/phases.hpp"

#include <algorithm>
#include <cstdlib>

namespace ff::kernels::reference {
namespace {

constexpr std::int32_t kHalf = kMixOne / 2;
constexpr std::int32_t kLargest = 32767;

// |sum of weights| <= 32767 and features <= 32767: below 2^30; biases add less than 2^28.
std::int32_t mixed(std::int32_t sum, std::int32_t bias, std::int32_t least) noexcept {
  return std::clamp((sum + bias * kMixOne + kHalf) >> 12, least, kLargest);
}

}  // namespace

PhaseFrame::PhaseFrame(const FrameShape& tile, PredictorState& state, const GroupSetup& group)
    : tile_(tile),
      state_(state),
      group_(group),
      entries_(bucket_entries(*state.tables)),
      roots_(root_table(state.setup.up)),
      expected_(tile.pixels()),
      seen_(tile.pixels()),
      miss_(tile.pixels()) {}

unsigned PhaseFrame::levels() const noexcept {
  return state_.frames == 0 ? state_.setup.phases.key_levels : state_.setup.phases.later_levels;
}

bool PhaseFrame::masked(std::uint32_t row, std::uint32_t col) const noexcept {
  return state_.mask != nullptr && state_.mask->classes[at(row, col)] != 0;
}

// A plane of the state at a pixel of the tile; outside, at the nearest pixel of the same phase.
std::int32_t PhaseFrame::past(Plane plane, std::int64_t row, std::int64_t col) const noexcept {
  const std::uint32_t r = step_back(row, tile_.rows, 2), c = step_back(col, tile_.cols, 2);
  const Phase phase =
      r % 2 == 0 ? (c % 2 == 0 ? Phase::ee : Phase::eo) : (c % 2 == 0 ? Phase::oe : Phase::oo);
  return (state_.phases->planes[static_cast<std::size_t>(phase)].*plane).row(r / 2)[c / 2];
}

std::int32_t PhaseFrame::edge_mean(Plane plane, std::uint32_t row, std::uint32_t col) const noexcept {
  const std::int64_t r = row, c = col;
  return average(average(past(plane, r - 1, c), past(plane, r + 1, c)),
                 average(past(plane, r, c - 1), past(plane, r, c + 1)));
}

std::int32_t PhaseFrame::diagonal_mean(Plane plane, std::uint32_t row, std::uint32_t col) const noexcept {
  const std::int64_t r = row, c = col;
  return average(average(past(plane, r - 1, c - 1), past(plane, r - 1, c + 1)),
                 average(past(plane, r + 1, c - 1), past(plane, r + 1, c + 1)));
}

std::size_t PhaseFrame::neighbour(const PhasePlaneShape& plane, PhaseOffset offset, std::uint32_t row,
                                  std::uint32_t col) const noexcept {
  const std::int64_t distance = plane.step / 2;
  return at(step_back(row + offset.row * distance, tile_.rows, plane.step),
            step_back(col + offset.col * distance, tile_.cols, plane.step));
}

// §6.7: features in the order of the weights.
std::int32_t PhaseFrame::expectation(const PhasePlaneShape& plane, const PlaneMix& mix, std::uint32_t row,
                                     std::uint32_t col) const noexcept {
  std::size_t j = 0;
  std::int32_t sum = 0;
  const auto add = [&](std::int32_t feature) { sum += mix.weights[j++] * feature; };
  if (state_.frames != 0) {
    add(past(&PhasePlaneState::mean, row, col));
    add(past(&PhasePlaneState::fast, row, col));
    add(past(&PhasePlaneState::last, row, col));
    add(edge_mean(&PhasePlaneState::mean, row, col));
    add(diagonal_mean(&PhasePlaneState::mean, row, col));
    add(edge_mean(&PhasePlaneState::last, row, col));
    add(diagonal_mean(&PhasePlaneState::last, row, col));
  }
  if (!plane.first) {
    const PhaseNeighbours& around = kPhaseNeighbours[static_cast<std::size_t>(plane.phase)];
    const std::size_t count = state_.setup.phases.wide ? around.wide : around.near;
    for (std::size_t i = 0; i < count; ++i) add(seen_[neighbour(plane, around.offsets[i], row, col)]);
  }
  return mixed(sum, mix.bias, 0);
}

// §6.8: the distance from the expectation that the pixel will probably have.
std::int32_t PhaseFrame::scale(const PhasePlaneShape& plane, const PlaneMix& mix, std::uint32_t row,
                               std::uint32_t col, std::int32_t root) const noexcept {
  std::array<std::int32_t, kScaleFeatures> features{0, 0, 0, root};
  if (state_.frames != 0) {
    features[0] = past(&PhasePlaneState::scale, row, col);
    features[1] = average(edge_mean(&PhasePlaneState::scale, row, col),
                          diagonal_mean(&PhasePlaneState::scale, row, col));
  }
  if (!plane.first) {
    const PhaseNeighbours& around = kPhaseNeighbours[static_cast<std::size_t>(plane.phase)];
    const auto miss = [&](std::size_t i) { return miss_[neighbour(plane, around.offsets[i], row, col)]; };
    features[2] = average(average(miss(0), miss(1)), average(miss(2), miss(3)));
  }
  std::int32_t sum = 0;
  for (std::size_t j = 0; j < kScaleFeatures; ++j) sum += mix.scale_weights[j] * features[j];
  return mixed(sum, mix.scale_bias, 1);
}

PixelContext PhaseFrame::predict(const PhasePlaneShape& plane, const PlaneMix& mix, std::uint32_t row,
                                 std::uint32_t col) {
  const std::int32_t expected = expectation(plane, mix, row, col);
  expected_[at(row, col)] = expected;
  const std::int32_t root = roots_[bucket_of(static_cast<std::uint32_t>(expected))];
  const std::int32_t spread = scale(plane, mix, row, col, root);
  const bool by_rate = state_.setup.source == ContextSource::rate;
  const auto key = static_cast<std::uint32_t>(by_rate ? expected : spread);
  return pixel_context(entries_[bucket_of(key)], expected, state_.setup,
                       by_rate ? ratio_index(spread, root) : -1);
}

void PhaseFrame::settle(std::uint32_t row, std::uint32_t col, std::uint32_t level, bool active) noexcept {
  const std::size_t p = at(row, col);
  const std::uint64_t sentinels =
      (std::uint64_t{1} << state_.setup.levels.level_bits) - state_.setup.levels.sentinels.size();
  const bool counts = active && level < sentinels;
  seen_[p] = counts ? seen(level, state_.setup) : expected_[p];
  miss_[p] = std::abs(seen_[p] - expected_[p]);
}

// §6.9. The first frame is the state.
void PhaseFrame::learn() noexcept {
  const std::uint32_t n = state_.frames;
  const auto moved = [](std::uint16_t& value, std::int32_t to, std::int32_t share) {
    value = static_cast<std::uint16_t>(value + scaled(to - value, share));
  };
  const std::int32_t mean_gain = n == 0 ? 0 : gain(n, group_.mean_frames);
  const std::int32_t fast_gain = n == 0 ? 0 : gain(n, group_.fast_frames);
  const std::int32_t scale_gain = n == 0 ? 0 : gain(n, group_.scale_frames);
  for (std::size_t k = 0; k < kPhases; ++k) {
    PhasePlaneState& plane = state_.phases->planes[k];
    const PhasePlaneShape shape = phase_plane(tile_.rows, tile_.cols, 1, k);
    for (std::uint32_t y = 0; y < shape.rows; ++y) {
      for (std::uint32_t x = 0; x < shape.cols; ++x) {
        const std::size_t p = at(shape.row_first + 2 * y, shape.col_first + 2 * x);
        const auto now = static_cast<std::uint16_t>(seen_[p]);
        if (n == 0) {
          plane.mean.row(y)[x] = plane.fast.row(y)[x] = now;
          plane.scale.row(y)[x] = static_cast<std::uint16_t>(miss_[p]);
        } else {
          moved(plane.mean.row(y)[x], now, mean_gain);
          moved(plane.fast.row(y)[x], now, fast_gain);
          moved(plane.scale.row(y)[x], miss_[p], scale_gain);
        }
        plane.last.row(y)[x] = now;
      }
    }
  }
  state_.frames = std::min(n + 1, kWindowFramesMax);
}

}  // namespace ff::kernels::reference
