// SPDX-License-Identifier: Apache-2.0
//
// Small made-up frame groups for codec tests: whole-number arithmetic and a fixed generator only, so that the
// same seed gives the same pixels with every compiler and library.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "common/base/frame_view.hpp"
#include "kernels/format/level_map.hpp"

namespace ff::tests {

/// SplitMix64 (Steele, Lea, Flood 2014).
class TestRandom {
 public:
  explicit TestRandom(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  /// Counts with mean about rate_256 / 256 and a spread like a counter's.
  std::uint64_t counts(std::uint64_t rate_256) {
    std::uint64_t sum = 0;
    for (; rate_256 >= 16 * 256; rate_256 -= 16 * 256)
      sum += static_cast<std::uint64_t>(std::popcount(next() & 0xffffffffu));
    for (std::uint64_t i = 0; i < 32; ++i) sum += below(256 * 32) < rate_256 ? 1 : 0;
    return sum;
  }

 private:
  std::uint64_t state_;
};

/// Frames of one tile with densely packed pixels.
struct FrameStack {
  FrameShape shape;
  std::size_t count = 0;
  std::vector<std::byte> pixels;

  FrameStack(const FrameShape& tile, std::size_t frames)
      : shape(tile), count(frames), pixels(frames * tile.bytes()) {}

  [[nodiscard]] std::vector<FrameView> views() const {
    std::vector<FrameView> result;
    for (std::size_t t = 0; t < count; ++t)
      result.push_back(dense_view(shape, pixels.data() + t * shape.bytes()));
    return result;
  }
  [[nodiscard]] std::vector<MutableFrameView> mutable_views() {
    std::vector<MutableFrameView> result;
    for (std::size_t t = 0; t < count; ++t)
      result.push_back(dense_view(shape, pixels.data() + t * shape.bytes()));
    return result;
  }
  void set(std::size_t frame, std::size_t pixel, std::int64_t value) {
    kernels::store_pixel(shape.dtype,
                         pixels.data() + frame * shape.bytes() + pixel * dtype_bytes(shape.dtype), value);
  }
};

/// Photon counts over a slope from `low_256` to `high_256` (mean x 256), on a pedestal.
inline FrameStack counting_frames(const FrameShape& tile, std::size_t frames, std::uint64_t low_256,
                                  std::uint64_t high_256, std::uint64_t seed, std::int64_t pedestal = 0) {
  FrameStack stack(tile, frames);
  TestRandom random(seed);
  for (std::size_t t = 0; t < frames; ++t) {
    for (std::size_t p = 0; p < tile.pixels(); ++p) {
      const std::uint64_t rate = low_256 + (high_256 - low_256) * (p % tile.cols) / tile.cols;
      stack.set(t, p, pedestal + static_cast<std::int64_t>(random.counts(rate)));
    }
  }
  return stack;
}

/// A fixed pattern with read noise of `noise` levels each way.
inline FrameStack integrating_frames(const FrameShape& tile, std::size_t frames, std::int64_t low,
                                     std::int64_t high, std::uint64_t noise, std::uint64_t seed) {
  FrameStack stack(tile, frames);
  TestRandom random(seed);
  std::vector<std::int64_t> pattern(tile.pixels());
  for (auto& value : pattern)
    value = low + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(high - low + 1)));
  for (std::size_t t = 0; t < frames; ++t) {
    for (std::size_t p = 0; p < tile.pixels(); ++p) {
      stack.set(t, p,
                pattern[p] + static_cast<std::int64_t>(random.below(noise + 1) + random.below(noise + 1)));
    }
  }
  return stack;
}

}  // namespace ff::tests
