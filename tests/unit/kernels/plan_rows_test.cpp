// SPDX-License-Identifier: Apache-2.0
//
// The planner's loops over rows: on every instruction set what predict.hpp says pixel by pixel.
#include <algorithm>
#include <vector>

#include <catch2/catch.hpp>

#include "kernels/format/prior.hpp"
#include "kernels/reference/plan_loops.hpp"
#include "kernels/reference/predict.hpp"
#include "tests/support/group_images.hpp"

namespace {

using namespace ff;
using namespace ff::kernels;
using reference::LoopPath;
using reference::PlanLoops;

std::vector<const PlanLoops*> paths_here() {
  std::vector<const PlanLoops*> paths{&reference::plan_loops(LoopPath::generic), &reference::plan_loops()};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) paths.push_back(&reference::plan_loops(LoopPath::avx2));
#endif
  return paths;
}

// Three rows of a state with levels of the middle one; a row of odd length, so that every loop has a rest.
struct Rows {
  FrameShape tile{Dtype::u16, 3, 173};
  PredictorSetup setup;
  std::vector<std::uint16_t> mean, scale, expected;
  std::vector<std::uint32_t> levels;
  MaskMap mask;

  explicit Rows(unsigned up, unsigned down, std::uint64_t seed) {
    tests::TestRandom random(seed);
    setup.up = static_cast<std::uint8_t>(up);
    setup.down = static_cast<std::uint8_t>(down);
    setup.levels.sentinels = {65535, 65534};
    for (std::size_t p = 0; p < tile.pixels(); ++p) {
      mean.push_back(static_cast<std::uint16_t>(random.below(32768)));
      scale.push_back(static_cast<std::uint16_t>(random.below(32768)));
      mask.classes.push_back(random.below(5) == 0 ? 1 : 0);
    }
    for (std::size_t i = 0; i < tile.cols; ++i) {
      expected.push_back(static_cast<std::uint16_t>(random.below(32768)));
      levels.push_back(
          static_cast<std::uint32_t>(i % 11 == 0 ? 65535 - random.below(4) : random.below(65536)));
    }
  }

  [[nodiscard]] const std::uint8_t* hidden() const { return &mask.classes[tile.cols]; }
  [[nodiscard]] reference::LearnRule rule() const {
    return {setup.up, setup.down, setup.levels.first_sentinel_level() - 1, 4096, 1365};
  }
  [[nodiscard]] bool learns(std::size_t i, bool masked) const {
    return levels[i] < setup.levels.first_sentinel_level() && !(masked && hidden()[i] != 0);
  }
};

}  // namespace

TEST_CASE("rows are smoothed as the predictor smooths pixels, masked neighbours left out", "[plan]") {
  const Rows rows(3, 0, 21);
  const std::size_t cols = rows.tile.cols;
  const bool masked = GENERATE(false, true);
  const reference::Neighbourhood around(rows.tile, masked ? &rows.mask : nullptr);
  for (const PlanLoops* loops : paths_here()) {
    const std::uint16_t* plane = rows.mean.data();
    reference::SmoothRows from{plane, plane + cols, plane + 2 * cols};
    const std::uint8_t* classes = rows.mask.classes.data();
    if (masked) from.hidden_up = classes, from.hidden = classes + cols, from.hidden_down = classes + 2 * cols;
    std::vector<std::uint16_t> vertical(cols + 2), keys(cols);
    loops->smooth(from, 24576, cols, vertical.data(), keys.data());
    for (std::uint32_t col = 0; col < cols; ++col)
      REQUIRE(keys[col] == around.smoothed(plane, 1, col, 24576));
  }
}

TEST_CASE("rows learn, and are summed, as single pixels are", "[plan]") {
  const auto [up, down] = GENERATE(std::pair{4u, 0u}, std::pair{0u, 1u});
  const bool masked = GENERATE(false, true);
  const Rows rows(up, down, 22);
  const std::size_t cols = rows.tile.cols;
  const std::uint8_t* hidden = masked ? rows.hidden() : nullptr;
  for (const PlanLoops* loops : paths_here()) {
    std::vector<std::uint16_t> mean = rows.mean, scale = rows.scale;
    std::vector<std::uint32_t> sums(cols, 7), misses(cols, 7), counts(cols, 1);
    loops->learn_levels(rows.rule(), rows.levels.data(), hidden, rows.expected.data(), cols, mean.data(),
                        scale.data());
    loops->sum_levels(rows.rule(), rows.levels.data(), hidden, nullptr, cols, sums.data(), counts.data());
    loops->sum_levels(rows.rule(), rows.levels.data(), hidden, rows.expected.data(), cols, misses.data(),
                      nullptr);
    for (std::size_t i = 0; i < cols; ++i) {
      const std::int32_t now = reference::seen(rows.levels[i], rows.setup);
      const std::int32_t miss = std::abs(now - rows.expected[i]);
      const bool live = rows.learns(i, masked);
      REQUIRE(mean[i] == rows.mean[i] + (live ? reference::scaled(now - rows.mean[i], 4096) : 0));
      REQUIRE(scale[i] == rows.scale[i] + (live ? reference::scaled(miss - rows.scale[i], 1365) : 0));
      REQUIRE(sums[i] == 7u + (live ? static_cast<std::uint32_t>(now) : 0u));
      REQUIRE(misses[i] == 7u + (live ? static_cast<std::uint32_t>(miss) : 0u));
      REQUIRE(counts[i] == (live ? 2u : 1u));
    }
  }
}

TEST_CASE("rows find the buckets, distances and tokens that single pixels have", "[plan]") {
  const auto [up, down] = GENERATE(std::pair{4u, 0u}, std::pair{0u, 1u});
  const Rows rows(up, down, 23);
  const std::size_t cols = rows.tile.cols;
  tests::TestRandom random(24);
  std::array<BucketEntry, kBuckets> entries{};
  std::array<std::uint32_t, kBuckets> packed{};
  const bool by_ratio = GENERATE(false, true);
  for (std::size_t b = 0; b < kBuckets; ++b) {
    BucketEntry& entry = entries[b];
    entry.first_context = static_cast<std::uint8_t>(random.below(60));
    entry.residual = down != 0 || random.below(3) != 0;
    entry.raw_bits = static_cast<std::uint8_t>(entry.residual ? random.below(6) : 0);
    entry.split = (by_ratio || up >= 2) && random.below(2) == 0;
    packed[b] = reference::token_entry(entry.first_context, entry.raw_bits, entry.residual,
                                       entry.split && !by_ratio, entry.split && by_ratio);
  }
  std::vector<std::uint8_t> ratio(cols);
  for (auto& r : ratio) r = static_cast<std::uint8_t>(random.below(4));
  const reference::TokenRule rule{packed.data(), up, down, 0xffff};
  for (const PlanLoops* loops : paths_here()) {
    std::vector<std::uint8_t> buckets(cols);
    std::vector<std::uint32_t> distances(cols), tokens(cols);
    loops->buckets(rows.mean.data(), cols, buckets.data());
    loops->distances(rule, rows.expected.data(), rows.levels.data(), cols, distances.data());
    loops->tokens(rule, buckets.data(), rows.expected.data(), rows.levels.data(),
                  by_ratio ? ratio.data() : nullptr, cols, tokens.data());
    for (std::size_t i = 0; i < cols; ++i) {
      REQUIRE(buckets[i] == bucket_of(rows.mean[i]));
      const auto pixel = reference::pixel_context(entries[buckets[i]], rows.expected[i], rows.setup,
                                                  by_ratio ? ratio[i] : -1);
      REQUIRE(tokens[i] == pixel.context * 256u + reference::token_of(rows.levels[i], pixel, 0xffff));
      const std::int32_t half = up == 0 ? 0 : 1 << (up - 1);
      const std::int32_t predicted = ((rows.expected[i] + half) >> up) << down;
      REQUIRE(distances[i] == std::abs(static_cast<std::int32_t>(rows.levels[i]) - predicted));
    }
  }
}

TEST_CASE("a prior is expanded to the bilinear surface of its grid", "[prior]") {
  const unsigned log2_block = GENERATE(2u, 3u, 4u, 5u, 6u);
  const FrameShape tile{Dtype::u16, 75, 141};
  const std::uint32_t cols = grid_points(tile.cols, log2_block), rows = grid_points(tile.rows, log2_block);
  tests::TestRandom random(25);
  std::vector<std::uint16_t> grid(std::size_t{rows} * cols), plane(tile.pixels());
  for (auto& value : grid) value = static_cast<std::uint16_t>(random.below(32768));
  expand_prior(grid, log2_block, tile, 0, tile.rows, plane.data());
  const std::int64_t whole = std::int64_t{2} << log2_block;
  struct Between {
    std::size_t first, second;
    std::int64_t weight;
  };
  const auto between = [&](std::uint32_t pixel, std::uint32_t points) {
    const std::int64_t at = 2 * std::int64_t{pixel} + 1 + whole / 2, cell = at / whole;
    return Between{static_cast<std::size_t>(std::clamp<std::int64_t>(cell - 1, 0, points - 1)),
                   static_cast<std::size_t>(std::min<std::int64_t>(cell, points - 1)), at % whole};
  };
  for (std::uint32_t row = 0; row < tile.rows; ++row) {
    const Between v = between(row, rows);
    for (std::uint32_t col = 0; col < tile.cols; ++col) {
      const Between h = between(col, cols);
      const auto mix = [&](std::size_t y) {
        return grid[y * cols + h.first] * (whole - h.weight) + grid[y * cols + h.second] * h.weight;
      };
      const std::int64_t sum = mix(v.first) * (whole - v.weight) + mix(v.second) * v.weight;
      REQUIRE(plane[std::size_t{row} * tile.cols + col] == (sum + whole * whole / 2) / (whole * whole));
    }
  }
}
