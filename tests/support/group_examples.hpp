// SPDX-License-Identifier: Apache-2.0
//
// Random examples for codec tests: shapes, types, scenes, masks, gaps and groupings, all drawn from a seed.
//
// Not here   the scenes with a purpose (group_images.hpp), plans (phase_plans.hpp).
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/predictor_state.hpp"
#include "tests/support/group_images.hpp"

namespace ff::tests {

inline constexpr Dtype kExampleDtypes[] = {Dtype::u8, Dtype::u16, Dtype::u32,
                                           Dtype::i8, Dtype::i16, Dtype::i32};

enum class Scene {
  zeros,
  largest,
  smallest,
  noise,
  counting,
  bright,
  integrating,
  sparse,
  hot,
  comb,
  scenes
};

inline std::int64_t scene_value(Scene scene, const kernels::ValueRange& range, std::size_t pixel,
                                TestRandom& random) {
  const auto counts = [&](std::uint64_t rate_256) {
    return std::min<std::int64_t>(range.high, static_cast<std::int64_t>(random.counts(rate_256)));
  };
  switch (scene) {
    case Scene::zeros: return 0;
    case Scene::largest: return range.high;
    case Scene::smallest: return range.low;
    case Scene::noise:
      return range.low +
             static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(range.high - range.low) + 1));
    case Scene::counting: return counts(64 + pixel % 7 * 200);
    case Scene::bright: return counts(25600);
    case Scene::integrating:
      return std::max(
          range.low, std::min(range.high, static_cast<std::int64_t>(pixel * 37 % 90 + random.below(6)) - 20));
    case Scene::sparse: return random.below(300) == 0 ? static_cast<std::int64_t>(random.below(100)) : 0;
    case Scene::hot:
      return random.below(50) == 0 ? range.high - static_cast<std::int64_t>(random.below(3)) : counts(512);
    case Scene::comb: return static_cast<std::int64_t>(random.below(25)) * 5;
    case Scene::scenes: break;
  }
  return 0;
}

struct Example {
  FrameShape tile;
  std::uint32_t window = 0;
  FrameStack frames;
  std::vector<std::uint8_t> mask;
  std::vector<std::int64_t> sentinels;
};

/// Shape, scene, sentinels and mask drawn from a seed; both extents at least `least_extent`.
inline Example make_example(std::uint64_t seed, std::uint32_t least_extent = 1) {
  TestRandom random(seed);
  const auto extent = [&] {
    const std::uint64_t kind = random.below(8);
    return static_cast<std::uint32_t>(kind == 0   ? least_extent
                                      : kind == 1 ? 32 * (1 + random.below(3))
                                                  : least_extent + random.below(91 - least_extent));
  };
  const FrameShape tile{kExampleDtypes[random.below(6)], extent(), extent()};
  const auto window = static_cast<std::uint32_t>(1 + random.below(random.below(10) == 0 ? 64 : 9));
  Example example{tile, window, FrameStack(tile, window), {}, {}};
  const kernels::ValueRange range = kernels::value_range(tile.dtype);
  const auto scene = static_cast<Scene>(random.below(static_cast<std::uint64_t>(Scene::scenes)));
  for (std::size_t t = 0; t < window; ++t) {
    for (std::size_t p = 0; p < tile.pixels(); ++p)
      example.frames.set(t, p, scene_value(scene, range, p, random));
  }
  if (random.below(2) == 0) {
    for (std::uint64_t i = random.below(4); i > 0; --i) {
      const std::int64_t value = dtype_is_signed(tile.dtype) ? -static_cast<std::int64_t>(i)
                                                             : range.high - static_cast<std::int64_t>(i - 1);
      example.sentinels.push_back(random.below(4) == 0 ? static_cast<std::int64_t>(i) * 3 : value);
    }
  }
  if (random.below(2) == 0) {
    example.mask.assign(tile.pixels(), 0);
    for (auto& m : example.mask) m = random.below(5) == 0 ? 1 : 0;
    const std::int64_t value =
        example.sentinels.empty() ? random.below(2) == 0 ? range.high : 0 : example.sentinels[0];
    for (std::size_t t = 0; t < window; ++t) {
      for (std::size_t p = 0; p < tile.pixels(); ++p) {
        // Once in a while a masked pixel holds something else.
        if (example.mask[p] != 0 && random.below(400) != 0) example.frames.set(t, p, value);
      }
    }
  }
  return example;
}

struct ExampleGroup {
  kernels::GroupPlace place;
  std::vector<FrameView> frames;
};

// Cuts a window into groups; drops some frames.
inline std::vector<ExampleGroup> make_groups(const Example& example, TestRandom& random) {
  std::vector<ExampleGroup> groups;
  const auto views = example.frames.views();
  for (std::uint32_t first = 0; first < example.window;) {
    const auto count = static_cast<std::uint32_t>(1 + random.below(example.window - first));
    ExampleGroup group{{static_cast<std::uint8_t>(first), static_cast<std::uint8_t>(count), 0,
                        first == 0 || random.below(6) == 0},
                       {}};
    for (std::uint32_t i = 0; i < count; ++i) {
      if (random.below(8) == 0 && !(i + 1 == count && group.frames.empty())) continue;
      group.place.present |= std::uint64_t{1} << i;
      group.frames.push_back(views[first + i]);
    }
    groups.push_back(std::move(group));
    first += count;
  }
  return groups;
}

inline bool same_plane(const kernels::PaddedPlane& a, const kernels::PaddedPlane& b) {
  for (std::uint32_t y = 0; y < a.rows(); ++y) {
    if (!std::equal(a.row(y), a.row(y) + a.cols(), b.row(y))) return false;
  }
  return a.rows() == b.rows() && a.cols() == b.cols();
}

inline bool same_phases(const kernels::PhaseState& a, const kernels::PhaseState& b) {
  for (std::size_t k = 0; k < kernels::kPhases; ++k) {
    const auto& left = a.planes[k];
    const auto& right = b.planes[k];
    if (!same_plane(left.mean, right.mean) || !same_plane(left.fast, right.fast) ||
        !same_plane(left.last, right.last) || !same_plane(left.scale, right.scale))
      return false;
  }
  return a.last_mixes == b.last_mixes;
}

/// True where all that a decoder may read later is equal.
inline bool same_state(kernels::TileState& a, kernels::TileState& b) {
  const auto& left = a.body();
  const auto& right = b.body();
  if (left.link != right.link || left.predictor.has_value() != right.predictor.has_value()) return false;
  if (!left.predictor) return true;
  const auto& x = *left.predictor;
  const auto& y = *right.predictor;
  if (x.frames != y.frames || x.phases.has_value() != y.phases.has_value()) return false;
  if (x.phases) return same_phases(*x.phases, *y.phases);
  if ((x.cells == nullptr) != (y.cells == nullptr)) return false;
  if (x.cells) {
    const auto& p = x.cells->image;
    const auto& q = y.cells->image;
    const std::size_t cells = kernels::cell_shape(left.shape).pixels();
    return p.frames == q.frames && x.cells->last_value == y.cells->last_value &&
           std::equal(p.mean.begin(), p.mean.begin() + static_cast<std::ptrdiff_t>(cells), q.mean.begin());
  }
  const auto equal = [&](const kernels::LineVector& u, const kernels::LineVector& v) {
    return u.size() == v.size() &&
           (u.empty() || std::memcmp(u.data(), v.data(), left.shape.pixels() * 2) == 0);
  };
  return equal(x.mean, y.mean) && equal(x.scale, y.scale);
}

}  // namespace ff::tests
