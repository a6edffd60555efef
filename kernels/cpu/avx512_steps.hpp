// SPDX-License-Identifier: Apache-2.0
//
// Steps of 16 lanes in AVX-512: a token or raw bits go in, or come out; words leave or come.
//
// Data path  token > [steps] > block
// Meaning    docs/formats/block.md §7.
// Not here   which lanes, tables and words (avx512_lanes.cpp, avx512_cells.cpp). Include only from files compiled for
//            AVX-512.
#pragma once

#include <bit>
#include <cstdint>
#include <immintrin.h>

#include "kernels/format/sections.hpp"

// From here on this file's own functions are compiled for AVX-512; what the headers above define is not.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,bmi2,popcnt")

namespace ff::kernels::cpu::avx512 {

using Half = __m512i;  // 16 lanes

inline Half set32(std::uint32_t value) noexcept { return _mm512_set1_epi32(static_cast<int>(value)); }

inline Half load16(const std::uint16_t* p) noexcept {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

// 16 levels, of 16 or of 32 bits.
inline Half load_levels(const std::uint16_t* p) noexcept { return load16(p); }
inline Half load_levels(const std::uint32_t* p) noexcept { return _mm512_loadu_si512(p); }
inline Half load_levels(__mmask16 there, const std::uint16_t* p) noexcept {
  return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there, p));
}
inline Half load_levels(__mmask16 there, const std::uint32_t* p) noexcept {
  return _mm512_maskz_loadu_epi32(there, p);
}
inline void store_levels(std::uint16_t* p, Half levels) noexcept {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(levels));
}
inline void store_levels(std::uint32_t* p, Half levels) noexcept { _mm512_storeu_si512(p, levels); }

// Table entries one by one: from indices in memory, a gather instruction takes two thirds longer where it is made of
// microcode. Where indices come out of a register there is no difference.
inline __m128i entries_at(const std::uint32_t* entries, std::uint64_t a, std::uint64_t b, std::uint64_t c,
                          std::uint64_t d) noexcept {
  __m128i four = _mm_cvtsi32_si128(static_cast<int>(entries[a]));
  four = _mm_insert_epi32(four, static_cast<int>(entries[b]), 1);
  four = _mm_insert_epi32(four, static_cast<int>(entries[c]), 2);
  return _mm_insert_epi32(four, static_cast<int>(entries[d]), 3);
}

inline Half joined(__m128i a, __m128i b, __m128i c, __m128i d) noexcept {
  const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
  const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(c), d, 1);
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

// 16 indices that lie in memory.
inline Half look_up(const std::uint32_t* entries, const std::uint16_t* i) noexcept {
  return joined(entries_at(entries, i[0], i[1], i[2], i[3]), entries_at(entries, i[4], i[5], i[6], i[7]),
                entries_at(entries, i[8], i[9], i[10], i[11]),
                entries_at(entries, i[12], i[13], i[14], i[15]));
}

// The low words of the chosen lanes leave downwards, ascending in memory.
inline Half emit(Half x, __mmask16 leaves, std::uint16_t*& out) noexcept {
  const int count = std::popcount(static_cast<unsigned>(leaves));
  out -= count;
  const __m256i words = _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(leaves, x));
  _mm256_mask_storeu_epi16(out, static_cast<__mmask16>((1u << count) - 1u), words);
  return _mm512_mask_srli_epi32(x, leaves, x, 16);
}

// Raw bits of 16 lanes; k = 0 where there are none.
inline Half put_raw(Half x, Half level, Half k, std::uint16_t*& out) noexcept {
  const Half overflow = _mm512_srlv_epi32(x, _mm512_sub_epi32(set32(32), k));
  x = emit(x, _mm512_test_epi32_mask(overflow, overflow), out);
  const Half low = _mm512_andnot_si512(_mm512_sllv_epi32(set32(~0u), k), level);
  return _mm512_or_si512(_mm512_sllv_epi32(x, k), low);
}

/// The raw bits of an escape from 32-bit levels go in two steps of so many; no class has more than 15.
inline constexpr std::uint32_t kStepBits = 16;

// Raw bits of 32 lanes, `bits` of the first step. The second one, of the low bits, is put first.
template <typename Level>
inline void put_raw_steps(Half (&x)[2], const Half (&level)[2], const Half (&bits)[2],
                          std::uint16_t*& out) noexcept {
  Half value[2] = {level[0], level[1]};
  if constexpr (sizeof(Level) == 4) {
    const Half step = set32(kStepBits);
    const __mmask16 two[2] = {_mm512_cmpeq_epi32_mask(bits[0], step), _mm512_cmpeq_epi32_mask(bits[1], step)};
    for (const std::size_t h : {1u, 0u}) {
      if ((two[0] | two[1]) == 0) break;
      x[h] = put_raw(x[h], level[h], _mm512_maskz_mov_epi32(two[h], step), out);
      value[h] = _mm512_mask_srli_epi32(level[h], two[h], level[h], kStepBits);
    }
  }
  for (const std::size_t h : {1u, 0u}) x[h] = put_raw(x[h], value[h], bits[h], out);
}

// floor(x / f) by float, corrected by at most one: both roundings together stay below a quarter.
inline Half put_token(Half x, Half entry, __mmask16 active, Half bits, std::uint16_t*& out) noexcept {
  const Half f = _mm512_srli_epi32(entry, 17);
  const Half start = _mm512_and_si512(entry, set32(0xfff));
  const Half rest_bits = _mm512_sub_epi32(set32(32), bits);
  x = emit(x, _mm512_mask_cmpge_epu32_mask(active, _mm512_srlv_epi32(x, rest_bits), f), out);
  Half q = _mm512_cvttps_epu32(_mm512_div_ps(_mm512_cvtepu32_ps(x), _mm512_cvtepu32_ps(f)));
  Half rest = _mm512_sub_epi32(x, _mm512_mullo_epi32(q, f));
  const __mmask16 high = _mm512_movepi32_mask(rest);
  q = _mm512_mask_sub_epi32(q, high, q, set32(1));
  rest = _mm512_mask_add_epi32(rest, high, rest, f);
  const __mmask16 low = _mm512_cmpge_epi32_mask(rest, f);
  q = _mm512_mask_add_epi32(q, low, q, set32(1));
  rest = _mm512_mask_sub_epi32(rest, low, rest, f);
  const Half next = _mm512_add_epi32(_mm512_sllv_epi32(q, bits), _mm512_add_epi32(rest, start));
  return _mm512_mask_mov_epi32(x, active, next);
}

inline Half raw_bits_of(Half entry) noexcept {
  return _mm512_and_si512(_mm512_srli_epi32(entry, 12), set32(31));
}

// Words come for the lanes below 2^16, in ascending lane order.
inline Half refill(Half x, const std::uint16_t*& in) noexcept {
  const __mmask16 needs = _mm512_cmplt_epu32_mask(x, set32(kLaneStart));
  const Half words = _mm512_maskz_expand_epi32(needs, load16(in));
  in += std::popcount(static_cast<unsigned>(needs));
  return _mm512_mask_or_epi32(x, needs, _mm512_slli_epi32(x, 16), words);
}

// The low half of an escape's bits, behind the high one.
inline void get_second_step(Half& x, Half& raw, __mmask16 escaped, const std::uint16_t*& in) noexcept {
  const Half low = _mm512_and_si512(x, set32(0xffff));
  raw = _mm512_mask_or_epi32(raw, escaped, _mm512_slli_epi32(raw, kStepBits), low);
  x = refill(_mm512_mask_srli_epi32(x, escaped, x, kStepBits), in);
}

struct Decoded {
  Half state, token;
};

// Idle lanes keep their state and give token 0.
inline Decoded get_token(Half x, Half context, const std::uint32_t* entries, __mmask16 active,
                         Half bits) noexcept {
  const Half slot = _mm512_andnot_si512(_mm512_sllv_epi32(set32(~0u), bits), x);
  const Half table = _mm512_sllv_epi32(_mm512_srli_epi32(context, 8), bits);
  const Half index = _mm512_or_si512(table, slot);
  const Half entry = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), active, index, entries, 4);
  const Half f = _mm512_srli_epi32(entry, 20);
  const Half offset = _mm512_and_si512(_mm512_srli_epi32(entry, 8), set32(0xfff));
  const Half product = _mm512_mullo_epi32(f, _mm512_srlv_epi32(x, bits));
  return {_mm512_mask_add_epi32(x, active, product, offset), _mm512_and_si512(entry, set32(255))};
}

}  // namespace ff::kernels::cpu::avx512

#pragma GCC pop_options
