// SPDX-License-Identifier: Apache-2.0
//
// Level map: from pixel values to the non-negative levels that the predictor works on, and back.
//
//     offset   level = value - base                          (modulo 2^level_bits)
//     packed   level = rank of the value in a list of used values
//     lossy    level = rank of the value's bin (lossy_levels.hpp): the only map that loses anything
//     all      sentinel j has level 2^level_bits - 1 - j; a regular value that would land there takes
//              the level that the sentinel has left free
//              (lossy: none does)
//
// Data path  window > [level map] > predict > context > token > lanes
// Meaning    docs/formats/block.md §5.2. Offset and packed map values one to one, so they lose nothing.
// Not here   which map to use (kernels/reference/plan_levels.hpp), masked pixels (mask_map.hpp).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/base/dtype.hpp"
#include "common/base/result.hpp"
#include "kernels/format/bit_code.hpp"
#include "kernels/loss_bound.hpp"

namespace ff::kernels {

inline constexpr std::size_t kSentinelsMax = 8;

enum class LevelMapKind : std::uint8_t { offset = 0, packed = 1, lossy = 2 };

class LossyLevels;

struct LevelMap {
  std::uint8_t level_bits = 16;  ///< 8, 16 or 32: what an escape costs
  LevelMapKind kind = LevelMapKind::offset;
  std::int64_t base = 0;                ///< value of level 0
  std::vector<std::int64_t> sentinels;  ///< at most kSentinelsMax, all different
  std::vector<std::int64_t> packed;     ///< ascending used values (kind packed), 1 ... 65535 of them
  LossBound bound{};                    ///< kind lossy: what the bins keep

  /// Levels from here up are sentinels: never in a statistic, never in the predictor's state.
  [[nodiscard]] std::uint32_t first_sentinel_level() const noexcept {
    return static_cast<std::uint32_t>((std::uint64_t{1} << level_bits) - sentinels.size());
  }
  friend bool operator==(const LevelMap&, const LevelMap&) = default;
};

/// Smallest and largest value a pixel of this type can have. Precondition: an integer type.
struct ValueRange {
  std::int64_t low = 0, high = 0;
};
[[nodiscard]] ValueRange value_range(Dtype dtype) noexcept;

/// The map made ready for use: both directions for single values and for rows.
class LevelCodec {
 public:
  LevelCodec() = default;
  LevelCodec(const LevelMap& map, Dtype dtype);

  [[nodiscard]] const LevelMap& map() const noexcept { return map_; }
  /// True where every value of `dtype` has a level: nothing needs to be checked.
  [[nodiscard]] bool total() const noexcept;
  /// False for a value that this map can't express (the planner then sends another map).
  [[nodiscard]] bool has_level(std::int64_t value) const noexcept;
  [[nodiscard]] std::uint32_t level(std::int64_t value) const noexcept;
  /// Any level gives some value; levels no encoder writes give an arbitrary one (the pixel CRC finds it).
  [[nodiscard]] std::int64_t value(std::uint32_t level) const noexcept;

  /// True where level == pixel bits as they lie in memory, so that rows need no mapping at all.
  [[nodiscard]] bool identity() const noexcept { return identity_; }

  void levels_of_row(const std::byte* pixels, std::size_t count, std::uint32_t* levels) const noexcept;
  void levels_of_row(const std::byte* pixels, std::size_t count, std::uint16_t* levels) const noexcept;
  void values_of_row(const std::uint32_t* levels, std::size_t count, std::byte* pixels) const noexcept;
  void values_of_row(const std::uint16_t* levels, std::size_t count, std::byte* pixels) const noexcept;

  /// False with a lossy map: what is decoded may differ from what was coded.
  [[nodiscard]] bool exact() const noexcept { return lossy_ == nullptr; }
  /// All values from the base up to here have a level. Kind offset in a map narrower than its type, and kind lossy.
  [[nodiscard]] std::int64_t last_value() const noexcept;

  /// Regular values whose level a sentinel took: they have the level `to` instead of `from`.
  struct Moved {
    std::uint32_t from = 0, to = 0;
  };

 private:
  template <typename Level>
  void to_levels(const std::byte* pixels, std::size_t count, Level* levels) const noexcept;
  template <typename Level>
  void to_values(const Level* levels, std::size_t count, std::byte* pixels) const noexcept;

  [[nodiscard]] std::uint64_t offset_level(std::int64_t value) const noexcept;

  LevelMap map_;
  Dtype dtype_ = Dtype::u16;
  std::uint32_t level_mask_ = 0;
  bool identity_ = false;
  std::vector<Moved> moved_;         // offset map: regular values whose level a sentinel took
  std::vector<std::uint16_t> rank_;  // packed map: value - base -> rank, 0xffff where unused
  std::shared_ptr<const LossyLevels> lossy_;
};

/// Reads a pixel of an integer type as a number, and writes one (modulo the type's width).
[[nodiscard]] std::int64_t load_pixel(Dtype dtype, const std::byte* pixel) noexcept;
void store_pixel(Dtype dtype, std::byte* pixel, std::int64_t value) noexcept;

/// Side information of the map; block.md §5.2. Errors of parse: malformed.
void write_level_map(const LevelMap& map, BitWriter& out);
[[nodiscard]] Result<LevelMap> parse_level_map(BitReader& in, Dtype dtype);

}  // namespace ff::kernels
