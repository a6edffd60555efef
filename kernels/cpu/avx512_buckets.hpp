// SPDX-License-Identifier: Apache-2.0
//
// Tables by bucket of a 15-bit key in AVX-512: seven registers, looked up by permutes.
//
// Data path  predict > [context] > token > lanes
// Meaning    docs/formats/block.md §6.3.
// Not here   what a bucket's entry means to a pixel (avx512_predict.cpp, avx512_phase_levels.cpp). Include only from
//            files compiled for AVX-512.
#pragma once

#include <array>
#include <cstdint>
#include <immintrin.h>

#include "kernels/format/context_tables.hpp"

// From here on this file's own functions are compiled for AVX-512; what the headers above define is not.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,bmi2,popcnt")

namespace ff::kernels::cpu::avx512 {

/// A word by bucket. Of contexts: first context | raw bits << 8 | split << 14 | residual << 15.
using EntryTable = std::array<std::uint16_t, kBuckets>;
inline constexpr std::uint16_t kResidualBit = 0x8000, kSplitBit = 0x4000;

struct ContextEntries {
  alignas(64) EntryTable words{};
  bool any_split = false;

  explicit ContextEntries(const ContextTables& tables) noexcept {
    const auto buckets = bucket_entries(tables);
    for (std::size_t b = 0; b < kBuckets; ++b) {
      words[b] = static_cast<std::uint16_t>(buckets[b].first_context | buckets[b].raw_bits << 8 |
                                            (buckets[b].residual ? kResidualBit : 0) |
                                            (buckets[b].split ? kSplitBit : 0));
      any_split = any_split || buckets[b].split;
    }
  }
};

/// A table in registers.
struct BucketTable {
  __m512i low0, low1, mid0, mid1, high0, high1, top;

  explicit BucketTable(const EntryTable& t) noexcept
      : low0(_mm512_loadu_si512(&t[0])),
        low1(_mm512_loadu_si512(&t[32])),
        mid0(_mm512_loadu_si512(&t[64])),
        mid1(_mm512_loadu_si512(&t[96])),
        high0(_mm512_loadu_si512(&t[128])),
        high1(_mm512_loadu_si512(&t[160])),
        top(_mm512_loadu_si512(&t[192])) {}

  [[nodiscard]] __m512i at(__m512i key) const noexcept {
    __m512i entry = _mm512_permutex2var_epi16(low0, _mm512_srli_epi16(key, 2), low1);
    const __mmask32 above_low = _mm512_cmpge_epu16_mask(key, _mm512_set1_epi16(256));
    if (above_low == 0) return entry;
    const __m512i mid = _mm512_permutex2var_epi16(mid0, _mm512_srli_epi16(key, 5), mid1);
    const __m512i high = _mm512_permutex2var_epi16(high0, _mm512_srli_epi16(key, 7), high1);
    entry = _mm512_mask_mov_epi16(entry, above_low, mid);
    entry = _mm512_mask_mov_epi16(entry, _mm512_cmpge_epu16_mask(key, _mm512_set1_epi16(2048)), high);
    const __mmask32 above_high = _mm512_cmpge_epu16_mask(key, _mm512_set1_epi16(8192));
    return _mm512_mask_permutexvar_epi16(entry, above_high, _mm512_srli_epi16(key, 10), top);
  }
};

}  // namespace ff::kernels::cpu::avx512

#pragma GCC pop_options
