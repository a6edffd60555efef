// SPDX-License-Identifier: Apache-2.0
//
// Lanes in plain loops: 32 range coders and their words, as in kernels/reference/lanes.cpp (block.md §7).
// Part of generic_codec.inl, which says how these files are included.
//
// Not here   contexts and tokens (generic_predict.inl, generic_codec.inl), AVX2 (avx2_*_lanes.inl).

// What encoding a symbol needs. x leaves a word from `limit` on; f << (32 - bits), because f < 1 << bits.
struct EncoderEntry {
  std::uint64_t reciprocal = 0;
  std::uint32_t limit = 0;
  std::uint16_t start = 0, complement = 0;  ///< complement: (1 << bits) - f
};

struct EncoderTable {
  EncoderTable(const ContextTables& tables, std::uint8_t level_bits)
      : bits(tables.bits),
        entries(tables.frequencies.size() * kSymbols),
        raw_bits(kInactive + std::size_t{1}) {
    for_each_symbol(
        tables, level_bits, [&](std::size_t symbol, std::uint32_t f, std::uint32_t start, std::uint8_t raw) {
          if (f == 0) return;  // a context without an escape: no block has one
          entries[symbol] = {wide_reciprocal(f, bits), f << (32 - bits), static_cast<std::uint16_t>(start),
                             static_cast<std::uint16_t>((1u << bits) - f)};
          raw_bits[symbol] = raw;
        });
  }

  unsigned bits;
  std::vector<EncoderEntry> entries;
  std::vector<std::uint8_t> raw_bits;  ///< 0 for kInactive
};

// A token goes in; x / f × S + x mod f + start = x + x / f × (S - f) + start.
template <unsigned kBits>
std::uint32_t put_token(std::uint32_t x, const EncoderEntry& entry, std::uint16_t*& out) noexcept {
  const bool leaves = x >= entry.limit;
  out[-1] = static_cast<std::uint16_t>(x);  // kept only where the word leaves
  out -= leaves ? 1 : 0;
  x = leaves ? x >> 16 : x;
  const auto q = static_cast<std::uint32_t>(x * entry.reciprocal >> (32 + kBits));
  return x + q * entry.complement + entry.start;
}

// kAll: every lane codes something, so none is asked.
template <unsigned kBits, bool kAll>
void put_lanes(std::uint32_t* state, const std::uint16_t* symbols, const EncoderEntry* entries,
               std::uint16_t*& out) noexcept {
  std::uint16_t* to = out;
  for (std::size_t i = kLanes; i-- > 0;) {
    if (kAll || symbols[i] != kInactive) state[i] = put_token<kBits>(state[i], entries[symbols[i]], to);
  }
  out = to;
}
// Tokens of one group of 32 positions. Symbols are context << 8 | token.
template <unsigned kBits>
void put_tokens(std::uint32_t* state, const std::uint16_t* symbols, const EncoderTable& table,
                std::uint16_t*& out) noexcept {
  const EncoderEntry* entries = table.entries.data();
  all_active(symbols) ? put_lanes<kBits, true>(state, symbols, entries, out)
                      : put_lanes<kBits, false>(state, symbols, entries, out);
}

template <typename Level>
struct EncoderStream {
  std::array<std::uint32_t, kLanes> state;
  std::uint16_t* out = nullptr;

  template <unsigned kBits>
  void put_group(const std::uint16_t* symbols, const Level* levels, const EncoderTable& table) noexcept {
    std::array<std::uint8_t, kLanes> raw;
    std::uint32_t any = 0;
    for (std::size_t i = 0; i < kLanes; ++i) any |= raw[i] = table.raw_bits[symbols[i]];
    if (any != 0) put_raw(levels, raw, any > 31);
    put_tokens<kBits>(state.data(), symbols, table, out);
  }

 private:
  // Raw bits are at most 16, but for the escapes of 32-bit levels, which are 32.
  void put_raw(const Level* levels, const std::array<std::uint8_t, kLanes>& raw, bool any_second) noexcept {
    std::uint16_t* to = out;
    for (std::size_t i = kLanes; any_second && i-- > 0;)
      state[i] = with_raw(state[i], static_cast<std::uint32_t>(levels[i]), raw[i] > 16 ? 16 : 0, to);
    for (std::size_t i = kLanes; i-- > 0;) {
      const auto level = static_cast<std::uint32_t>(levels[i]);
      state[i] = any_second && raw[i] > 16 ? with_raw(state[i], level >> 16, raw[i] - 16u, to)
                                           : with_raw(state[i], level, raw[i], to);
    }
    out = to;
  }
  static std::uint32_t with_raw(std::uint32_t x, std::uint32_t value, unsigned bits,
                                std::uint16_t*& to) noexcept {
    const std::uint64_t shifted = std::uint64_t{x} << bits;
    const bool leaves = shifted >> 32 != 0;
    to[-1] = static_cast<std::uint16_t>(x);  // kept only where the word leaves
    to -= leaves ? 1 : 0;
    const std::uint32_t high = leaves ? x >> 16 << bits : static_cast<std::uint32_t>(shifted);
    return high | (value & ((1u << bits) - 1));
  }
};

inline std::uint32_t refilled(std::uint32_t x, const std::uint16_t*& in) noexcept {
  const bool wants = x < kLaneStart;
  const std::uint32_t filled = x << 16 | *in;
  in += wants ? 1 : 0;
  return wants ? filled : x;
}

template <unsigned kBits, bool kAll>
void get_lanes(std::uint32_t* state, const std::uint16_t* contexts, const std::uint32_t* entries,
               const std::uint16_t*& in, std::uint16_t* tokens) noexcept {
  const std::uint16_t* from = in;
  for (std::size_t i = 0; i < kLanes; ++i) {
    const std::uint32_t context = contexts[i];
    tokens[i] = 0;
    if (!kAll && context == kInactive) continue;
    const std::uint32_t x = state[i], slot = x & ((1u << kBits) - 1);
    const std::uint32_t entry = entries[context >> 8 << kBits | slot];
    state[i] = refilled((entry >> 20) * (x >> kBits) + (entry >> 8 & 0xfff), from);
    tokens[i] = static_cast<std::uint16_t>(entry & 255);
  }
  in = from;
}
// Tokens of one group; 0 where nothing is coded. Contexts are context << 8 | raw bits.
inline void get_tokens(std::uint32_t* state, const std::uint16_t* contexts, const std::uint32_t* entries,
                       unsigned probability_bits, const std::uint16_t*& in, std::uint16_t* tokens) noexcept {
  with_bits(probability_bits, [&](auto bits) {
    all_active(contexts) ? get_lanes<bits.value, true>(state, contexts, entries, in, tokens)
                         : get_lanes<bits.value, false>(state, contexts, entries, in, tokens);
  });
}

template <typename Level>
struct DecoderStream : LaneReader {
  void get_group(const std::uint16_t* contexts, const Level* bases, Level* levels,
                 const std::uint32_t* entries, unsigned bits, unsigned level_bits) noexcept {
    std::array<std::uint16_t, kLanes> tokens;
    get_tokens(state.data(), contexts, entries, bits, in, tokens.data());
    std::uint16_t any_raw = 0, most = 0;
    for (std::size_t i = 0; i < kLanes; ++i) {
      any_raw = static_cast<std::uint16_t>(any_raw | (contexts[i] & 15));
      most = std::max(most, tokens[i]);
    }
    if (any_raw != 0 || most == kEscape) {
      get_raw(contexts, tokens, bases, levels, level_bits, most == kEscape && level_bits > 16);
    } else {
      for (std::size_t i = 0; i < kLanes; ++i) levels[i] = static_cast<Level>(tokens[i] + bases[i]);
    }
    check_end();
  }

 private:
  // One step of raw bits for all but the escapes of 32-bit levels, which take two of 16.
  void get_raw(const std::uint16_t* contexts, const std::array<std::uint16_t, kLanes>& tokens,
               const Level* bases, Level* levels, unsigned level_bits, bool any_second) noexcept {
    const unsigned escape_bits = std::min(level_bits, 16u);
    const std::uint16_t* from = in;
    for (std::size_t i = 0; i < kLanes; ++i) {
      const bool escapes = tokens[i] == kEscape;
      const unsigned bits = escapes ? escape_bits : contexts[i] & 15u;
      const std::uint32_t x = state[i], raw = x & ((1u << bits) - 1);
      const std::uint32_t high = escapes ? 0 : static_cast<std::uint32_t>(tokens[i] + bases[i]);
      levels[i] = static_cast<Level>(high << bits | raw);
      state[i] = refilled(x >> bits, from);
    }
    for (std::size_t i = 0; any_second && i < kLanes; ++i) {
      if (tokens[i] != kEscape) continue;
      levels[i] = static_cast<Level>(std::uint64_t{levels[i]} << 16 | (state[i] & 0xffff));
      state[i] = refilled(state[i] >> 16, from);
    }
    in = from;
  }
};
