// SPDX-License-Identifier: Apache-2.0
//
// A bound on the error of every pixel, as `foreframe bench codec --bound` takes it.
//
//     abs:3      |x - x'| <= 3
//     rel:3%     |x - x'| <= 3 % of the recording's range (largest less least value that is no sentinel)
//     sqrt:0.5   |x - x'| <= 0.5 x sqrt(x); no other codec here has such a bound
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "kernels/loss_bound.hpp"
#include "tools/bench/bench_frames.hpp"

namespace ff::tools {

struct LossyBound {
  enum class Kind : std::uint8_t { absolute, relative, square_root };
  Kind kind = Kind::absolute;
  double value = 1;
  std::string text;
};

/// Errors: invalid_argument.
[[nodiscard]] Result<LossyBound> parse_lossy_bound(const std::string& text);

/// Least and largest value that is no declared sentinel; {0, 0} where there is none.
struct ValueRange {
  std::int64_t least = 0, largest = 0;
};
[[nodiscard]] ValueRange range_without_sentinels(const BenchFrames& frames);

/// As our codec takes it: a relative one with the range that it refers to. Errors: invalid_argument, out_of_range
/// (pixels of this type can't have it).
[[nodiscard]] Result<kernels::LossBound> declared_bound(const LossyBound& bound, const ValueRange& range,
                                                        Dtype dtype);

/// The same bound for every pixel, rounded down; nothing for sqrt, and below 1, which means exact.
[[nodiscard]] std::optional<std::int32_t> absolute_bound(const LossyBound& bound, const ValueRange& range);

}  // namespace ff::tools
