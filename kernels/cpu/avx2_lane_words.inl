// SPDX-License-Identifier: Apache-2.0
//
// AVX2 vectors of lanes, and how words leave and enter them. The 32 states of a stream are four vectors. Part of
// generic_codec.inl.
//
// Meaning    docs/formats/block.md §7.
// Not here   tokens and raw bits (avx2_encode_lanes.inl, avx2_decode_lanes.inl).
//
// AVX2 has neither compress nor expand: words are moved by a byte shuffle looked up by the eight lanes' mask.

using Eight = __m256i;  // 8 lanes
constexpr std::size_t kEight = 8;

// A group's 32 lanes.
struct Group {
  Eight of[4];

  Eight& operator[](std::size_t v) noexcept { return of[v]; }
  const Eight& operator[](std::size_t v) const noexcept { return of[v]; }
};

inline Eight set32(std::uint32_t value) noexcept { return _mm256_set1_epi32(static_cast<int>(value)); }
inline Eight load32(const void* p) noexcept { return _mm256_loadu_si256(static_cast<const Eight*>(p)); }
inline void store32(void* p, Eight value) noexcept { _mm256_storeu_si256(static_cast<Eight*>(p), value); }
inline __m128i load_words(const std::uint16_t* p) noexcept {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
inline Eight widened(const std::uint16_t* p) noexcept { return _mm256_cvtepu16_epi32(load_words(p)); }
inline Eight widened(const std::uint32_t* p) noexcept { return load32(p); }
inline unsigned mask_of(Eight lanes) noexcept {
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(lanes)));
}
// The low words of 8 lanes.
inline __m128i low_words(Eight x) noexcept {
  const Eight words =
      _mm256_shuffle_epi8(x, _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                              -1, -1, -1, -1, -1, -1, -1, 0, 1, 4, 5, 8, 9, 12, 13));
  return _mm_or_si128(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

// Byte shuffles of 8 words, by the mask of chosen lanes. `leave`: the chosen words to the end, in order; `come`: words from the
// beginning to the chosen places, 0 elsewhere.
struct WordShuffles {
  alignas(16) std::array<std::array<std::uint8_t, 16>, 256> leave{}, come{};
};
consteval WordShuffles make_word_shuffles() {
  WordShuffles shuffles;
  for (std::size_t mask = 0; mask < 256; ++mask) {
    auto &leave = shuffles.leave[mask], &come = shuffles.come[mask];
    leave.fill(0x80);
    come.fill(0x80);
    std::size_t to = kEight - static_cast<std::size_t>(std::popcount(mask)), from = 0;
    for (std::size_t lane = 0; lane < kEight; ++lane) {
      if ((mask >> lane & 1) == 0) continue;
      for (std::size_t byte = 0; byte < 2; ++byte) {
        leave[2 * to + byte] = static_cast<std::uint8_t>(2 * lane + byte);
        come[2 * lane + byte] = static_cast<std::uint8_t>(2 * from + byte);
      }
      ++to;
      ++from;
    }
  }
  return shuffles;
}
inline constexpr WordShuffles kWordShuffles = make_word_shuffles();

inline __m128i shuffle_of(const std::array<std::array<std::uint8_t, 16>, 256>& table,
                          unsigned mask) noexcept {
  return _mm_load_si128(reinterpret_cast<const __m128i*>(table[mask].data()));
}

// The low words of the chosen lanes leave downwards, ascending in memory. Writes 8 words; those below the new `out` are
// written again later.
inline Eight emit(Eight x, Eight leaves, std::uint16_t*& out) noexcept {
  const unsigned mask = mask_of(leaves);
  const __m128i words = _mm_shuffle_epi8(low_words(x), shuffle_of(kWordShuffles.leave, mask));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out - kEight), words);
  out -= std::popcount(mask);
  return _mm256_srlv_epi32(x, _mm256_and_si256(leaves, set32(16)));
}

// Words come for the lanes below 2^16, in ascending lane order.
inline Eight refill(Eight x, const std::uint16_t*& in) noexcept {
  const Eight needs = _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), _mm256_setzero_si256());
  const unsigned mask = mask_of(needs);
  const __m128i words = _mm_shuffle_epi8(load_words(in), shuffle_of(kWordShuffles.come, mask));
  in += std::popcount(mask);
  return _mm256_or_si256(_mm256_sllv_epi32(x, _mm256_and_si256(needs, set32(16))),
                         _mm256_cvtepu16_epi32(words));
}
