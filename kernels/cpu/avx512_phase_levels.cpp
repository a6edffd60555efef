// SPDX-License-Identifier: Apache-2.0
//
// Rows of phase planes in AVX-512: what touches levels, of 16 or of 32 bits: bases beside the contexts, tokens, what the
// state sees of a level, rows of pixels to rows of planes and back. Expectations: avx512_phase_rows.cpp.
#include "kernels/cpu/avx512_phase_rows.hpp"

// From here on this file's own functions are compiled for AVX-512; what the headers above define is not.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,bmi2,popcnt")

namespace ff::kernels::cpu::avx512 {
namespace {

using Vector = __m512i;

inline Vector load(const std::uint16_t* p) noexcept { return _mm512_loadu_si512(p); }

inline Vector widened(const std::uint16_t* p) noexcept {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

// 32 pixels' even columns, and their odd ones.
inline Vector every_other(Vector low, Vector high, int first) noexcept {
  const Vector index = _mm512_add_epi32(
      _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0), _mm512_set1_epi32(first));
  return _mm512_permutex2var_epi32(low, index, high);
}

// Columns 8 x half ... of two rows, in turn.
inline Vector interleaved(Vector even, Vector odd, int half) noexcept {
  const Vector index = _mm512_add_epi32(
      _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0), _mm512_set1_epi32(8 * half));
  return _mm512_permutex2var_epi32(even, index, odd);
}

}  // namespace

// §6.3. Source rate: by expectation, split by the ratio; source scale: by scale, split by the fraction.
template <bool kByRate, typename Level>
void PhaseRows::contexts_of(std::size_t width, const std::uint32_t* idle,
                            const RowBuffers<Level>& out) const noexcept {
  const PredictorSetup& setup = state_.setup;
  const BucketTable entries(entries_.words);
  const Vector half = set16(setup.up == 0 ? 0u : 1u << (setup.up - 1));
  const __m128i up = _mm_cvtsi32_si128(setup.up), down = _mm_cvtsi32_si128(setup.down);
  const __m128i fraction_shift = _mm_cvtsi32_si128(setup.up < 2 ? 0 : setup.up - 2);
  for (std::size_t i = 0; i < width; i += 32) {
    const Vector want = load(out.expected + i);
    const Vector entry = entries.at(kByRate ? want : load(&spread_[i]));
    const __mmask32 residual = _mm512_movepi16_mask(entry);
    const Vector raw_bits = _mm512_and_si512(_mm512_srli_epi16(entry, 8), set16(15));
    Vector context = _mm512_and_si512(entry, set16(63)), rounding = half;
    if (entries_.any_split) {
      const __mmask32 split = _mm512_test_epi16_mask(entry, set16(kSplitBit));
      if constexpr (kByRate) {
        context = _mm512_mask_add_epi16(context, split, context, load(&spread_[i]));
      } else {
        const Vector fraction = _mm512_and_si512(_mm512_srl_epi16(want, fraction_shift), set16(3));
        context = _mm512_mask_add_epi16(context, split, context, fraction);
        rounding = _mm512_maskz_mov_epi16(~split, half);
      }
    }
    const Vector predicted = _mm512_srl_epi16(_mm512_add_epi16(want, rounding), up);
    store_bases(out.bases + i, predicted, down, raw_bits, residual);
    const Vector word = _mm512_or_si512(_mm512_slli_epi16(context, 8), raw_bits);
    _mm512_storeu_si512(out.contexts + i, _mm512_mask_mov_epi16(word, idle[i / 32], set16(kInactive)));
  }
}

template <typename Level>
void PhaseRows::settle(const Level* levels, const std::uint16_t* expected, std::size_t width,
                       const std::uint32_t* idle, std::uint16_t* seen, std::uint16_t* miss) const noexcept {
  const LevelSight<Level> sight(state_.setup);
  for (std::size_t i = 0; i < width; i += 32) {
    const auto [values, regular] = sight.at(levels + i, ~__mmask32{0});
    const Vector want = load(expected + i);
    const Vector now = _mm512_mask_mov_epi16(want, regular & ~idle[i / 32], values);
    _mm512_storeu_si512(seen + i, now);
    _mm512_storeu_si512(miss + i, _mm512_abs_epi16(_mm512_sub_epi16(now, want)));
  }
}

template <typename Level>
void tokenize(const Level* levels, const RowBuffers<Level>& row, std::size_t width,
              std::uint16_t* symbols) noexcept {
  const Vector low_bits = set16(15), keep = set16(0xff00);
  for (std::size_t i = 0; i < width; i += 32) {
    const Vector context = load(row.contexts + i);
    const __mmask32 active = ~_mm512_movepi16_mask(context);
    const Vector token =
        tokens_of(levels + i, ~__mmask32{0}, row.bases + i, _mm512_and_si512(context, low_bits));
    const Vector symbol =
        _mm512_or_si512(_mm512_and_si512(context, keep), _mm512_maskz_mov_epi16(active, token));
    _mm512_storeu_si512(symbols + i, symbol);
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

void split_row(const std::uint32_t* row, std::size_t cols, std::uint32_t* even, std::uint32_t* odd) noexcept {
  for (std::size_t i = 0; i < cols; i += 64) {
    const std::size_t left = cols - i;
    const __mmask32 first = tail_mask(left), second = left > 32 ? tail_mask(left - 32) : 0;
    const Vector a = _mm512_maskz_loadu_epi32(low_half(first), row + i);
    const Vector b = _mm512_maskz_loadu_epi32(high_half(first), row + i + 16);
    const Vector c = _mm512_maskz_loadu_epi32(low_half(second), row + i + 32);
    const Vector d = _mm512_maskz_loadu_epi32(high_half(second), row + i + 48);
    _mm512_storeu_si512(even + i / 2, every_other(a, b, 0));
    _mm512_storeu_si512(even + i / 2 + 16, every_other(c, d, 0));
    if (left == 1) return;  // as above
    _mm512_storeu_si512(odd + i / 2, every_other(a, b, 1));
    _mm512_storeu_si512(odd + i / 2 + 16, every_other(c, d, 1));
  }
}

// The odd columns may end a vector before the even ones.
void join_row(const std::uint16_t* even, const std::uint16_t* odd, std::size_t cols,
              std::uint16_t* row) noexcept {
  std::size_t i = 0;
  for (; i + 32 <= cols; i += 32) {
    const Vector pair = _mm512_or_si512(widened(even + i / 2), _mm512_slli_epi32(widened(odd + i / 2), 16));
    _mm512_storeu_si512(row + i, pair);
  }
  if (i == cols) return;
  const __mmask16 there = low_half(tail_mask((cols - i) / 2));
  const Vector right = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there, odd + i / 2));
  const Vector pair = _mm512_or_si512(widened(even + i / 2), _mm512_slli_epi32(right, 16));
  _mm512_mask_storeu_epi16(row + i, tail_mask(cols - i), pair);
}

void join_row(const std::uint32_t* even, const std::uint32_t* odd, std::size_t cols,
              std::uint32_t* row) noexcept {
  for (std::size_t i = 0; i < cols; i += 32) {
    const __mmask32 valid = tail_mask(cols - i);
    const Vector a = _mm512_loadu_si512(even + i / 2);
    const Vector b = _mm512_maskz_loadu_epi32(low_half(tail_mask((cols - i) / 2)), odd + i / 2);
    _mm512_mask_storeu_epi32(row + i, low_half(valid), interleaved(a, b, 0));
    _mm512_mask_storeu_epi32(row + i + 16, high_half(valid), interleaved(a, b, 1));
  }
}

template void PhaseRows::contexts_of<true>(std::size_t, const std::uint32_t*,
                                           const RowBuffers<std::uint16_t>&) const noexcept;
template void PhaseRows::contexts_of<false>(std::size_t, const std::uint32_t*,
                                            const RowBuffers<std::uint16_t>&) const noexcept;
template void PhaseRows::contexts_of<true>(std::size_t, const std::uint32_t*,
                                           const RowBuffers<std::uint32_t>&) const noexcept;
template void PhaseRows::contexts_of<false>(std::size_t, const std::uint32_t*,
                                            const RowBuffers<std::uint32_t>&) const noexcept;
template void PhaseRows::settle(const std::uint16_t*, const std::uint16_t*, std::size_t, const std::uint32_t*,
                                std::uint16_t*, std::uint16_t*) const noexcept;
template void PhaseRows::settle(const std::uint32_t*, const std::uint16_t*, std::size_t, const std::uint32_t*,
                                std::uint16_t*, std::uint16_t*) const noexcept;
template void tokenize(const std::uint16_t*, const RowBuffers<std::uint16_t>&, std::size_t,
                       std::uint16_t*) noexcept;
template void tokenize(const std::uint32_t*, const RowBuffers<std::uint32_t>&, std::size_t,
                       std::uint16_t*) noexcept;

}  // namespace ff::kernels::cpu::avx512

#pragma GCC pop_options
