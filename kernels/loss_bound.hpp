// SPDX-License-Identifier: Apache-2.0
//
// LossBound: how far a decoded pixel may lie from what the detector sent. Declared by the operator, never chosen.
//
//     abs:N                  |x - x'| <= N
//     rel:P%,LOW,HIGH        |x - x'| <= P % of the declared range HIGH - LOW, rounded down
//     sqrt:F                 |x - x'| <= F * sqrt(x) at every x; exact below 0 and wherever F * sqrt(x) < 1
//     photon:GAIN,PEDESTAL   x' is a whole number of photons of GAIN units over PEDESTAL; |x - x'| <= GAIN/2 + 1/2
//
// Data path  declaration > EncodeOptions > [level map] > ... > inspect, ledger, file
// Meaning    docs/formats/block.md §5.8; integers only. Every value of a pixel type has a level, also outside a
//            declared range: no pixel can break the bound.
// Not here   the bins that keep it (format/loss_bins.hpp); masked pixels and sentinels, which are always exact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/dtype.hpp"
#include "common/base/result.hpp"

namespace ff::kernels {

struct LossBound {
  enum class Kind : std::uint8_t { none = 0, absolute = 1, relative = 2, root = 3, photon = 4 };

  Kind kind = Kind::none;
  std::uint32_t limit = 0;   ///< absolute: N, 1 ... 2^30
  std::uint32_t share = 0;   ///< relative: 1/100 of a percent, 1 ... 10000
  std::int64_t low = 0;      ///< relative: the declared range, low < high
  std::int64_t high = 0;     ///< relative
  std::uint32_t factor = 0;  ///< root: F in 1/1024, 1 ... 16384
  std::uint32_t gain =
      0;  ///< photon: units of the pixel per photon in 1/1024, 1024 ... 2^30 (1 ... 2^20 units)
  std::int64_t pedestal = 0;  ///< photon: value without photons in 1/1024

  /// False: every pixel comes back as it was.
  [[nodiscard]] explicit operator bool() const noexcept { return kind != Kind::none; }
  friend bool operator==(const LossBound&, const LossBound&) = default;
};

/// Reads the forms above, and "none". Numbers may have decimals where the table has fractions.
/// Errors: invalid_argument, with the forms named.
[[nodiscard]] Result<LossBound> parse_loss_bound(std::string_view text);

/// The same text that parse_loss_bound reads: "abs:3", "rel:3%,0,4095", "sqrt:0.5", "photon:21.5,1000", "none".
[[nodiscard]] std::string to_string(const LossBound& bound);

/// Whether pixels of this type can have the bound: parameters in range, a pedestal that is a value of the type, and
/// for 32-bit types F >= 1/8 (their list of bins stays below 2^21 entries). Errors: out_of_range.
[[nodiscard]] Status check_loss_bound(const LossBound& bound, Dtype dtype);

/// Most memory that the tables of a bound take in a process, whatever integer types, masks and sentinels its series
/// have; 0 without a bound. For the bounds that are printed before a run.
[[nodiscard]] std::size_t loss_table_bytes(const LossBound& bound) noexcept;

/// The largest |x - x'| that the bound allows at x; from its definition alone, not from the bins.
[[nodiscard]] std::uint64_t error_allowed(const LossBound& bound, std::int64_t value) noexcept;

/// |value - decoded| <= what the bound allows at `value`. Precondition: both are values of one pixel type.
[[nodiscard]] bool within_bound(const LossBound& bound, std::int64_t value, std::int64_t decoded) noexcept;

}  // namespace ff::kernels
