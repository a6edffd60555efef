// SPDX-License-Identifier: Apache-2.0
//
// Loss bins: a pixel type cut into runs of values that share one decoded value, nearly as wide as
// the bound allows.
//
// Data path  LossBound > [bins] > level map > predict > ...
// Meaning    docs/formats/block.md §5.8, integers only; encoder and decoder make the same bins from the same
//            parameters. A list is proved when it is made, at both ends of every bin; the bins of a lattice are all
//            alike, so their first and last are checked. lossy_levels.hpp proves every value of a narrow type.
// Not here   levels and sentinels (lossy_levels.hpp).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/format/level_map.hpp"
#include "kernels/loss_bound.hpp"

namespace ff::kernels {

/// Bins have numbers that ascend with their values. Memory: kind root only, 8 bytes a bin, at most 2^21 bins.
class LossBins {
 public:
  /// Precondition: check_loss_bound(bound, dtype), and bound is not none. Cost: below 0.1 s.
  LossBins(const LossBound& bound, Dtype dtype);

  [[nodiscard]] const LossBound& bound() const noexcept { return bound_; }
  [[nodiscard]] Dtype dtype() const noexcept { return dtype_; }

  /// Number of the bin that holds a value of the type.
  [[nodiscard]] std::int64_t index(std::int64_t value) const noexcept;
  /// What every value of a bin is decoded to; a value of the type. Precondition: first() <= index <= last().
  [[nodiscard]] std::int64_t value(std::int64_t index) const noexcept;

  [[nodiscard]] std::int64_t first() const noexcept { return first_; }
  [[nodiscard]] std::int64_t last() const noexcept { return last_; }
  [[nodiscard]] std::uint64_t count() const noexcept {
    return static_cast<std::uint64_t>(last_ - first_) + 1;
  }

 private:
  void list_root_bins();
  [[nodiscard]] bool proved() const noexcept;

  LossBound bound_;
  Dtype dtype_;
  ValueRange range_;
  std::int64_t first_ = 0, last_ = 0;
  std::vector<std::uint32_t> starts_, values_;  // kind root, values from 0 up
};

}  // namespace ff::kernels
