// SPDX-License-Identifier: Apache-2.0
//
// Plan loops: the planner's inner loops over rows of 16-bit numbers, compiled for several instruction sets.
//
// Data path  window > [plan] > encode
// Meaning    no part of the format. Every path gives the same numbers: sums are whole numbers, and the floating
//            point in between is done element by element, without contraction.
// Not here   what is summed and why (plan_mix.hpp, plan_bands.hpp).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/format/phase_mix.hpp"

namespace ff::kernels::reference {

/// Columns of a least-squares sum: relative features, the reference, a constant, the target.
inline constexpr std::size_t kMomentColumnsMax = kMixFeaturesMax + 3;
inline constexpr std::size_t kMomentSums = kMomentColumnsMax * (kMomentColumnsMax + 1) / 2;

/// Fixed point of whitened columns: one standard deviation is so much.
inline constexpr float kColumnOne = 64, kReferenceOne = 4, kTargetOne = 256;

/// Rows of equal length n; values 0 ... 32767 unless said otherwise.
struct MomentRows {
  const std::int16_t* const* features = nullptr;
  std::size_t count = 0;
  const std::int16_t* reference = nullptr;  ///< null: features as they are, and no reference column
  const std::int16_t* target = nullptr;
  const std::int16_t* spread = nullptr;  ///< expected distance from the expectation
  const std::uint8_t* live = nullptr;    ///< 0: does not count
  float floor = 1;                       ///< smallest standard deviation
  float one = 1;                         ///< value of the constant column: one level
  float outlier = 6;                     ///< targets further off (in standard deviations) weigh less

  [[nodiscard]] std::size_t columns() const noexcept { return count + (reference != nullptr ? 1 : 0) + 2; }
};

/// Three rows of a plane of the state; the hidden ones (not 0: masked) are null where no pixel is masked.
struct SmoothRows {
  const std::uint16_t *up = nullptr, *centre = nullptr, *down = nullptr;
  const std::uint8_t *hidden_up = nullptr, *hidden = nullptr, *hidden_down = nullptr;
};

/// How levels move the state of the model smooth (block.md §6.4).
struct LearnRule {
  unsigned up = 0, down = 0;
  std::uint32_t last_regular = 0;  ///< levels above it are sentinels, of which nothing is learned
  std::int32_t mean_gain = 0, scale_gain = 0;
};

/// How pixels find their histogram and their token there.
struct TokenRule {
  const std::uint32_t* entries = nullptr;  ///< by bucket, kBuckets of them: see token_entry
  unsigned up = 0, down = 0;
  std::uint32_t wrap = 0;
};
/// first: number of the first histogram; of four, by the fraction of the expectation or by the ratio, where split.
[[nodiscard]] constexpr std::uint32_t token_entry(std::uint32_t first, unsigned raw_bits, bool residual,
                                                  bool by_fraction, bool by_ratio) noexcept {
  return raw_bits | (residual ? 16u : 0u) | (by_fraction ? 32u : 0u) | (by_ratio ? 64u : 0u) | first << 8;
}

struct PlanLoops {
  /// out = avg(avg(a, b), avg(c, d)) as block.md §6.2 rounds it.
  void (*average4)(const std::uint16_t* a, const std::uint16_t* b, const std::uint16_t* c,
                   const std::uint16_t* d, std::size_t n, std::int16_t* out);
  void (*average2)(const std::int16_t* a, const std::int16_t* b, std::size_t n, std::int16_t* out);
  /// out = clamp((sum of weight x feature + bias x 4096 + 2048) >> 12, least, 32767)
  void (*mix)(const std::int16_t* const* features, const std::int16_t* weights, std::size_t count,
              std::int32_t bias, std::int32_t least, std::size_t n, std::int16_t* out);
  /// Adds products of whitened columns, a >= b at a (a + 1) / 2 + b.
  void (*add_moments)(const MomentRows& rows, std::size_t n, std::int64_t* sums);
  /// state += (to - state) x gain, §6.9.
  void (*learn)(std::uint16_t* state, const std::uint16_t* to, std::int32_t gain, std::size_t n);

  /// A row's keys, §6.2; `vertical` has room for n + 2.
  void (*smooth)(const SmoothRows& rows, std::uint32_t smoothing, std::size_t n, std::uint16_t* vertical,
                 std::uint16_t* out);
  /// Moves a row's mean and, unless null, scale by its levels; hidden as above.
  void (*learn_levels)(const LearnRule& rule, const std::uint32_t* levels, const std::uint8_t* hidden,
                       const std::uint16_t* expected, std::size_t n, std::uint16_t* mean,
                       std::uint16_t* scale);
  /// Adds what a row's pixels are seen as, or how far from `expected` (unless null), and how many count (unless null).
  void (*sum_levels)(const LearnRule& rule, const std::uint32_t* levels, const std::uint8_t* hidden,
                     const std::uint16_t* expected, std::size_t n, std::uint32_t* sums,
                     std::uint32_t* counts);
  void (*buckets)(const std::uint16_t* keys, std::size_t n, std::uint8_t* out);
  /// out = min(|level - predicted level|, 2^20)
  void (*distances)(const TokenRule& rule, const std::uint16_t* expected, const std::uint32_t* levels,
                    std::size_t n, std::uint32_t* out);
  /// out = histogram x 256 + token; `ratio` may be null where no entry splits by it.
  void (*tokens)(const TokenRule& rule, const std::uint8_t* buckets, const std::uint16_t* expected,
                 const std::uint32_t* levels, const std::uint8_t* ratio, std::size_t n, std::uint32_t* out);
};

enum class LoopPath { generic, avx2, avx512 };
/// The loops of a path; of generic where the build lacks it. Whether the processor has it is the caller's business.
[[nodiscard]] const PlanLoops& plan_loops(LoopPath path) noexcept;
/// The widest that the processor has. FF_CPU_PATH in the environment narrows it, as in kernels/cpu/.
[[nodiscard]] const PlanLoops& plan_loops() noexcept;

}  // namespace ff::kernels::reference
