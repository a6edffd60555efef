// SPDX-License-Identifier: Apache-2.0
//
// Level map: rows are mapped value by value; the common map (identity) is a copy.
#include "kernels/format/level_map.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "common/base/bytes.hpp"
#include "common/base/check.hpp"
#include "kernels/format/level_rows.hpp"
#include "kernels/format/lossy_levels.hpp"

namespace ff::kernels {
namespace {

template <typename Pixel>
std::int64_t load_as(const std::byte* pixel) noexcept {
  return static_cast<std::int64_t>(load_le<Pixel>(pixel));
}

template <typename Pixel>
constexpr ValueRange range_of() noexcept {
  return {std::numeric_limits<Pixel>::min(), std::numeric_limits<Pixel>::max()};
}

constexpr std::uint16_t kUnusedRank = 0xffff;

}  // namespace

ValueRange value_range(Dtype dtype) noexcept {
  switch (dtype) {
    case Dtype::u8: return range_of<std::uint8_t>();
    case Dtype::i8: return range_of<std::int8_t>();
    case Dtype::u16: return range_of<std::uint16_t>();
    case Dtype::i16: return range_of<std::int16_t>();
    case Dtype::u32: return range_of<std::uint32_t>();
    case Dtype::i32: return range_of<std::int32_t>();
    case Dtype::f16:
    case Dtype::f32: break;
  }
  FF_CHECK(!"level maps are for integer pixels");
  return {};
}

std::int64_t load_pixel(Dtype dtype, const std::byte* pixel) noexcept {
  switch (dtype) {
    case Dtype::u8: return load_as<std::uint8_t>(pixel);
    case Dtype::i8: return load_as<std::int8_t>(pixel);
    case Dtype::u16:
    case Dtype::f16: return load_as<std::uint16_t>(pixel);
    case Dtype::i16: return load_as<std::int16_t>(pixel);
    case Dtype::u32:
    case Dtype::f32: return load_as<std::uint32_t>(pixel);
    case Dtype::i32: return load_as<std::int32_t>(pixel);
  }
  return 0;
}

void store_pixel(Dtype dtype, std::byte* pixel, std::int64_t value) noexcept {
  switch (dtype_bytes(dtype)) {
    case 1: store_le(pixel, static_cast<std::uint8_t>(value)); break;
    case 2: store_le(pixel, static_cast<std::uint16_t>(value)); break;
    default: store_le(pixel, static_cast<std::uint32_t>(value)); break;
  }
}

LevelCodec::LevelCodec(const LevelMap& map, Dtype dtype) : map_(map), dtype_(dtype) {
  level_mask_ = static_cast<std::uint32_t>((std::uint64_t{1} << map.level_bits) - 1);
  if (map.kind == LevelMapKind::lossy) {
    lossy_ = LossyLevels::of(map, dtype);
    return;
  }
  const std::uint32_t first_sentinel = map.first_sentinel_level();
  if (map.kind == LevelMapKind::packed) {
    rank_.assign(static_cast<std::size_t>(map.packed.back() - map.base) + 1, kUnusedRank);
    for (std::size_t i = 0; i < map.packed.size(); ++i) {
      rank_[static_cast<std::size_t>(map.packed[i] - map.base)] = static_cast<std::uint16_t>(i);
    }
    return;
  }
  std::vector<std::uint32_t> freed, taken;
  std::vector<bool> own(map.sentinels.size(), false);
  for (const std::int64_t sentinel : map.sentinels) {
    const std::uint64_t level = offset_level(sentinel);
    if (level > level_mask_) continue;  // outside a narrow map: leaves nothing free
    if (level < first_sentinel) {
      freed.push_back(static_cast<std::uint32_t>(level));
    } else {
      own[static_cast<std::size_t>(level - first_sentinel)] = true;
    }
  }
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (!own[i]) taken.push_back(first_sentinel + static_cast<std::uint32_t>(i));
  }
  std::ranges::sort(freed);
  for (std::size_t i = 0; i < std::min(freed.size(), taken.size()); ++i)
    moved_.push_back({taken[i], freed[i]});

  // Sentinels that have their top level anyway need no mapping: 65535 in u16, -1 and -2 in i32.
  bool in_place = map.base == 0 && map.level_bits == 8 * dtype_bytes(dtype) && moved_.empty();
  for (std::size_t j = 0; j < map.sentinels.size(); ++j) {
    in_place = in_place && offset_level(map.sentinels[j]) == level_mask_ - j;
  }
  identity_ = in_place;
}

// In a map as wide as the type, levels wrap; in a narrower one, values outside have no level.
std::uint64_t LevelCodec::offset_level(std::int64_t value) const noexcept {
  const std::uint64_t distance = static_cast<std::uint64_t>(value - map_.base);
  return map_.level_bits == 8 * dtype_bytes(dtype_) ? distance & level_mask_ : distance;
}

bool LevelCodec::total() const noexcept {
  return map_.kind != LevelMapKind::packed && map_.level_bits == 8 * dtype_bytes(dtype_);
}

std::int64_t LevelCodec::last_value() const noexcept {
  return lossy_ ? lossy_->last_value() : map_.base + std::int64_t{map_.first_sentinel_level()} - 1;
}

bool LevelCodec::has_level(std::int64_t value) const noexcept {
  if (lossy_) return lossy_->has_level(value);
  if (std::ranges::find(map_.sentinels, value) != map_.sentinels.end()) return true;
  if (map_.kind == LevelMapKind::packed) {
    const auto at = static_cast<std::uint64_t>(value - map_.base);
    return at < rank_.size() && rank_[at] != kUnusedRank;
  }
  const std::uint64_t level = offset_level(value);
  if (level < map_.first_sentinel_level()) return true;
  return std::ranges::any_of(moved_, [&](const Moved& move) { return move.from == level; });
}

std::uint32_t LevelCodec::level(std::int64_t value) const noexcept {
  if (lossy_) return lossy_->level(value);
  for (std::size_t j = 0; j < map_.sentinels.size(); ++j) {
    if (value == map_.sentinels[j]) return level_mask_ - static_cast<std::uint32_t>(j);
  }
  if (map_.kind == LevelMapKind::packed) {
    // Masked pixels of a row come here too; theirs may be any value, and their level is never used.
    const auto at = static_cast<std::uint64_t>(value - map_.base);
    return at < rank_.size() ? rank_[at] : 0;
  }
  const auto level = static_cast<std::uint32_t>(offset_level(value));
  for (const Moved& move : moved_) {
    if (move.from == level) return move.to;
  }
  return level;
}

std::int64_t LevelCodec::value(std::uint32_t level) const noexcept {
  if (lossy_) return lossy_->value(level);
  level &= level_mask_;
  if (level >= map_.first_sentinel_level() && !map_.sentinels.empty())
    return map_.sentinels[level_mask_ - level];
  if (map_.kind == LevelMapKind::packed)
    return map_.packed[std::min<std::size_t>(level, map_.packed.size() - 1)];
  std::int64_t value = map_.base + level;
  for (const Moved& move : moved_) {
    if (move.to == level) value = map_.base + move.from;
  }
  // Modulo the pixel type's width, as block.md has it.
  const ValueRange range = value_range(dtype_);
  return value > range.high ? value - (std::int64_t{1} << (8 * dtype_bytes(dtype_))) : value;
}

namespace {

// Calls with an unsigned pixel type of the dtype's width: levels only depend on the bits.
template <typename Call>
void with_pixel_type(Dtype dtype, Call&& call) noexcept {
  switch (dtype_bytes(dtype)) {
    case 1: call(std::uint8_t{}); break;
    case 2: call(std::uint16_t{}); break;
    default: call(std::uint32_t{}); break;
  }
}

}  // namespace

template <typename Level>
void LevelCodec::to_levels(const std::byte* pixels, std::size_t count, Level* levels) const noexcept {
  const std::size_t width = dtype_bytes(dtype_);
  if (lossy_) {
    lossy_->levels_of_row(pixels, count, levels);
  } else if (map_.kind == LevelMapKind::packed) {
    with_pixel_type(dtype_,
                    [&](auto type) { packed_levels<decltype(type)>(map_, rank_, pixels, count, levels); });
  } else if (identity_ && width == sizeof(Level)) {
    std::memcpy(levels, pixels, count * width);
  } else {
    with_pixel_type(dtype_,
                    [&](auto type) { offset_levels<decltype(type)>(map_, moved_, pixels, count, levels); });
  }
}

template <typename Level>
void LevelCodec::to_values(const Level* levels, std::size_t count, std::byte* pixels) const noexcept {
  const std::size_t width = dtype_bytes(dtype_);
  if (lossy_) {
    lossy_->values_of_row(levels, count, pixels);
  } else if (map_.kind == LevelMapKind::packed) {
    with_pixel_type(dtype_, [&](auto type) { packed_values<decltype(type)>(map_, levels, count, pixels); });
  } else if (identity_ && width == sizeof(Level)) {
    std::memcpy(pixels, levels, count * width);
  } else {
    with_pixel_type(dtype_,
                    [&](auto type) { offset_values<decltype(type)>(map_, moved_, levels, count, pixels); });
  }
}

void LevelCodec::levels_of_row(const std::byte* pixels, std::size_t count,
                               std::uint32_t* levels) const noexcept {
  to_levels(pixels, count, levels);
}
void LevelCodec::levels_of_row(const std::byte* pixels, std::size_t count,
                               std::uint16_t* levels) const noexcept {
  to_levels(pixels, count, levels);
}
void LevelCodec::values_of_row(const std::uint32_t* levels, std::size_t count,
                               std::byte* pixels) const noexcept {
  to_values(levels, count, pixels);
}
void LevelCodec::values_of_row(const std::uint16_t* levels, std::size_t count,
                               std::byte* pixels) const noexcept {
  to_values(levels, count, pixels);
}

}  // namespace ff::kernels
