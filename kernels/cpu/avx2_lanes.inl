// SPDX-License-Identifier: Apache-2.0
//
// Lanes in AVX2: the 32 states of a stream are four vectors. Part of generic_codec.inl, in place of generic_lanes.inl.
//
// Meaning    docs/formats/block.md §7; the arithmetic of reciprocals.hpp.
// Not here   tables as the file has them (kernels/format/context_tables.hpp), whole frames (generic_streams.inl).
//
// AVX2 has neither compress nor expand: words are moved by a byte shuffle looked up by the eight lanes' mask. Table entries are
// loaded one by one: from indices in memory, gather instructions are slower on most processors that have AVX2 alone.

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

// Of an encoder entry: multiplier | word << 32, where word is (f - 1) << 20 | start << 8 | raw bits << 3 | rule of the reciprocal.
// Raw bits of 32 are written as 31.
constexpr unsigned kRawShift = 3, kRawMask = 31, kRaw32 = 31;
constexpr std::uint32_t kRawField = kRawMask << kRawShift;

struct EncoderTable {
  EncoderTable(const ContextTables& tables, std::uint8_t level_bits)
      : bits(tables.bits), entries(std::make_unique_for_overwrite<std::uint64_t[]>(kInactive + 1u)) {
    const std::vector<NarrowReciprocal>& reciprocals = narrow_reciprocals(bits);
    for_each_symbol(
        tables, level_bits, [&](std::size_t symbol, std::uint32_t f, std::uint32_t start, std::uint8_t raw) {
          const NarrowReciprocal reciprocal = reciprocals[f];
          const std::uint32_t raw_bits = raw == 32 ? kRaw32 : raw;
          entries[symbol] =
              std::uint64_t{(f - 1) << 20 | start << 8 | raw_bits << kRawShift | reciprocal.rule} << 32 |
              reciprocal.multiplier;
        });
    entries[kInactive] = std::uint64_t{(1u << bits) - 1} << 52;  // the whole scale: leaves the state as it is
  }

  unsigned bits;
  std::unique_ptr<std::uint64_t[]> entries;
};

// Entries of 8 symbols: multipliers for the lanes that unpacklo and unpackhi choose, and words.
struct EightEntries {
  Eight low, high, words;
};
inline EightEntries look_up(const std::uint64_t* entries, const std::uint16_t* symbols) noexcept {
  const auto two = [&](std::size_t i) {
    return _mm_loadh_pd(_mm_load_sd(reinterpret_cast<const double*>(entries + symbols[i])),
                        reinterpret_cast<const double*>(entries + symbols[i + 1]));
  };
  const __m256d low = _mm256_insertf128_pd(_mm256_castpd128_pd256(two(0)), two(4), 1);
  const __m256d high = _mm256_insertf128_pd(_mm256_castpd128_pd256(two(2)), two(6), 1);
  const __m256 words =
      _mm256_shuffle_ps(_mm256_castpd_ps(low), _mm256_castpd_ps(high), _MM_SHUFFLE(3, 1, 3, 1));
  return {_mm256_castpd_si256(low), _mm256_castpd_si256(high), _mm256_castps_si256(words)};
}

// The rules of all reciprocals, looked up by the low bits of an entry's word.
struct RuleVectors {
  Eight shifts, addends;

  RuleVectors() noexcept {
    std::array<std::uint32_t, 8> shift, addend;
    for (std::size_t rule = 0; rule < 8; ++rule) {
      shift[rule] = kNarrowRules[rule].shift - 32u;  // behind the product's high half
      addend[rule] = kNarrowRules[rule].addend;
    }
    shifts = load32(shift.data());
    addends = load32(addend.data());
  }
};

// x / f × S + x mod f + start = x + x / f × (S - f) + start.
template <unsigned kBits>
Eight put_token(Eight x, const EightEntries& entry, const RuleVectors& rules, std::uint16_t*& out) noexcept {
  const Eight f_less_1 = _mm256_srli_epi32(entry.words, 20);
  const Eight high_part = _mm256_srli_epi32(x, 32 - kBits);
  x = emit(x, _mm256_cmpgt_epi32(high_part, f_less_1), out);
  const Eight dividend = _mm256_add_epi32(x, _mm256_permutevar8x32_epi32(rules.addends, entry.words));
  const Eight low = _mm256_mul_epu32(_mm256_unpacklo_epi32(dividend, dividend), entry.low);
  const Eight high = _mm256_mul_epu32(_mm256_unpackhi_epi32(dividend, dividend), entry.high);
  const Eight product = _mm256_castps_si256(
      _mm256_shuffle_ps(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high), _MM_SHUFFLE(3, 1, 3, 1)));
  const Eight q = _mm256_srlv_epi32(product, _mm256_permutevar8x32_epi32(rules.shifts, entry.words));
  const Eight complement = _mm256_sub_epi32(set32((1u << kBits) - 1), f_less_1);
  const Eight start = _mm256_srli_epi32(_mm256_slli_epi32(entry.words, 12), 20);
  return _mm256_add_epi32(_mm256_add_epi32(x, start), _mm256_mullo_epi32(q, complement));
}

// k raw bits a lane, 16 at most; 0 where there are none.
inline Eight put_bits(Eight x, Eight value, Eight k, std::uint16_t*& out) noexcept {
  const Eight overflow = _mm256_srlv_epi32(x, _mm256_sub_epi32(set32(32), k));
  const Eight stays = _mm256_cmpeq_epi32(overflow, _mm256_setzero_si256());
  x = emit(x, _mm256_xor_si256(stays, set32(~0u)), out);
  return _mm256_or_si256(_mm256_sllv_epi32(x, k),
                         _mm256_andnot_si256(_mm256_sllv_epi32(set32(~0u), k), value));
}

// Tokens of one group of 32 positions. Idle lanes have an entry of their own, so that none is asked.
template <unsigned kBits>
void put_tokens(std::uint32_t* state, const std::array<EightEntries, 4>& entry,
                std::uint16_t*& out) noexcept {
  const RuleVectors rules;
  std::uint16_t* to = out;
  for (std::size_t v = 4; v-- > 0;)
    store32(state + kEight * v, put_token<kBits>(load32(state + kEight * v), entry[v], rules, to));
  out = to;
}
inline std::array<EightEntries, 4> group_entries(const std::uint16_t* symbols,
                                                 const EncoderTable& table) noexcept {
  const std::uint64_t* entries = table.entries.get();
  return {look_up(entries, symbols), look_up(entries, symbols + kEight),
          look_up(entries, symbols + 2 * kEight), look_up(entries, symbols + 3 * kEight)};
}
template <unsigned kBits>
void put_tokens(std::uint32_t* state, const std::uint16_t* symbols, const EncoderTable& table,
                std::uint16_t*& out) noexcept {
  put_tokens<kBits>(state, group_entries(symbols, table), out);
}

template <typename Level>
struct EncoderStream {
  alignas(32) std::array<std::uint32_t, kLanes> state;
  std::uint16_t* out = nullptr;

  template <unsigned kBits>
  void put_group(const std::uint16_t* symbols, const Level* levels, const EncoderTable& table) noexcept {
    const std::array<EightEntries, 4> entry = group_entries(symbols, table);
    const Eight any = _mm256_or_si256(_mm256_or_si256(entry[0].words, entry[1].words),
                                      _mm256_or_si256(entry[2].words, entry[3].words));
    if (_mm256_testz_si256(any, set32(kRawField)) == 0) put_raw(levels, entry);
    put_tokens<kBits>(state.data(), entry, out);
  }

 private:
  void put_raw(const Level* levels, const std::array<EightEntries, 4>& entry) noexcept {
    const auto raw_bits = [&](std::size_t v) {
      return _mm256_and_si256(_mm256_srli_epi32(entry[v].words, kRawShift), set32(kRawMask));
    };
    const auto put = [&](std::size_t v, Eight value, Eight k) {
      store32(&state[kEight * v], put_bits(load32(&state[kEight * v]), value, k, out));
    };
    if constexpr (sizeof(Level) == 4) {
      for (std::size_t v = 4; v-- > 0;) {
        const Eight twice = _mm256_cmpeq_epi32(raw_bits(v), set32(kRaw32));
        put(v, widened(levels + kEight * v), _mm256_and_si256(twice, set32(16)));
      }
    }
    for (std::size_t v = 4; v-- > 0;) {
      Eight level = widened(levels + kEight * v), k = raw_bits(v);
      if constexpr (sizeof(Level) == 4) {
        const Eight twice = _mm256_cmpeq_epi32(k, set32(kRaw32));
        level = _mm256_srlv_epi32(level, _mm256_and_si256(twice, set32(16)));
        k = _mm256_min_epu32(k, set32(16));  // classes have 15 at most, escapes 8, 16 or 32
      }
      put(v, level, k);
    }
  }
};

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
