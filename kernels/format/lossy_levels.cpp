// SPDX-License-Identifier: Apache-2.0
//
// Lossy levels: one table look-up per pixel in both directions.
#include "kernels/format/lossy_levels.hpp"

#include <algorithm>
#include <mutex>

#include "common/base/bytes.hpp"
#include "common/base/check.hpp"

namespace ff::kernels {
namespace {

constexpr std::size_t kWideEntries = 65536;
constexpr std::size_t kKept = 8;

// The last levels asked for, the latest first. Bins of a 32-bit list take up to 0.1 s to make.
class Kept {
 public:
  std::shared_ptr<const LossyLevels> find(const LevelMap& map, Dtype dtype,
                                          std::shared_ptr<const LossBins>& bins) {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i].dtype != dtype || !(entries_[i].map.bound == map.bound)) continue;
      bins = entries_[i].bins;
      if (!(entries_[i].map == map)) continue;
      std::rotate(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(i),
                  entries_.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      return entries_.front().levels;
    }
    return nullptr;
  }

  void keep(const LevelMap& map, Dtype dtype, std::shared_ptr<const LossBins> bins,
            std::shared_ptr<const LossyLevels> levels) {
    const std::lock_guard lock(mutex_);
    entries_.insert(entries_.begin(), {map, dtype, std::move(bins), std::move(levels)});
    if (entries_.size() > kKept) entries_.pop_back();
  }

 private:
  struct Entry {
    LevelMap map;
    Dtype dtype;
    std::shared_ptr<const LossBins> bins;
    std::shared_ptr<const LossyLevels> levels;
  };
  std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace

// Kept levels have two wide tables each, and one more set is made while they are full. Bins are shared by the levels of
// a type; a list of them is 4 + 4 bytes, its last doubling included, for each of the two 32-bit types.
std::size_t loss_table_bytes(const LossBound& bound) noexcept {
  constexpr std::size_t kListEntriesMax = std::size_t{1} << 21;
  if (!bound) return 0;
  const std::size_t levels = (kKept + 1) * 2 * kWideEntries * sizeof(std::uint32_t);
  return bound.kind == LossBound::Kind::root ? levels + 2 * kListEntriesMax * 12 : levels;
}

std::shared_ptr<const LossyLevels> LossyLevels::of(const LevelMap& map, Dtype dtype) {
  static Kept kept;
  std::shared_ptr<const LossBins> bins;
  if (auto levels = kept.find(map, dtype, bins)) return levels;
  if (bins == nullptr) bins = std::make_shared<const LossBins>(map.bound, dtype);
  auto levels = std::make_shared<const LossyLevels>(map, bins);
  kept.keep(map, dtype, std::move(bins), levels);
  return levels;
}

bool lossy_map_fits(const LevelMap& map, Dtype dtype) {
  // A list of 32-bit bins is long to make and always fits: 2^31 negative values and 2^21 bins.
  const std::size_t type_bits = 8 * dtype_bytes(dtype);
  if (type_bits == 32 && map.bound.kind == LossBound::Kind::root) return true;
  const std::uint64_t bins = LossBins(map.bound, dtype).count();
  if (bins == std::uint64_t{1} << type_bits) return false;
  return map.level_bits < type_bits || bins + 2 * map.sentinels.size() <= std::uint64_t{1} << map.level_bits;
}

LossyLevels::LossyLevels(const LevelMap& map, std::shared_ptr<const LossBins> bins)
    : bins_(std::move(bins)),
      base_(map.base),
      level_mask_(static_cast<std::uint32_t>((std::uint64_t{1} << map.level_bits) - 1)),
      sentinels_(map.sentinels),
      sorted_(map.sentinels) {
  cut_runs();
  base_place_ = place(base_);
  first_place_ = bins_->first();
  last_place_ = bins_->last() + static_cast<std::int64_t>(sorted_.size());
  find_last_value();
  if (dtype_bytes(bins_->dtype()) <= 2) {
    fill_narrow_tables();
  } else {
    fill_wide_tables();
  }
}

void LossyLevels::cut_runs() {
  std::ranges::sort(sorted_);
  const ValueRange range = value_range(bins_->dtype());
  std::int64_t low = range.low;
  for (std::size_t i = 0; i <= sorted_.size(); ++i) {
    const std::int64_t high = i < sorted_.size() ? sorted_[i] - 1 : range.high;
    if (low <= high) runs_.push_back({low, high, static_cast<std::int64_t>(i)});
    low = high + 2;
  }
}

// Places ascend with values: the last value whose level is below the sentinels' is found by halving.
void LossyLevels::find_last_value() {
  std::int64_t low = base_, high = value_range(bins_->dtype()).high;
  while (low < high) {
    const std::int64_t middle = low + (high - low + 1) / 2;
    const bool good =
        place(middle) - base_place_ <= std::int64_t{level_mask_} - static_cast<std::int64_t>(sorted_.size());
    (good ? low : high) = good ? middle : middle - 1;
  }
  last_value_ = low;
}

std::int64_t LossyLevels::place(std::int64_t value) const noexcept {
  return bins_->index(value) + (std::ranges::lower_bound(sorted_, value) - sorted_.begin());
}

// The run is the first that reaches the place; places in the gap before a run have no value of their own.
std::int64_t LossyLevels::value_at(std::int64_t place) const noexcept {
  const Run* run = &runs_.front();
  while (run != &runs_.back() && bins_->index(run->high) + run->sentinels < place) ++run;
  const std::int64_t index =
      std::clamp(place - run->sentinels, bins_->index(run->low), bins_->index(run->high));
  return std::clamp(bins_->value(index), run->low, run->high);
}

bool LossyLevels::keeps_bound(std::int64_t x) const noexcept {
  if (!has_level(x)) return true;
  const std::int64_t decoded = value(level(x));
  const bool sentinel = std::ranges::binary_search(sorted_, x);
  if (sentinel) return decoded == x;
  return within_bound(bins_->bound(), x, decoded) && !std::ranges::binary_search(sorted_, decoded);
}

void LossyLevels::fill_narrow_tables() {
  const ValueRange range = value_range(bins_->dtype());
  const auto bits_mask = static_cast<std::uint32_t>(range.high - range.low);
  levels16_.assign(std::size_t{bits_mask} + 1, 0);
  pixels16_.assign(std::size_t{level_mask_} + 1, 0);
  for (std::int64_t x = range.low; x <= range.high; ++x) {
    FF_CHECK(keeps_bound(x));
    levels16_[static_cast<std::uint32_t>(x) & bits_mask] = static_cast<std::uint16_t>(level(x));
  }
  for (std::uint32_t l = 0; l <= level_mask_; ++l) pixels16_[l] = static_cast<std::uint16_t>(value(l));
}

void LossyLevels::fill_wide_tables() {
  std::vector<std::uint32_t> levels(kWideEntries), pixels(kWideEntries);
  const std::int64_t high = value_range(bins_->dtype()).high;
  for (std::size_t i = 0; i < kWideEntries; ++i) {
    const std::int64_t x = std::min(base_ + static_cast<std::int64_t>(i), high);
    FF_CHECK(keeps_bound(x));
    levels[i] = level(x);
    pixels[i] = static_cast<std::uint32_t>(value(static_cast<std::uint32_t>(i)));
  }
  levels32_ = std::move(levels);
  pixels32_ = std::move(pixels);
}

std::uint64_t LossyLevels::regular_level(std::int64_t value) const noexcept {
  const std::int64_t distance = place(value) - base_place_;
  return static_cast<std::uint64_t>(distance >= 0 ? distance : distance + last_place_ - first_place_ + 1);
}

bool LossyLevels::has_level(std::int64_t value) const noexcept {
  if (std::ranges::binary_search(sorted_, value)) return true;
  return regular_level(value) <= std::uint64_t{level_mask_} - sentinels_.size();
}

std::uint32_t LossyLevels::level(std::int64_t value) const noexcept {
  for (std::size_t j = 0; j < sentinels_.size(); ++j) {
    if (value == sentinels_[j]) return level_mask_ - static_cast<std::uint32_t>(j);
  }
  return static_cast<std::uint32_t>(regular_level(value)) & level_mask_;
}

std::int64_t LossyLevels::value(std::uint32_t level) const noexcept {
  level &= level_mask_;
  const std::uint32_t from_top = level_mask_ - level;
  if (from_top < sentinels_.size()) return sentinels_[from_top];
  const std::int64_t place = base_place_ + std::min(std::int64_t{level}, last_place_ - first_place_);
  return value_at(place <= last_place_ ? place : place - (last_place_ - first_place_ + 1));
}

template <typename Level>
void LossyLevels::levels_of_row(const std::byte* pixels, std::size_t count, Level* levels) const noexcept {
  const Dtype dtype = bins_->dtype();
  switch (dtype_bytes(dtype)) {
    case 1:
      for (std::size_t i = 0; i < count; ++i) levels[i] = levels16_[load_le<std::uint8_t>(pixels + i)];
      break;
    case 2:
      for (std::size_t i = 0; i < count; ++i) levels[i] = levels16_[load_le<std::uint16_t>(pixels + 2 * i)];
      break;
    default:
      for (std::size_t i = 0; i < count; ++i) {
        const std::int64_t value = load_pixel(dtype, pixels + 4 * i);
        const auto at = static_cast<std::uint64_t>(value - base_);
        levels[i] = static_cast<Level>(at < kWideEntries ? levels32_[at] : level(value));
      }
  }
}

template <typename Level>
void LossyLevels::values_of_row(const Level* levels, std::size_t count, std::byte* pixels) const noexcept {
  switch (dtype_bytes(bins_->dtype())) {
    case 1:
      for (std::size_t i = 0; i < count; ++i)
        store_le(pixels + i, static_cast<std::uint8_t>(pixels16_[levels[i] & level_mask_]));
      break;
    case 2:
      for (std::size_t i = 0; i < count; ++i) store_le(pixels + 2 * i, pixels16_[levels[i] & level_mask_]);
      break;
    default:
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t level = levels[i] & level_mask_;
        store_le(pixels + 4 * i,
                 level < kWideEntries ? pixels32_[level] : static_cast<std::uint32_t>(value(level)));
      }
  }
}

template void LossyLevels::levels_of_row(const std::byte*, std::size_t, std::uint32_t*) const noexcept;
template void LossyLevels::levels_of_row(const std::byte*, std::size_t, std::uint16_t*) const noexcept;
template void LossyLevels::values_of_row(const std::uint32_t*, std::size_t, std::byte*) const noexcept;
template void LossyLevels::values_of_row(const std::uint16_t*, std::size_t, std::byte*) const noexcept;

}  // namespace ff::kernels
