// SPDX-License-Identifier: Apache-2.0
//
// What plain and AVX2 lanes share: symbols, the decoder's table, a stream's words. Part of generic_codec.inl, which says how
// these files are included.
//
// Meaning    docs/formats/block.md §5.6, §7.
// Not here   lanes (generic_lanes.inl, avx2_*_lanes.inl).

// Of a pixel's context word (context << 8 | raw bits) and symbol (context << 8 | token): nothing is coded. The number
// behind the last symbol, so that tables may have an entry for it.
constexpr std::uint16_t kInactive = kContextsMax * kSymbols;

// Calls run(bits as a constant): shifts by constants are cheaper, and there are two scales only.
template <typename Run>
void with_bits(unsigned bits, Run&& run) noexcept {
  static_assert(kProbabilityBitsMin + 1 == kProbabilityBitsMax);
  if (bits == kProbabilityBitsMin) {
    run(std::integral_constant<unsigned, kProbabilityBitsMin>{});
  } else {
    run(std::integral_constant<unsigned, kProbabilityBitsMax>{});
  }
}

// True where all 32 lanes of a group code something; words are contexts or symbols.
inline bool all_active(const std::uint16_t* words) noexcept {
  std::uint16_t any = 0;
  for (std::size_t i = 0; i < kLanes; ++i) any = static_cast<std::uint16_t>(any | words[i]);
  return (any & kInactive) == 0;
}

// f << 20 | offset << 8 | symbol, by context << probability bits | slot.
inline std::vector<std::uint32_t> decoder_entries(const ContextTables& tables) {
  std::vector<std::uint32_t> entries(tables.frequencies.size() * tables.scale());
  std::uint32_t* entry = entries.data();
  for (const Frequencies& frequencies : tables.frequencies) {
    for (std::uint32_t s = 0; s < kSymbols; ++s) {
      const std::uint32_t f = frequencies[s];
      for (std::uint32_t i = 0; i < f; ++i) *entry++ = f << 20 | i << 8 | s;
    }
  }
  return entries;
}

// Calls put(symbol, f, start, raw bits) for all symbols (context << 8 | token); an absent token is put as its context's escape.
// Contexts behind those of the classes (values of cells) have no raw bits here.
template <typename Put>
void for_each_symbol(const ContextTables& tables, std::uint8_t level_bits, Put&& put) {
  std::array<std::uint8_t, kContextsMax> raw_bits{};
  std::size_t context = 0;
  for (const ContextClass& c : tables.classes) {
    for (std::size_t i = 0; i < c.contexts(); ++i) raw_bits[context++] = c.raw_bits;
  }
  for (std::size_t c = 0; c < tables.frequencies.size(); ++c) {
    const Frequencies& f = tables.frequencies[c];
    const std::uint32_t escape_start = tables.scale() - f[kEscape];
    std::uint32_t start = 0;
    for (std::size_t s = 0; s < kSymbols; ++s) {
      const bool escapes = s == kEscape || f[s] == 0;
      put(c * kSymbols + s, f[escapes ? kEscape : s], escapes ? escape_start : start,
          escapes ? level_bits : raw_bits[c]);
      start += f[s];
    }
  }
}

// The 32 states of a stream and the words that they take.
struct LaneReader {
  alignas(32) std::array<std::uint32_t, kLanes> state;
  std::vector<std::uint16_t> words;  ///< with zeros behind them, for hostile strings and whole vectors
  const std::uint16_t* in = nullptr;
  const std::uint16_t* end = nullptr;
  bool ran_out = false;

  void open(ByteSpan bytes) {
    constexpr std::size_t kGroupWordsMax = 3 * kLanes, kOverread = 16;
    const std::size_t count = bytes.size() / 2;
    words.assign(count + kGroupWordsMax + kOverread, 0);
    std::memcpy(words.data(), bytes.data(), 2 * count);
    std::memcpy(state.data(), bytes.data(), 4 * kLanes);
    ran_out = std::ranges::any_of(state, [](std::uint32_t x) { return x < kLaneStart; });
    in = words.data() + 2 * kLanes;
    end = words.data() + count;
  }
  // After each group.
  void check_end() noexcept {
    ran_out = ran_out || in > end;
    in = std::min(in, end);
  }
};
