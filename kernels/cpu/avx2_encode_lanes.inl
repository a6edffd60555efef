// SPDX-License-Identifier: Apache-2.0
//
// Encoding lanes in AVX2. Part of generic_codec.inl; with avx2_decode_lanes.inl in place of generic_lanes.inl.
//
// Meaning    docs/formats/block.md §7; the arithmetic of reciprocals.hpp.
// Not here   tables as the file has them (kernels/format/context_tables.hpp), whole frames (generic_streams.inl).
//
// Table entries are loaded one by one, here and in decoding: from indices in memory, gather instructions are slower on most
// processors that have AVX2 alone.

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
