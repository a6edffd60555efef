// SPDX-License-Identifier: Apache-2.0
//
// Rows of pixels to rows of levels and back: plain loops over one type each, one rule at a time, so that the compiler
// makes vectors of them. `Pixel` is unsigned: levels only depend on a pixel's bits.
//
// Data path  window > [level map] > predict > context > token > lanes
// Meaning    docs/formats/block.md §5.2.
// Not here   which map a tile has (level_map.hpp), lossy maps (lossy_levels.hpp).
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "common/base/bytes.hpp"
#include "kernels/format/level_map.hpp"

namespace ff::kernels {

template <typename Pixel, typename Level>
void sentinel_levels(const LevelMap& map, const std::byte* pixels, std::size_t count,
                     Level* levels) noexcept {
  const auto top = static_cast<Level>((std::uint64_t{1} << map.level_bits) - 1);
  for (std::size_t j = 0; j < map.sentinels.size(); ++j) {
    const auto sentinel = static_cast<Pixel>(map.sentinels[j]);
    const auto level = static_cast<Level>(top - j);
    for (std::size_t i = 0; i < count; ++i) {
      levels[i] = load_le<Pixel>(pixels + i * sizeof(Pixel)) == sentinel ? level : levels[i];
    }
  }
}

// A hostile string can give 8-bit levels above 255: they count modulo 256.
template <typename Level>
[[nodiscard]] Level top_level(const LevelMap& map) noexcept {
  return static_cast<Level>((std::uint64_t{1} << map.level_bits) - 1);
}

template <typename Pixel, typename Level>
void replace_values(const LevelMap& map, const Level* levels, std::size_t count, Level level, Pixel value,
                    std::byte* pixels) noexcept {
  const auto top = top_level<Level>(map);
  for (std::size_t i = 0; i < count; ++i) {
    const Pixel now = load_le<Pixel>(pixels + i * sizeof(Pixel));
    store_le(pixels + i * sizeof(Pixel), (levels[i] & top) == level ? value : now);
  }
}

template <typename Pixel, typename Level>
void sentinel_values(const LevelMap& map, const Level* levels, std::size_t count,
                     std::byte* pixels) noexcept {
  const auto top = top_level<Level>(map);
  for (std::size_t j = 0; j < map.sentinels.size(); ++j) {
    replace_values(map, levels, count, static_cast<Level>(top - j), static_cast<Pixel>(map.sentinels[j]),
                   pixels);
  }
}

template <typename Pixel, typename Level>
void offset_levels(const LevelMap& map, std::span<const LevelCodec::Moved> moved, const std::byte* pixels,
                   std::size_t count, Level* levels) noexcept {
  const auto base = static_cast<Level>(map.base);
  for (std::size_t i = 0; i < count; ++i) {
    levels[i] = static_cast<Level>(static_cast<Level>(load_le<Pixel>(pixels + i * sizeof(Pixel))) - base);
  }
  if constexpr (sizeof(Pixel) < sizeof(Level)) {
    for (std::size_t i = 0; i < count; ++i) levels[i] &= static_cast<Level>(static_cast<Pixel>(~Pixel{0}));
  }
  for (const auto& move : moved) {
    const auto from = static_cast<Level>(move.from), to = static_cast<Level>(move.to);
    for (std::size_t i = 0; i < count; ++i) levels[i] = levels[i] == from ? to : levels[i];
  }
  sentinel_levels<Pixel>(map, pixels, count, levels);
}

template <typename Pixel, typename Level>
void offset_values(const LevelMap& map, std::span<const LevelCodec::Moved> moved, const Level* levels,
                   std::size_t count, std::byte* pixels) noexcept {
  const auto base = static_cast<Pixel>(map.base);
  const auto top = top_level<Level>(map);
  for (std::size_t i = 0; i < count; ++i) {
    store_le(pixels + i * sizeof(Pixel), static_cast<Pixel>(static_cast<Pixel>(levels[i] & top) + base));
  }
  for (const auto& move : moved) {
    replace_values(map, levels, count, static_cast<Level>(move.to), static_cast<Pixel>(map.base + move.from),
                   pixels);
  }
  sentinel_values<Pixel>(map, levels, count, pixels);
}

// Masked pixels come here too; theirs may be any value, and their level is never used.
template <typename Pixel, typename Level>
void packed_levels(const LevelMap& map, std::span<const std::uint16_t> ranks, const std::byte* pixels,
                   std::size_t count, Level* levels) noexcept {
  const auto base = static_cast<Pixel>(map.base);
  for (std::size_t i = 0; i < count; ++i) {
    const auto at = static_cast<Pixel>(load_le<Pixel>(pixels + i * sizeof(Pixel)) - base);
    levels[i] = at < ranks.size() ? ranks[at] : Level{0};
  }
  sentinel_levels<Pixel>(map, pixels, count, levels);
}

// Levels past the list are its last value, as in value().
template <typename Pixel, typename Level>
void packed_values(const LevelMap& map, const Level* levels, std::size_t count, std::byte* pixels) noexcept {
  const auto last = static_cast<std::uint32_t>(map.packed.size() - 1);
  const auto mask = top_level<std::uint32_t>(map);
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t value = map.packed[std::min(std::uint32_t{levels[i]} & mask, last)];
    store_le(pixels + i * sizeof(Pixel), static_cast<Pixel>(value));
  }
  sentinel_values<Pixel>(map, levels, count, pixels);
}

}  // namespace ff::kernels
