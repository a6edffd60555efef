// SPDX-License-Identifier: Apache-2.0
//
// Weighted sums of rows in AVX2: vpmaddwd takes two features at a time. Part of generic_codec.inl, in place of generic_mix.inl.
//
// Meaning    docs/formats/block.md §6.7, §6.8.
// Not here   which rows (generic_phase_rows.inl).

// Sums of 32 pixels: of each quarter those that unpacklo and unpackhi choose.
struct MixSums {
  __m256i of[4];

  void add(const std::uint16_t* a, const std::uint16_t* b, __m256i weights) noexcept {
    for (std::size_t h = 0; h < 2; ++h) {
      const __m256i one = load32(a + 16 * h), other = load32(b + 16 * h);
      of[2 * h] = _mm256_add_epi32(of[2 * h], _mm256_madd_epi16(_mm256_unpacklo_epi16(one, other), weights));
      of[2 * h + 1] =
          _mm256_add_epi32(of[2 * h + 1], _mm256_madd_epi16(_mm256_unpackhi_epi16(one, other), weights));
    }
  }
};

// As in generic_mix.inl. Packing saturates at 32767, which is the upper bound.
inline void weighted_sum(const MixRows& mix, std::size_t width, std::int16_t least,
                         std::uint16_t* out) noexcept {
  const __m256i start = _mm256_set1_epi32(mix.start()), floor = _mm256_set1_epi16(least);
  const std::uint16_t* const* rows = mix.rows();
  for (std::size_t x = 0; x < width; x += 32) {
    MixSums sum{{start, start, start, start}};
    for (std::size_t j = 0; j < mix.count(); j += 2) {
      std::int32_t pair = 0;
      std::memcpy(&pair, mix.weights() + j, sizeof(pair));
      sum.add(rows[j] + x, rows[j + 1] + x, _mm256_set1_epi32(pair));
    }
    for (std::size_t h = 0; h < 2; ++h) {
      const __m256i packed =
          _mm256_packs_epi32(_mm256_srai_epi32(sum.of[2 * h], 12), _mm256_srai_epi32(sum.of[2 * h + 1], 12));
      store32(out + x + 16 * h, _mm256_max_epi16(packed, floor));
    }
  }
}
