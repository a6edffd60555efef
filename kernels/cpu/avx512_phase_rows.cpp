// SPDX-License-Identifier: Apache-2.0
//
// Rows of phase planes in AVX-512, in three passes that each keep their constants in registers: expectation, scale,
// context.
#include "kernels/cpu/avx512_phase_rows.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/format/phase_root.hpp"

// From here on this file's own functions are compiled for AVX-512; what the headers above define is not.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,bmi2,popcnt")

namespace ff::kernels::cpu::avx512 {
namespace {

constexpr std::uint16_t kResidualBit = 0x8000, kSplitBit = 0x4000;  // of a bucket entry

using Vector = __m512i;
using Past = RowInputs::Past;

inline Vector set16(std::uint32_t value) noexcept { return _mm512_set1_epi16(static_cast<short>(value)); }
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

// A table by bucket of a key, looked up by permutes.
struct BucketTable {
  Vector low0, low1, mid0, mid1, high0, high1, top;

  explicit BucketTable(const EntryTable& t) noexcept
      : low0(load(&t[0])),
        low1(load(&t[32])),
        mid0(load(&t[64])),
        mid1(load(&t[96])),
        high0(load(&t[128])),
        high1(load(&t[160])),
        top(load(&t[192])) {}

  [[nodiscard]] Vector at(Vector key) const noexcept {
    Vector entry = _mm512_permutex2var_epi16(low0, _mm512_srli_epi16(key, 2), low1);
    const __mmask32 above_low = _mm512_cmpge_epu16_mask(key, set16(256));
    if (above_low == 0) return entry;
    const Vector mid = _mm512_permutex2var_epi16(mid0, _mm512_srli_epi16(key, 5), mid1);
    const Vector high = _mm512_permutex2var_epi16(high0, _mm512_srli_epi16(key, 7), high1);
    entry = _mm512_mask_mov_epi16(entry, above_low, mid);
    entry = _mm512_mask_mov_epi16(entry, _mm512_cmpge_epu16_mask(key, set16(2048)), high);
    const __mmask32 above_high = _mm512_cmpge_epu16_mask(key, set16(8192));
    return _mm512_mask_permutexvar_epi16(entry, above_high, _mm512_srli_epi16(key, 10), top);
  }
};

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

// The low words of two registers' double words.
inline Vector narrow(Vector low, Vector high) noexcept {
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(low)), _mm512_cvtepi32_epi16(high),
                            1);
}

inline Vector widened(const std::uint16_t* p) noexcept {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

}  // namespace

PhaseRows::PhaseRows(const PredictorState& state, const GroupSetup& group)
    : state_(state), group_(group), roots_(root_table(state.setup.up)) {
  const auto buckets = bucket_entries(*state.tables);
  for (std::size_t b = 0; b < kBuckets; ++b) {
    entries_[b] = static_cast<std::uint16_t>(buckets[b].first_context | buckets[b].raw_bits << 8 |
                                             (buckets[b].residual ? kResidualBit : 0) |
                                             (buckets[b].split ? kSplitBit : 0));
    any_split_ = any_split_ || buckets[b].split;
  }
}

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

// §6.3. Source rate: by expectation, split by the ratio; source scale: by scale, split by the fraction.
template <bool kByRate>
void PhaseRows::contexts_of(std::size_t width, const std::uint32_t* idle,
                            const RowBuffers& out) const noexcept {
  const PredictorSetup& setup = state_.setup;
  const BucketTable entries(entries_);
  const Vector half = set16(setup.up == 0 ? 0u : 1u << (setup.up - 1));
  const __m128i up = _mm_cvtsi32_si128(setup.up), down = _mm_cvtsi32_si128(setup.down);
  const __m128i fraction_shift = _mm_cvtsi32_si128(setup.up < 2 ? 0 : setup.up - 2);
  for (std::size_t i = 0; i < width; i += 32) {
    const Vector want = load(out.expected + i);
    const Vector entry = entries.at(kByRate ? want : load(&spread_[i]));
    const __mmask32 residual = _mm512_movepi16_mask(entry);
    const Vector raw_bits = _mm512_and_si512(_mm512_srli_epi16(entry, 8), set16(15));
    Vector context = _mm512_and_si512(entry, set16(63)), rounding = half;
    if (any_split_) {
      const __mmask32 split = _mm512_test_epi16_mask(entry, set16(kSplitBit));
      if constexpr (kByRate) {
        context = _mm512_mask_add_epi16(context, split, context, load(&spread_[i]));
      } else {
        const Vector fraction = _mm512_and_si512(_mm512_srl_epi16(want, fraction_shift), set16(3));
        context = _mm512_mask_add_epi16(context, split, context, fraction);
        rounding = _mm512_maskz_mov_epi16(~split, half);
      }
    }
    const Vector predicted = _mm512_sll_epi16(_mm512_srl_epi16(_mm512_add_epi16(want, rounding), up), down);
    const Vector base = _mm512_sub_epi16(_mm512_srlv_epi16(predicted, raw_bits), set16(128));
    const Vector word = _mm512_or_si512(_mm512_slli_epi16(context, 8), raw_bits);
    _mm512_storeu_si512(out.bases + i, _mm512_maskz_mov_epi16(residual, base));
    _mm512_storeu_si512(out.contexts + i, _mm512_mask_mov_epi16(word, idle[i / 32], set16(kInactive)));
  }
}

template <RowInputs::Past kPast>
void PhaseRows::predict_with(const RowInputs& in, const PlaneMix& mix, std::size_t width,
                             const std::uint32_t* idle, const RowBuffers& out) noexcept {
  const bool by_rate = state_.setup.source == ContextSource::rate;
  expectation_of<kPast>(in, mix, width, out.expected);
  if (!by_rate) {
    spread<kPast, false>(in, mix, width, out.expected);
    contexts_of<false>(width, idle, out);
  } else {
    if (any_split_) spread<kPast, true>(in, mix, width, out.expected);
    contexts_of<true>(width, idle, out);
  }
}

void PhaseRows::predict(const RowInputs& in, const PlaneMix& mix, std::size_t width,
                        const std::uint32_t* idle, const RowBuffers& out) noexcept {
  if (spread_.size() < width) spread_.resize(width);
  switch (in.past) {
    case Past::none: predict_with<Past::none>(in, mix, width, idle, out); break;
    case Past::around: predict_with<Past::around>(in, mix, width, idle, out); break;
    case Past::means: predict_with<Past::means>(in, mix, width, idle, out); break;
  }
}

void PhaseRows::settle(const std::uint16_t* levels, const std::uint16_t* expected, std::size_t width,
                       const std::uint32_t* idle, std::uint16_t* seen, std::uint16_t* miss) const noexcept {
  const PredictorSetup& setup = state_.setup;
  const Vector largest = set16(32767u >> setup.up);
  const Vector last_regular = set16(setup.levels.first_sentinel_level() - 1);
  const __m128i up = _mm_cvtsi32_si128(setup.up), down = _mm_cvtsi32_si128(setup.down);
  for (std::size_t i = 0; i < width; i += 32) {
    const Vector level = load(levels + i), want = load(expected + i);
    const __mmask32 counts = _mm512_mask_cmple_epu16_mask(~idle[i / 32], level, last_regular);
    const Vector cut = _mm512_sll_epi16(_mm512_min_epu16(_mm512_srl_epi16(level, down), largest), up);
    const Vector now = _mm512_mask_mov_epi16(want, counts, cut);
    _mm512_storeu_si512(seen + i, now);
    _mm512_storeu_si512(miss + i, _mm512_abs_epi16(_mm512_sub_epi16(now, want)));
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

void tokenize(const std::uint16_t* levels, const RowBuffers& row, std::size_t width,
              std::uint16_t* symbols) noexcept {
  const Vector low_bits = set16(15), escape = set16(255), keep = set16(0xff00);
  for (std::size_t i = 0; i < width; i += 32) {
    const Vector context = load(row.contexts + i);
    const __mmask32 active = ~_mm512_movepi16_mask(context);
    const Vector high = _mm512_srlv_epi16(load(levels + i), _mm512_and_si512(context, low_bits));
    const Vector token = _mm512_maskz_min_epu16(active, _mm512_sub_epi16(high, load(row.bases + i)), escape);
    _mm512_storeu_si512(symbols + i, _mm512_or_si512(_mm512_and_si512(context, keep), token));
  }
}

void split_row(const std::uint16_t* row, std::size_t cols, std::uint16_t* even, std::uint16_t* odd) noexcept {
  for (std::size_t i = 0; i < cols; i += 64) {
    const std::size_t left = cols - i;
    const Vector a = _mm512_maskz_loadu_epi16(tail_mask(left), row + i);
    const Vector b = _mm512_maskz_loadu_epi16(left > 32 ? tail_mask(left - 32) : 0, row + i + 32);
    _mm512_storeu_si512(even + i / 2, narrow(a, b));
    if (left == 1) return;  // an odd row may be a whole vector shorter
    _mm512_storeu_si512(odd + i / 2, narrow(_mm512_srli_epi32(a, 16), _mm512_srli_epi32(b, 16)));
  }
}

void join_row(const std::uint16_t* even, const std::uint16_t* odd, std::size_t cols,
              std::uint16_t* row) noexcept {
  std::size_t i = 0;
  for (; i + 32 <= cols; i += 32) {
    const Vector pair = _mm512_or_si512(widened(even + i / 2), _mm512_slli_epi32(widened(odd + i / 2), 16));
    _mm512_storeu_si512(row + i, pair);
  }
  if (i == cols) return;
  const Vector pair = _mm512_or_si512(widened(even + i / 2), _mm512_slli_epi32(widened(odd + i / 2), 16));
  _mm512_mask_storeu_epi16(row + i, tail_mask(cols - i), pair);
}

}  // namespace ff::kernels::cpu::avx512

#pragma GCC pop_options
