// SPDX-License-Identifier: Apache-2.0
//
// Rows of phase planes in AVX-512: what is expected, with which scale, and how the state learns, in passes that each
// keep their constants in registers. Contexts and levels: avx512_phase_levels.cpp.
#include "kernels/cpu/avx512_phase_rows.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/format/phase_root.hpp"

// From here on this file's own functions are compiled for AVX-512; what the headers above define is not.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,bmi2,popcnt")

namespace ff::kernels::cpu::avx512 {
namespace {

using Vector = __m512i;
using Past = RowInputs::Past;

inline Vector set32(std::int32_t value) noexcept { return _mm512_set1_epi32(value); }
inline Vector load(const std::uint16_t* p) noexcept { return _mm512_loadu_si512(p); }
inline Vector mean(Vector a, Vector b) noexcept { return _mm512_avg_epu16(a, b); }

// Two weights side by side, as vpdpwssd wants them.
inline Vector weight_pair(std::int16_t a, std::int16_t b) noexcept {
  return set32(static_cast<std::int32_t>(static_cast<std::uint16_t>(a) |
                                         std::uint32_t{static_cast<std::uint16_t>(b)} << 16));
}

// A sum of weight x feature, two features a step.
struct Sum {
  Vector low, high;

  explicit Sum(Vector start) noexcept : low(start), high(start) {}
  void add(Vector a, Vector b, Vector weights) noexcept {
    low = _mm512_dpwssd_epi32(low, _mm512_unpacklo_epi16(a, b), weights);
    high = _mm512_dpwssd_epi32(high, _mm512_unpackhi_epi16(a, b), weights);
  }
  [[nodiscard]] Vector result(Vector least) const noexcept {
    const Vector packed = _mm512_packs_epi32(_mm512_srai_epi32(low, 12), _mm512_srai_epi32(high, 12));
    return _mm512_max_epi16(packed, least);
  }
};

inline Vector start_of(std::int16_t bias) noexcept { return set32(bias * kMixOne + kMixOne / 2); }

inline Vector pair_mean(const std::uint16_t* left) noexcept { return mean(load(left), load(left + 1)); }
inline Vector edge_mean(const RowAround& n, std::size_t i) noexcept {
  return mean(mean(load(n.up + i), load(n.down + i)), pair_mean(n.left + i));
}
inline Vector diagonal_mean(const RowAround& n, std::size_t i) noexcept {
  return mean(pair_mean(n.up_left + i), pair_mean(n.down_left + i));
}

// In four steps: below 5/8, 1, 3/2 of the root, above.
inline Vector ratio_of(Vector scale, Vector root) noexcept {
  const Vector half_root = _mm512_srli_epi16(root, 1), one = set16(1);
  const Vector low = _mm512_add_epi16(half_root, _mm512_srli_epi16(root, 3));
  const Vector high = _mm512_add_epi16(root, half_root);
  Vector ratio = _mm512_maskz_mov_epi16(_mm512_cmpgt_epu16_mask(scale, low), one);
  ratio = _mm512_mask_add_epi16(ratio, _mm512_cmpgt_epu16_mask(scale, root), ratio, one);
  return _mm512_mask_add_epi16(ratio, _mm512_cmpgt_epu16_mask(scale, high), ratio, one);
}

// §6.7. Without a past and with nothing coded there is only the bias.
template <Past kPast, unsigned kCoded>
void expectation(const RowInputs& in, const PlaneMix& mix, std::size_t width, std::uint16_t* out) noexcept {
  constexpr unsigned kHistory = kPast == Past::none ? 0 : kHistoryFeatures, kFeatures = kHistory + kCoded;
  constexpr unsigned kPairs = (kFeatures + 1) / 2;
  Vector weights[kPairs + 1];
  for (std::size_t j = 0; j < kPairs; ++j)
    weights[j] =
        weight_pair(mix.weights[2 * j], 2 * j + 1 < kFeatures ? mix.weights[2 * j + 1] : std::int16_t{0});
  const Vector start = start_of(mix.bias), zero = _mm512_setzero_si512();
  for (std::size_t i = 0; i < width; i += 32) {
    Vector f[2 * kPairs + 2];
    if constexpr (kPast != Past::none) {
      for (std::size_t j = 0; j < 3; ++j) f[j] = load(in.own[j] + i);
    }
    if constexpr (kPast == Past::means) {
      for (std::size_t j = 0; j < 4; ++j) f[3 + j] = load(in.means[j] + i);
    }
    if constexpr (kPast == Past::around) {
      f[3] = edge_mean(in.around[0], i);
      f[4] = diagonal_mean(in.around[0], i);
      f[5] = edge_mean(in.around[1], i);
      f[6] = diagonal_mean(in.around[1], i);
    }
#pragma GCC unroll 12
    for (unsigned j = 0; j < kCoded; ++j) f[kHistory + j] = load(in.seen[j] + i);
    if constexpr (kFeatures % 2 != 0) f[kFeatures] = zero;
    Sum sum(start);
#pragma GCC unroll 10
    for (unsigned j = 0; j < kPairs; ++j) sum.add(f[2 * j], f[2 * j + 1], weights[j]);
    _mm512_storeu_si512(out + i, sum.result(zero));
  }
}

template <Past kPast>
void expectation_of(const RowInputs& in, const PlaneMix& mix, std::size_t width,
                    std::uint16_t* out) noexcept {
  switch (in.coded) {
    case 0: expectation<kPast, 0>(in, mix, width, out); break;
    case 4: expectation<kPast, 4>(in, mix, width, out); break;
    case 8: expectation<kPast, 8>(in, mix, width, out); break;
    default: expectation<kPast, 12>(in, mix, width, out); break;
  }
}

std::uint32_t gain(std::uint32_t frames, std::uint32_t memory) noexcept {
  return std::min(32767u, 32768u / std::min(frames + 1, memory));
}

inline Vector moved(Vector value, Vector to, Vector share) noexcept {
  return _mm512_add_epi16(value, _mm512_mulhrs_epi16(_mm512_sub_epi16(to, value), share));
}

}  // namespace

PhaseRows::PhaseRows(const PredictorState& state, const GroupSetup& group)
    : state_(state), group_(group), entries_(*state.tables), roots_(root_table(state.setup.up)) {}

void PhaseRows::begin_frame() noexcept {
  mean_gain_ = gain(state_.frames, group_.mean_frames);
  fast_gain_ = gain(state_.frames, group_.fast_frames);
  scale_gain_ = gain(state_.frames, group_.scale_frames);
}

// §6.8.
template <RowInputs::Past kPast, bool kByRate>
void PhaseRows::spread(const RowInputs& in, const PlaneMix& mix, std::size_t width,
                       const std::uint16_t* expected) noexcept {
  const auto& w = mix.scale_weights;
  const Vector history = weight_pair(w[0], w[1]), present = weight_pair(w[2], w[3]);
  const Vector start = start_of(mix.scale_bias), one = set16(1);
  const BucketTable roots(roots_);
  const bool coded = in.coded != 0;
  for (std::size_t i = 0; i < width; i += 32) {
    Sum sum(start);
    if constexpr (kPast == Past::around)
      sum.add(load(in.own[3] + i), mean(edge_mean(in.around[2], i), diagonal_mean(in.around[2], i)), history);
    if constexpr (kPast == Past::means) sum.add(load(in.own[3] + i), load(in.means[4] + i), history);
    Vector miss = _mm512_setzero_si512();
    if (coded)
      miss = mean(mean(load(in.miss[0] + i), load(in.miss[1] + i)),
                  mean(load(in.miss[2] + i), load(in.miss[3] + i)));
    const Vector root = roots.at(load(expected + i));
    sum.add(miss, root, present);
    const Vector scale = sum.result(one);
    _mm512_storeu_si512(&spread_[i], kByRate ? ratio_of(scale, root) : scale);
  }
}

template <RowInputs::Past kPast>
void PhaseRows::expect_with(const RowInputs& in, const PlaneMix& mix, std::size_t width,
                            std::uint16_t* expected) noexcept {
  expectation_of<kPast>(in, mix, width, expected);
  if (!by_rate()) {
    spread<kPast, false>(in, mix, width, expected);
  } else if (entries_.any_split) {
    spread<kPast, true>(in, mix, width, expected);
  }
}

void PhaseRows::expect(const RowInputs& in, const PlaneMix& mix, std::size_t width,
                       std::uint16_t* expected) noexcept {
  if (spread_.size() < width) spread_.resize(width);
  switch (in.past) {
    case Past::none: expect_with<Past::none>(in, mix, width, expected); break;
    case Past::around: expect_with<Past::around>(in, mix, width, expected); break;
    case Past::means: expect_with<Past::means>(in, mix, width, expected); break;
  }
}

void PhaseRows::learn(PhasePlaneState& plane, std::uint32_t y, const std::uint16_t* seen,
                      const std::uint16_t* miss) const noexcept {
  std::uint16_t *mean_row = plane.mean.row(y), *fast_row = plane.fast.row(y), *scale_row = plane.scale.row(y);
  const bool first = state_.frames == 0;
  const Vector mean_gain = set16(mean_gain_), fast_gain = set16(fast_gain_), scale_gain = set16(scale_gain_);
  const std::size_t cols = plane.mean.cols();
  for (std::size_t i = 0; i < cols; i += 32) {
    const __mmask32 valid = tail_mask(cols - i);
    const Vector now = load(seen + i), distance = load(miss + i);
    Vector slow = now, fast = now, scale = distance;
    if (!first) {
      slow = moved(load(mean_row + i), now, mean_gain);
      fast = moved(load(fast_row + i), now, fast_gain);
      scale = moved(load(scale_row + i), distance, scale_gain);
    }
    _mm512_mask_storeu_epi16(mean_row + i, valid, slow);
    _mm512_mask_storeu_epi16(fast_row + i, valid, fast);
    _mm512_mask_storeu_epi16(scale_row + i, valid, scale);
  }
}

}  // namespace ff::kernels::cpu::avx512

#pragma GCC pop_options
