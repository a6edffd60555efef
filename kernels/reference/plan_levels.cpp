// SPDX-License-Identifier: Apache-2.0
//
// Level planning: percentiles of a few thousand pixels, one exact pass only where a narrow map needs it.
#include "kernels/reference/plan_levels.hpp"

#include <algorithm>
#include <array>

#include "common/base/bytes.hpp"
#include "kernels/format/lossy_levels.hpp"

namespace ff::kernels::reference {
namespace {

constexpr std::size_t kValuesWanted = 16384;
constexpr std::int64_t kStateMax = 32767;
constexpr unsigned kUpMax = 12;
constexpr unsigned kRepackedMax = 12;

bool is_sentinel(std::int64_t value, const EncodeOptions& options) {
  return std::ranges::find(options.sentinels, value) != options.sentinels.end();
}

// By counting, where that is quicker: thousands of values of at most 16 bits.
void sort_values(std::vector<std::int64_t>& values) {
  if (values.empty()) return;
  const auto [low, high] = std::ranges::minmax(values);
  if (high - low >= 65536 || values.size() < 1024) {
    std::ranges::sort(values);
    return;
  }
  std::vector<std::uint32_t> counts(static_cast<std::size_t>(high - low) + 1, 0);
  for (const std::int64_t value : values) ++counts[static_cast<std::size_t>(value - low)];
  auto out = values.begin();
  for (std::size_t i = 0; i < counts.size(); ++i)
    out = std::fill_n(out, counts[i], low + static_cast<std::int64_t>(i));
}

// Regular values on a grid of pixels whose step shares no factor with common row lengths.
std::vector<std::int64_t> sample_values(const FrameShape& tile, GroupFrames frames,
                                        const EncodeOptions& options, const MaskMap* mask) {
  std::vector<std::int64_t> values;
  const std::size_t per_frame = std::max<std::size_t>(kValuesWanted / frames.size(), 64);
  const std::size_t step = std::max<std::size_t>(tile.pixels() / per_frame, 1) | 1;
  const std::size_t width = dtype_bytes(tile.dtype);
  for (std::size_t t = 0; t < frames.size(); ++t) {
    for (std::size_t p = t * 7 % step; p < tile.pixels(); p += step) {
      if (mask != nullptr && mask->classes[p] != 0) continue;
      const auto row = static_cast<std::uint32_t>(p / tile.cols);
      const std::int64_t value = load_pixel(tile.dtype, frames[t].row(row) + p % tile.cols * width);
      if (!is_sentinel(value, options)) values.push_back(value);
    }
  }
  sort_values(values);
  return values;
}

std::int64_t percentile(const std::vector<std::int64_t>& sorted, std::size_t per_mille) {
  return sorted.empty() ? 0 : sorted[(sorted.size() - 1) * per_mille / 1000];
}

// A pedestal is taken off with some room below, so that the state's 15 bits serve what varies.
std::int64_t choose_base(std::int64_t low, std::int64_t high, const ValueRange& range) {
  if (low >= 0 && low <= high / 4) return std::max<std::int64_t>(0, range.low);
  return std::clamp(low - (high - low) / 16 - 1, range.low, range.high);
}

void choose_fixed_point(std::int64_t span, PredictorSetup& setup) {
  const std::int64_t room = std::max<std::int64_t>(span + span / 4, 1);
  while (setup.up < kUpMax && (room << (setup.up + 1)) <= kStateMax) ++setup.up;
  const unsigned down_max = setup.levels.level_bits == 32 ? 16 : setup.levels.level_bits == 16 ? 1 : 0;
  while (setup.up == 0 && setup.down < down_max && (span >> setup.down) > kStateMax) ++setup.down;
}

// Combs (contrast-stretched images, gain steps) use few of the values between their own percentiles.
bool looks_like_comb(const std::vector<std::int64_t>& sorted) {
  const std::int64_t low = percentile(sorted, 50), high = percentile(sorted, 950);
  const std::int64_t span = high - low + 1;
  if (span < 8 || static_cast<std::int64_t>(sorted.size()) < 8 * span) return false;
  std::int64_t used = 0, before = low - 1;
  for (const std::int64_t value : sorted) {
    if (value > before && value <= high) ++used, before = value;
  }
  return used * 5 < span * 4;
}

// Inside the percentiles only values that occur; outside all of them, so that a new extreme has a level.
std::vector<std::int64_t> used_values(const FrameShape& tile, GroupFrames frames,
                                      const EncodeOptions& options, const MaskMap* mask,
                                      const PlannerMemory& memory, std::int64_t base, std::int64_t core_low,
                                      std::int64_t core_high) {
  const ValueRange range = value_range(tile.dtype);
  std::vector<bool> used(static_cast<std::size_t>(range.high - range.low) + 1, false);
  for (const std::int64_t value : memory.packed) used[static_cast<std::size_t>(value - range.low)] = true;
  for (const FrameView& frame : frames) {
    std::size_t p = 0;
    for (std::uint32_t row = 0; row < tile.rows; ++row) {
      for (std::uint32_t col = 0; col < tile.cols; ++col, ++p) {
        if (mask != nullptr && mask->classes[p] != 0) continue;
        used[static_cast<std::size_t>(load_pixel(tile.dtype, frame.row(row) + col * dtype_bytes(tile.dtype)) -
                                      range.low)] = true;
      }
    }
  }
  std::vector<std::int64_t> values;
  for (std::int64_t value = range.low; value <= range.high; ++value) {
    const bool occurs = used[static_cast<std::size_t>(value - range.low)];
    const bool outside = (value >= base && value < core_low) || value > core_high;
    if (!is_sentinel(value, options) && (occurs || outside)) values.push_back(value);
  }
  return values;
}

}  // namespace

namespace {

// True where some unmasked pixel lies outside [base, base + limit): a loop without branches, for the many rows
// where none does.
template <typename Pixel>
bool any_outside(const std::byte* pixels, const std::uint8_t* hidden, std::size_t cols, std::int64_t base,
                 std::uint64_t limit) {
  Pixel outside = 0;
  for (std::size_t i = 0; i < cols; ++i) {
    const auto distance =
        static_cast<Pixel>(load_le<Pixel>(pixels + i * sizeof(Pixel)) - static_cast<Pixel>(base));
    const bool counts = hidden == nullptr || hidden[i] == 0;
    outside = static_cast<Pixel>(outside | (distance >= limit && counts ? 1 : 0));
  }
  return outside != 0;
}

bool row_may_lack_levels(const LevelCodec& codec, const std::byte* pixels, const std::uint8_t* hidden,
                         const FrameShape& tile) {
  const LevelMap& map = codec.map();
  if (map.kind == LevelMapKind::packed || dtype_bytes(tile.dtype) != 4) return true;
  const auto limit = static_cast<std::uint64_t>(codec.last_value() - map.base) + 1;
  return any_outside<std::uint32_t>(pixels, hidden, tile.cols, map.base, limit);
}

}  // namespace

bool expresses(const LevelCodec& codec, GroupFrames frames, const MaskMap* mask) {
  if (codec.total()) return true;
  for (const FrameView& frame : frames) {
    const std::size_t width = dtype_bytes(frame.shape.dtype), cols = frame.shape.cols;
    for (std::uint32_t row = 0; row < frame.shape.rows; ++row) {
      const std::uint8_t* hidden = mask == nullptr ? nullptr : &mask->classes[row * cols];
      if (!row_may_lack_levels(codec, frame.row(row), hidden, frame.shape)) continue;
      for (std::size_t col = 0; col < cols; ++col) {
        if (hidden != nullptr && hidden[col] != 0) continue;
        if (!codec.has_level(load_pixel(frame.shape.dtype, frame.row(row) + col * width))) return false;
      }
    }
  }
  return true;
}

namespace {

// The bound's bins in place of values, where they are fewer: a bound that leaves nothing to lose needs no lossy map.
bool plan_lossy(const FrameShape& tile, GroupFrames frames, const EncodeOptions& options, const MaskMap* mask,
                bool wide, std::int64_t high, PredictorSetup& setup) {
  LevelMap& map = setup.levels;
  if (!options.bound) return false;
  map.kind = LevelMapKind::lossy;
  map.bound = options.bound;
  if (!lossy_map_fits(map, tile.dtype)) {
    map.kind = LevelMapKind::offset;
    map.bound = {};
    return false;
  }
  const LevelCodec codec(map, tile.dtype);
  if (map.level_bits == 32 && !wide && codec.level(high) < 32768) {
    LevelMap narrow = map;
    narrow.level_bits = 16;
    if (expresses(LevelCodec(narrow, tile.dtype), frames, mask)) map = narrow;
  }
  choose_fixed_point(codec.level(high), setup);
  return true;
}

}  // namespace

PredictorSetup plan_setup(const FrameShape& tile, GroupFrames frames, const EncodeOptions& options,
                          const MaskMap* mask, bool wide, const PlannerMemory& memory) {
  const ValueRange range = value_range(tile.dtype);
  const auto values = sample_values(tile, frames, options, mask);
  const std::int64_t low = percentile(values, 1), high = percentile(values, 999);
  PredictorSetup setup;
  setup.levels.level_bits = static_cast<std::uint8_t>(8 * dtype_bytes(tile.dtype));
  setup.levels.sentinels.assign(options.sentinels.begin(), options.sentinels.end());
  setup.levels.base = choose_base(low, high, range);
  if (plan_lossy(tile, frames, options, mask, wide, high, setup)) return setup;
  const bool give_up = memory.repacked >= kRepackedMax;
  if (!give_up && setup.levels.level_bits <= 16 && looks_like_comb(values)) {
    auto packed = used_values(tile, frames, options, mask, memory, setup.levels.base, percentile(values, 10),
                              percentile(values, 990));
    if (!packed.empty() && packed.size() <= setup.levels.first_sentinel_level() && packed.size() < 65536) {
      setup.levels.kind = LevelMapKind::packed;
      setup.levels.base = packed.front();
      setup.levels.packed = std::move(packed);
      const auto rank = [&](std::int64_t value) {
        return std::ranges::lower_bound(setup.levels.packed, value) - setup.levels.packed.begin();
      };
      choose_fixed_point(rank(high), setup);
      return setup;
    }
  }
  if (setup.levels.level_bits == 32 && !wide && high - setup.levels.base < 32768) {
    PredictorSetup narrow = setup;
    narrow.levels.level_bits = 16;
    if (expresses(LevelCodec(narrow.levels, tile.dtype), frames, mask)) setup = narrow;
  }
  choose_fixed_point(high - setup.levels.base, setup);
  return setup;
}

}  // namespace ff::kernels::reference
