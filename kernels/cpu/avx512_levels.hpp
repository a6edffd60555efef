// SPDX-License-Identifier: Apache-2.0
//
// 32 levels at a time in AVX-512: one register of 16-bit levels, or two of 32-bit ones. Everything else about a pixel
// (its state, its context, its token) has 16 bits with both.
//
// Data path  level map > [predict] > context > token > lanes
// Meaning    docs/formats/block.md §6.3 (bases), §6.4 (tokens), §6.5 (what the state sees).
// Not here   levels in the lanes, 16 to a register (avx512_steps.hpp). Include only from files compiled for AVX-512.
#pragma once

#include <cstdint>
#include <immintrin.h>

#include "kernels/format/encode_plan.hpp"

// From here on this file's own functions are compiled for AVX-512; what the headers above define is not.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,bmi2,popcnt")

namespace ff::kernels::cpu::avx512 {

inline __mmask32 tail_mask(std::size_t left) noexcept { return left >= 32 ? 0xffffffffu : (1u << left) - 1u; }
inline __mmask16 low_half(__mmask32 mask) noexcept { return static_cast<__mmask16>(mask); }
inline __mmask16 high_half(__mmask32 mask) noexcept { return static_cast<__mmask16>(mask >> 16); }

inline __m512i set16(std::uint32_t value) noexcept { return _mm512_set1_epi16(static_cast<short>(value)); }

// Words to double words and back: the low words of two registers.
inline __m512i widen_low(__m512i words) noexcept {
  return _mm512_cvtepu16_epi32(_mm512_castsi512_si256(words));
}
inline __m512i widen_high(__m512i words) noexcept {
  return _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(words, 1));
}
inline __m512i narrow(__m512i low, __m512i high) noexcept {
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(low)), _mm512_cvtepi32_epi16(high),
                            1);
}

/// How the state sees levels: shifted, cut at 15 bits; and which of them are no sentinels.
template <typename Level>
class LevelSight {
 public:
  struct Seen {
    __m512i values;
    __mmask32 regular;
  };

  explicit LevelSight(const PredictorSetup& setup) noexcept
      : largest_(set(32767u >> setup.up)),
        last_regular_(set(setup.levels.first_sentinel_level() - 1)),
        down_(_mm_cvtsi32_si128(setup.down)),
        up_(_mm_cvtsi32_si128(setup.up)) {}

  /// Reads levels in `valid` only; the others are not regular.
  [[nodiscard]] Seen at(const Level* levels, __mmask32 valid) const noexcept {
    if constexpr (sizeof(Level) == 2) {
      const __m512i level = _mm512_maskz_loadu_epi16(valid, levels);
      const __m512i cut = _mm512_min_epu16(_mm512_srl_epi16(level, down_), largest_);
      return {_mm512_sll_epi16(cut, up_), _mm512_mask_cmple_epu16_mask(valid, level, last_regular_)};
    } else {
      const __m512i low = _mm512_maskz_loadu_epi32(low_half(valid), levels);
      const __m512i high = _mm512_maskz_loadu_epi32(high_half(valid), levels + 16);
      const __m512i low_cut = _mm512_min_epu32(_mm512_srl_epi32(low, down_), largest_);
      const __m512i high_cut = _mm512_min_epu32(_mm512_srl_epi32(high, down_), largest_);
      const __mmask16 low_regular = _mm512_cmple_epu32_mask(low, last_regular_);
      const __mmask16 high_regular = _mm512_cmple_epu32_mask(high, last_regular_);
      return {_mm512_sll_epi16(narrow(low_cut, high_cut), up_),
              _mm512_kunpackw(high_regular, low_regular) & valid};
    }
  }

 private:
  static __m512i set(std::uint32_t value) noexcept {
    return sizeof(Level) == 2 ? set16(value) : _mm512_set1_epi32(static_cast<int>(value));
  }

  __m512i largest_, last_regular_;
  __m128i down_, up_;
};

/// Tokens of levels whose raw bits and bases are known; words, 255 where the distance is larger.
template <typename Level>
inline __m512i tokens_of(const Level* levels, __mmask32 valid, const Level* bases,
                         __m512i raw_bits) noexcept {
  if constexpr (sizeof(Level) == 2) {
    const __m512i high = _mm512_srlv_epi16(_mm512_maskz_loadu_epi16(valid, levels), raw_bits);
    return _mm512_min_epu16(_mm512_sub_epi16(high, _mm512_loadu_si512(bases)), set16(255));
  } else {
    const auto distance = [&](__m512i level, __m512i bits, const Level* base) {
      const __m512i far = _mm512_sub_epi32(_mm512_srlv_epi32(level, bits), _mm512_loadu_si512(base));
      return _mm512_min_epu32(far, _mm512_set1_epi32(255));
    };
    const __m512i low = _mm512_maskz_loadu_epi32(low_half(valid), levels);
    const __m512i high = _mm512_maskz_loadu_epi32(high_half(valid), levels + 16);
    return narrow(distance(low, widen_low(raw_bits), bases),
                  distance(high, widen_high(raw_bits), bases + 16));
  }
}

/// Levels that token 0 stands for, in units of 1 << raw bits: zero but in residual classes. `predicted`: words, not yet
/// shifted by `down`.
template <typename Level>
inline void store_bases(Level* bases, __m512i predicted, __m128i down, __m512i raw_bits,
                        __mmask32 residual) noexcept {
  if constexpr (sizeof(Level) == 2) {
    const __m512i units = _mm512_srlv_epi16(_mm512_sll_epi16(predicted, down), raw_bits);
    _mm512_storeu_si512(bases, _mm512_maskz_sub_epi16(residual, units, set16(128)));
  } else {
    const auto store = [&](Level* out, __m512i words, __m512i bits, __mmask16 kept) {
      const __m512i units = _mm512_srlv_epi32(_mm512_sll_epi32(words, down), bits);
      _mm512_storeu_si512(out, _mm512_maskz_sub_epi32(kept, units, _mm512_set1_epi32(128)));
    };
    store(bases, widen_low(predicted), widen_low(raw_bits), low_half(residual));
    store(bases + 16, widen_high(predicted), widen_high(raw_bits), high_half(residual));
  }
}

}  // namespace ff::kernels::cpu::avx512

#pragma GCC pop_options
