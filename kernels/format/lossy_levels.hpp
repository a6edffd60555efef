// SPDX-License-Identifier: Apache-2.0
//
// Lossy levels: loss bins counted from a base, with the sentinels on top, as tables for rows of pixels.
//
//     place = bin of the value + number of sentinels below the value
//     level = (place of the value - place of the base) modulo the number of places
//     value = what the bin is decoded to, cut to the run between two sentinels that the place is in
//
// So a sentinel cuts the bin it lies in: sentinel j has level 2^level_bits - 1 - j and is exact, and no other value is
// ever decoded to a sentinel.
//
// Data path  window > [level map, kind lossy] > predict > context > token > lanes
// Meaning    docs/formats/block.md §5.2, §5.8.
// Not here   the bins (loss_bins.hpp); the other kinds of map (level_map.hpp), which lose nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/format/loss_bins.hpp"

namespace ff::kernels {

/// Tables of 2 x 128 kB for types up to 16 bits, 2 x 256 kB for 32-bit ones (the 65536 values from the base up, and
/// the first 65536 levels; the others are computed). The bound is proved when the tables are made, at every value they
/// hold, which for types up to 16 bits is every value there is. Shared by copies of a LevelCodec; read-only.
class LossyLevels {
 public:
  /// The levels of a map: made once and kept while one of the last eight asked for, so that all tiles and windows of a
  /// stream share them. May be called from any thread. Precondition: kind lossy, and the map fits (lossy_map_fits).
  [[nodiscard]] static std::shared_ptr<const LossyLevels> of(const LevelMap& map, Dtype dtype);

  LossyLevels(const LevelMap& map, std::shared_ptr<const LossBins> bins);

  [[nodiscard]] bool has_level(std::int64_t value) const noexcept;
  [[nodiscard]] std::uint32_t level(std::int64_t value) const noexcept;
  [[nodiscard]] std::int64_t value(std::uint32_t level) const noexcept;

  template <typename Level>
  void levels_of_row(const std::byte* pixels, std::size_t count, Level* levels) const noexcept;
  template <typename Level>
  void values_of_row(const Level* levels, std::size_t count, std::byte* pixels) const noexcept;

  /// All values from the base up to here have levels below the sentinels'.
  [[nodiscard]] std::int64_t last_value() const noexcept { return last_value_; }

 private:
  // Values between two sentinels, or a sentinel and the type's end; the number of sentinels below them.
  struct Run {
    std::int64_t low = 0, high = 0, sentinels = 0;
  };

  void cut_runs();
  void find_last_value();
  [[nodiscard]] std::int64_t place(std::int64_t value) const noexcept;
  [[nodiscard]] std::int64_t value_at(std::int64_t place) const noexcept;
  [[nodiscard]] std::uint64_t regular_level(std::int64_t value) const noexcept;
  [[nodiscard]] bool keeps_bound(std::int64_t value) const noexcept;
  void fill_narrow_tables();
  void fill_wide_tables();

  std::shared_ptr<const LossBins> bins_;
  std::int64_t base_ = 0, base_place_ = 0, last_value_ = 0;
  std::int64_t first_place_ = 0, last_place_ = 0;
  std::uint32_t level_mask_ = 0;
  std::vector<std::int64_t> sentinels_;             // as in the map
  std::vector<std::int64_t> sorted_;                // ascending
  std::vector<Run> runs_;                           // ascending; none is empty
  std::vector<std::uint16_t> levels16_, pixels16_;  // by pixel bits, by level: types up to 16 bits
  std::vector<std::uint32_t> levels32_, pixels32_;  // by value - base, by level: the first 65536
};

/// Whether there are fewer bins than values, and, where the map is as wide as the type, every place has a level below
/// the sentinels'. Where it is narrower, values may lack a level, as in a narrow offset map.
[[nodiscard]] bool lossy_map_fits(const LevelMap& map, Dtype dtype);

}  // namespace ff::kernels
