// SPDX-License-Identifier: Apache-2.0
//
// Loss bins: a lattice for absolute, relative and photon bounds, a list for the root.
#include "kernels/format/loss_bins.hpp"

#include <algorithm>

#include "common/base/check.hpp"

namespace ff::kernels {
namespace {

// Rounds down, also below zero.
constexpr std::int64_t floor_div(std::int64_t a, std::int64_t b) noexcept {
  return a / b - (a % b < 0 ? 1 : 0);
}

// The largest e with e^2 * 2^20 <= F^2 * x. `from` is such a number for a smaller x.
std::int64_t root_at(std::uint64_t square_of_factor, std::int64_t x, std::int64_t from) noexcept {
  const auto square = static_cast<std::int64_t>((square_of_factor * static_cast<std::uint64_t>(x)) >> 20);
  while ((from + 1) * (from + 1) <= square) ++from;
  return from;
}

}  // namespace

LossBins::LossBins(const LossBound& bound, Dtype dtype)
    : bound_(bound), dtype_(dtype), range_(value_range(dtype)) {
  if (bound.kind == LossBound::Kind::root) list_root_bins();
  first_ = index(range_.low);
  last_ = index(range_.high);
  FF_CHECK(proved());
}

// A bin's value lies as far above its start as the start allows. Two bins of three end as far above that as the end
// allows, which is a little farther; the third ends as far above as it began below. For smooth densities the first
// kind shifts the mean by -F^2/6, the second by F^2/3: together they shift nothing.
void LossBins::list_root_bins() {
  const std::uint64_t square = std::uint64_t{bound_.factor} * bound_.factor;
  std::int64_t allowed = 0;
  for (std::int64_t start = 0; start <= range_.high;) {
    allowed = root_at(square, start, allowed);
    const std::int64_t reach = std::min(start + allowed, range_.high);
    std::int64_t end = std::min(reach + allowed, range_.high);
    while (starts_.size() % 3 < 2 && end < range_.high) {
      const std::int64_t beyond = root_at(square, end + 1, allowed);
      if (end + 1 - reach > beyond) break;
      ++end;
    }
    starts_.push_back(static_cast<std::uint32_t>(start));
    values_.push_back(static_cast<std::uint32_t>(reach));
    start = end + 1;
  }
}

std::int64_t LossBins::index(std::int64_t value) const noexcept {
  switch (bound_.kind) {
    case LossBound::Kind::none: break;
    case LossBound::Kind::absolute:
    case LossBound::Kind::relative: {
      const auto limit = static_cast<std::int64_t>(error_allowed(bound_, 0));
      return floor_div(value + limit, 2 * limit + 1);
    }
    case LossBound::Kind::root:
      if (value < 0) return value;
      return std::upper_bound(starts_.begin(), starts_.end(), static_cast<std::uint32_t>(value)) -
             starts_.begin() - 1;
    case LossBound::Kind::photon: {
      const std::int64_t gain = bound_.gain;
      return floor_div(2 * (value * 1024 - bound_.pedestal) + gain, 2 * gain);
    }
  }
  return value;
}

std::int64_t LossBins::value(std::int64_t index) const noexcept {
  switch (bound_.kind) {
    case LossBound::Kind::none: break;
    case LossBound::Kind::absolute:
    case LossBound::Kind::relative: {
      const auto step = 2 * static_cast<std::int64_t>(error_allowed(bound_, 0)) + 1;
      return std::clamp(index * step, range_.low, range_.high);
    }
    case LossBound::Kind::root: return index < 0 ? index : values_[static_cast<std::size_t>(index)];
    case LossBound::Kind::photon: {
      const std::int64_t exact = bound_.pedestal + index * bound_.gain;
      return std::clamp((exact + 512) >> 10, range_.low, range_.high);
    }
  }
  return index;
}

bool LossBins::proved() const noexcept {
  for (std::size_t i = 0; i < starts_.size(); ++i) {
    const std::int64_t end = i + 1 < starts_.size() ? std::int64_t{starts_[i + 1]} - 1 : range_.high;
    if (!within_bound(bound_, starts_[i], values_[i]) || !within_bound(bound_, end, values_[i])) return false;
  }
  const auto holds = [&](std::int64_t x) { return within_bound(bound_, x, value(index(x))); };
  return holds(range_.low) && holds(range_.high) &&
         holds(std::clamp<std::int64_t>(0, range_.low, range_.high));
}

}  // namespace ff::kernels
