// SPDX-License-Identifier: Apache-2.0
//
// Level planning: percentiles of a few thousand pixels, one exact pass only where a narrow map needs it.
#include "kernels/reference/plan_levels.hpp"

#include <algorithm>
#include <array>

#include "common/base/bytes.hpp"
#include "kernels/format/lossy_levels.hpp"
#include "kernels/reference/plan_pixels.hpp"

namespace ff::kernels::reference {
namespace {

constexpr std::size_t kValuesWanted = 16384, kValuesOfKnown = 4096;
constexpr std::uint32_t kLookAgain = 16;  // groups after which a known stream is looked at closely again
constexpr std::int64_t kStateMax = 32767;
constexpr unsigned kUpMax = 12;
constexpr unsigned kRepackedMax = 12;

bool is_sentinel(std::int64_t value, const EncodeOptions& options) {
  return std::ranges::find(options.sentinels, value) != options.sentinels.end();
}

// A type's regular values on a grid of pixels, in order.
class ValueSample {
 public:
  ValueSample(const FrameShape& tile, GroupFrames frames, const EncodeOptions& options, const MaskMap* mask,
              std::size_t wanted)
      : low_(value_range(tile.dtype).low) {
    const std::size_t per_frame = std::max<std::size_t>(wanted / frames.size(), 64);
    // A step that shares no factor with common row lengths.
    const std::size_t step = std::max<std::size_t>(tile.pixels() / per_frame, 1) | 1;
    values_.resize((tile.pixels() / step + 1) * frames.size());
    std::size_t count = 0;
    for_pixel_type(tile.dtype, [&](auto pixel) {
      for (std::size_t t = 0; t < frames.size(); ++t) {
        for_pixels_apart<decltype(pixel)>(frames[t], t * 7 % step, step, [&](std::size_t p, auto value) {
          values_[count] = static_cast<std::uint32_t>(static_cast<std::int64_t>(value) - low_);
          const bool masked = mask != nullptr && mask->classes[p] != 0;
          count += masked || is_sentinel(value, options) ? 0 : 1;
        });
      }
    });
    values_.resize(count);
    put_in_order();
  }

  [[nodiscard]] std::size_t size() const noexcept { return values_.size(); }
  [[nodiscard]] std::int64_t percentile(std::size_t per_mille) const {
    if (values_.empty()) return 0;
    const std::size_t rank = (values_.size() - 1) * per_mille / 1000;
    if (not_above_.empty()) return low_ + std::int64_t{values_[rank]};
    return least_ + (std::ranges::upper_bound(not_above_, rank) - not_above_.begin());
  }
  /// How many different values lie in [from, to].
  [[nodiscard]] std::int64_t used(std::int64_t from, std::int64_t to) const {
    std::int64_t count = 0, before = from - 1;
    if (not_above_.empty()) {
      for (const std::uint32_t value : values_) {
        if (low_ + value > before && low_ + value <= to) ++count, before = low_ + value;
      }
      return count;
    }
    for (std::int64_t value = std::max(from, least_); value <= to; ++value) {
      const auto i = static_cast<std::size_t>(value - least_);
      if (i < not_above_.size() && not_above_[i] != (i == 0 ? 0 : not_above_[i - 1])) ++count;
    }
    return count;
  }

 private:
  // By counting, where that is quicker: thousands of values of at most 16 bits.
  void put_in_order() {
    if (values_.empty()) return;
    const auto [low, high] = std::ranges::minmax(values_);
    if (high - low >= 65536 || values_.size() < 1024) {
      std::ranges::sort(values_);
      return;
    }
    not_above_.assign(high - low + 1, 0);
    least_ = low_ + std::int64_t{low};
    for (const std::uint32_t value : values_) ++not_above_[value - low];
    std::uint32_t sum = 0;
    for (std::uint32_t& count : not_above_) count = sum += count;
  }

  std::int64_t low_;                      // of the type
  std::vector<std::uint32_t> values_;     // less low_; sorted where not_above_ is empty
  std::vector<std::uint32_t> not_above_;  // how many are not above least_ + i
  std::int64_t least_ = 0;
};

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
bool looks_like_comb(const ValueSample& values) {
  const std::int64_t low = values.percentile(50), high = values.percentile(950);
  const std::int64_t span = high - low + 1;
  if (span < 8 || static_cast<std::int64_t>(values.size()) < 8 * span) return false;
  return values.used(low, high) * 5 < span * 4;
}

// Inside the percentiles only values that occur; outside all of them, so that a new extreme has a level.
std::vector<std::int64_t> used_values(const FrameShape& tile, GroupFrames frames,
                                      const EncodeOptions& options, const MaskMap* mask,
                                      const PlannerMemory& memory, std::int64_t base, std::int64_t core_low,
                                      std::int64_t core_high) {
  const ValueRange range = value_range(tile.dtype);
  std::vector<std::uint8_t> used(static_cast<std::size_t>(range.high - range.low) + 1, 0);
  for (const std::int64_t value : memory.packed) used[static_cast<std::size_t>(value - range.low)] = 1;
  for_pixel_type(tile.dtype, [&](auto pixel) {
    for (const FrameView& frame : frames) {
      for_pixels_apart<decltype(pixel)>(frame, 0, 1, [&](std::size_t p, auto value) {
        const bool masked = mask != nullptr && mask->classes[p] != 0;
        if (!masked) used[static_cast<std::size_t>(value - range.low)] = 1;
      });
    }
  });
  std::vector<std::int64_t> values;
  for (std::int64_t value = range.low; value <= range.high; ++value) {
    const bool occurs = used[static_cast<std::size_t>(value - range.low)] != 0;
    const bool outside = (value >= base && value < core_low) || value > core_high;
    if (!is_sentinel(value, options) && (occurs || outside)) values.push_back(value);
  }
  return values;
}

}  // namespace

namespace {

// True where some unmasked pixel lies outside [base, base + last]: a loop without branches, for the many rows
// where none does.
bool any_outside(const std::byte* pixels, const std::uint8_t* hidden, std::size_t cols, std::uint32_t base,
                 std::uint32_t last) {
  std::uint32_t outside = 0;
  if (hidden == nullptr) {
    for (std::size_t i = 0; i < cols; ++i)
      outside |= load_le<std::uint32_t>(pixels + 4 * i) - base > last ? 1u : 0u;
    return outside != 0;
  }
  for (std::size_t i = 0; i < cols; ++i) {
    const bool beyond = load_le<std::uint32_t>(pixels + 4 * i) - base > last;
    outside |= beyond && hidden[i] == 0 ? 1u : 0u;
  }
  return outside != 0;
}

bool row_may_lack_levels(const LevelCodec& codec, const std::byte* pixels, const std::uint8_t* hidden,
                         const FrameShape& tile) {
  const LevelMap& map = codec.map();
  if (map.kind == LevelMapKind::packed || dtype_bytes(tile.dtype) != 4) return true;
  if (codec.last_value() < map.base) return true;
  // A narrow map of a type of 32 bits: fewer levels than that.
  const auto last = static_cast<std::uint32_t>(codec.last_value() - map.base);
  return any_outside(pixels, hidden, tile.cols, static_cast<std::uint32_t>(map.base), last);
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
  // Lists of used values need many; of other maps only the extremes count.
  const bool settled = memory.known && memory.packed.empty() && memory.groups % kLookAgain != 0;
  const ValueSample values(tile, frames, options, mask, settled ? kValuesOfKnown : kValuesWanted);
  const std::int64_t low = values.percentile(1), high = values.percentile(999);
  PredictorSetup setup;
  setup.levels.level_bits = static_cast<std::uint8_t>(8 * dtype_bytes(tile.dtype));
  setup.levels.sentinels.assign(options.sentinels.begin(), options.sentinels.end());
  setup.levels.base = choose_base(low, high, range);
  if (plan_lossy(tile, frames, options, mask, wide, high, setup)) return setup;
  const bool give_up = memory.repacked >= kRepackedMax;
  if (!give_up && setup.levels.level_bits <= 16 && looks_like_comb(values)) {
    auto packed = used_values(tile, frames, options, mask, memory, setup.levels.base, values.percentile(10),
                              values.percentile(990));
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
