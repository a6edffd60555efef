// SPDX-License-Identifier: Apache-2.0
//
// Decoding lanes in AVX2. Part of generic_codec.inl; with avx2_encode_lanes.inl in place of generic_lanes.inl.
//
// Meaning    docs/formats/block.md §7.
// Not here   the decoder's table (lane_tables.inl), whole frames (generic_streams.inl).

// Decoder entries of 8 indices.
inline Eight entries_at(const std::uint32_t* entries, Eight index) noexcept {
  alignas(32) std::array<std::uint32_t, kEight> at;
  store32(at.data(), index);
  const auto four = [&](std::size_t i) {
    __m128i words = _mm_cvtsi32_si128(static_cast<int>(entries[at[i]]));
    words = _mm_insert_epi32(words, static_cast<int>(entries[at[i + 1]]), 1);
    words = _mm_insert_epi32(words, static_cast<int>(entries[at[i + 2]]), 2);
    return _mm_insert_epi32(words, static_cast<int>(entries[at[i + 3]]), 3);
  };
  return _mm256_inserti128_si256(_mm256_castsi128_si256(four(0)), four(4), 1);
}

inline Eight active_of(Eight context) noexcept {
  return _mm256_cmpeq_epi32(_mm256_and_si256(context, set32(kInactive)), _mm256_setzero_si256());
}

// A token of 8 lanes, and their states. Idle lanes keep theirs and give token 0.
template <unsigned kBits, bool kAll>
Eight get_token(Eight& x, Eight context, const std::uint32_t* entries, const std::uint16_t*& in) noexcept {
  const Eight slot = _mm256_and_si256(x, set32((1u << kBits) - 1));
  Eight index = _mm256_or_si256(_mm256_slli_epi32(_mm256_srli_epi32(context, 8), kBits), slot);
  if constexpr (!kAll) index = _mm256_and_si256(index, active_of(context));
  Eight entry = entries_at(entries, index);
  const Eight offset = _mm256_and_si256(_mm256_srli_epi32(entry, 8), set32(0xfff));
  const Eight product = _mm256_mullo_epi32(_mm256_srli_epi32(entry, 20), _mm256_srli_epi32(x, kBits));
  Eight next = _mm256_add_epi32(product, offset);
  if constexpr (!kAll) {
    next = _mm256_blendv_epi8(x, next, active_of(context));
    entry = _mm256_and_si256(entry, active_of(context));
  }
  x = refill(next, in);
  return _mm256_and_si256(entry, set32(255));
}

inline void store_levels(std::uint16_t* levels, Eight a, Eight b) noexcept {
  const Eight low = set32(0xffff);
  const Eight packed = _mm256_packus_epi32(_mm256_and_si256(a, low), _mm256_and_si256(b, low));
  store32(levels, _mm256_permute4x64_epi64(packed, _MM_SHUFFLE(3, 1, 2, 0)));
}
inline void store_levels(std::uint32_t* levels, Eight a, Eight b) noexcept {
  store32(levels, a);
  store32(levels + kEight, b);
}

// Tokens of one group; 0 where nothing is coded.
template <unsigned kBits, bool kAll>
void get_lanes(std::uint32_t* state, const Group& context, const std::uint32_t* entries,
               const std::uint16_t*& in, Group& tokens) noexcept {
  const std::uint16_t* from = in;
  for (std::size_t v = 0; v < 4; ++v) {
    Eight x = load32(state + kEight * v);
    tokens[v] = get_token<kBits, kAll>(x, context[v], entries, from);
    store32(state + kEight * v, x);
  }
  in = from;
}
inline Eight either(const Group& lanes) noexcept {
  return _mm256_or_si256(_mm256_or_si256(lanes[0], lanes[1]), _mm256_or_si256(lanes[2], lanes[3]));
}
inline Group group_contexts(const std::uint16_t* contexts) noexcept {
  return {widened(contexts), widened(contexts + kEight), widened(contexts + 2 * kEight),
          widened(contexts + 3 * kEight)};
}
inline void get_tokens(std::uint32_t* state, const Group& context, const std::uint32_t* entries,
                       unsigned probability_bits, const std::uint16_t*& in, Group& tokens) noexcept {
  const bool all = _mm256_testz_si256(either(context), set32(kInactive)) != 0;
  with_bits(probability_bits, [&](auto bits) {
    all ? get_lanes<bits.value, true>(state, context, entries, in, tokens)
        : get_lanes<bits.value, false>(state, context, entries, in, tokens);
  });
}
inline void get_tokens(std::uint32_t* state, const std::uint16_t* contexts, const std::uint32_t* entries,
                       unsigned bits, const std::uint16_t*& in, std::uint16_t* tokens) noexcept {
  Group token;
  get_tokens(state, group_contexts(contexts), entries, bits, in, token);
  store_levels(tokens, token[0], token[1]);
  store_levels(tokens + 2 * kEight, token[2], token[3]);
}

template <typename Level>
struct DecoderStream : LaneReader {
  void get_group(const std::uint16_t* contexts, const Level* bases, Level* levels,
                 const std::uint32_t* entries, unsigned bits, unsigned level_bits) noexcept {
    const Group context = group_contexts(contexts);
    Group token;
    get_tokens(state.data(), context, entries, bits, in, token);
    Eight any = either(context);
    for (const Eight tokens : token.of)
      any = _mm256_or_si256(any, _mm256_cmpeq_epi32(tokens, set32(kEscape)));
    const auto high = [&](std::size_t v) { return _mm256_add_epi32(token[v], widened(bases + kEight * v)); };
    if (_mm256_testz_si256(any, set32(15)) != 0) {
      store_levels(levels, high(0), high(1));
      store_levels(levels + 2 * kEight, high(2), high(3));
    } else {
      Group level;
      const Group highs{high(0), high(1), high(2), high(3)};
      get_raw(context, token, highs, level, level_bits);
      store_levels(levels, level[0], level[1]);
      store_levels(levels + 2 * kEight, level[2], level[3]);
    }
    check_end();
  }

 private:
  // Takes k bits a lane, 16 at most.
  Eight get_bits(std::size_t v, Eight k) noexcept {
    const Eight x = load32(&state[kEight * v]);
    store32(&state[kEight * v], refill(_mm256_srlv_epi32(x, k), in));
    return _mm256_andnot_si256(_mm256_sllv_epi32(set32(~0u), k), x);
  }
  void get_raw(const Group& context, const Group& token, const Group& high, Group& level,
               unsigned level_bits) noexcept {
    Group escapes, raw;
    const Eight escape_bits = set32(std::min(level_bits, 16u));
    for (std::size_t v = 0; v < 4; ++v) {
      escapes[v] = _mm256_cmpeq_epi32(token[v], set32(kEscape));
      const Eight k = _mm256_blendv_epi8(_mm256_and_si256(context[v], set32(15)), escape_bits, escapes[v]);
      raw[v] = get_bits(v, k);
      level[v] = _mm256_or_si256(_mm256_sllv_epi32(high[v], k), raw[v]);
    }
    const bool any_second = level_bits > 16 && mask_of(either(escapes)) != 0;
    for (std::size_t v = 0; any_second && v < 4; ++v) {
      const Eight twice = _mm256_and_si256(escapes[v], set32(16));
      raw[v] = _mm256_or_si256(_mm256_sllv_epi32(raw[v], twice), get_bits(v, twice));
    }
    for (std::size_t v = 0; v < 4; ++v) level[v] = _mm256_blendv_epi8(level[v], raw[v], escapes[v]);
  }
};
