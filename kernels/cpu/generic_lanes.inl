// SPDX-License-Identifier: Apache-2.0
//
// Lanes in plain loops: 32 range coders and their words, as in kernels/reference/lanes.cpp (block.md §7).
// Part of generic_codec.inl, which says how these files are included.
//
// Not here   contexts and tokens (generic_predict.inl, generic_codec.inl).

// Of a pixel's context word (context << 8 | raw bits) and symbol (context << 8 | token): nothing is coded.
constexpr std::uint32_t kInactive = 0x80000000u;

// What encoding a symbol needs; an absent symbol's entry is its context's escape.
struct EncoderEntry {
  std::uint16_t frequency = 0, start = 0;
  std::uint8_t raw_bits = 0;
};

inline std::vector<EncoderEntry> encoder_entries(const ContextTables& tables, std::uint8_t level_bits) {
  std::vector<EncoderEntry> entries;
  entries.reserve(tables.frequencies.size() * kSymbols);
  for (const ContextClass& c : tables.classes) {
    for (std::size_t i = 0; i < c.contexts(); ++i) {
      const Frequencies& f = tables.frequencies[entries.size() / kSymbols];
      std::uint16_t start = 0;
      const std::size_t first = entries.size();
      for (std::size_t s = 0; s < kSymbols; ++s) {
        entries.push_back({f[s], start, s == kEscape ? level_bits : c.raw_bits});
        start = static_cast<std::uint16_t>(start + f[s]);
      }
      for (std::size_t s = 0; s < kEscape; ++s) {
        if (f[s] == 0) entries[first + s] = entries[first + kEscape];
      }
    }
  }
  return entries;
}

// 32 lanes, one group of 32 pixels at a time. A symbol is context << 8 | token, kInactive where nothing is coded.
template <typename Level>
struct EncoderStream {
  std::array<std::uint32_t, kLanes> state;
  std::uint16_t* out = nullptr;

  void put_bits(std::uint32_t& x, std::uint32_t value, unsigned bits) noexcept {
    const bool leaves = (std::uint64_t{x} << bits) >> 32 != 0;
    out[-1] = static_cast<std::uint16_t>(x);  // kept only where the word leaves
    out -= leaves ? 1 : 0;
    x = leaves ? x >> 16 : x;
    x = x << bits | (value & ((1u << bits) - 1));
  }

  // kAll: every one of the 32 lanes codes a pixel, so none is asked.
  template <bool kAll>
  void put_group(const std::uint32_t* symbols, const Level* levels, std::size_t pixels,
                 const EncoderEntry* entries, unsigned probability_bits) noexcept {
    const std::size_t count = kAll ? kLanes : pixels;
    bool any_raw = false, any_second = false;
    for (std::size_t i = 0; i < count; ++i) {
      if (!kAll && symbols[i] == kInactive) continue;
      any_raw = any_raw || entries[symbols[i]].raw_bits != 0;
      any_second = any_second || entries[symbols[i]].raw_bits > 16;
    }
    for (std::size_t i = count; any_second && i-- > 0;) {
      if ((kAll || symbols[i] != kInactive) && entries[symbols[i]].raw_bits > 16)
        put_bits(state[i], levels[i], 16);
    }
    for (std::size_t i = count; any_raw && i-- > 0;) {
      if (!kAll && symbols[i] == kInactive) continue;
      const unsigned bits = entries[symbols[i]].raw_bits;
      const std::uint64_t level = levels[i];
      if (bits != 0)
        put_bits(state[i], static_cast<std::uint32_t>(bits > 16 ? level >> 16 : level),
                 bits > 16 ? bits - 16 : bits);
    }
    for (std::size_t i = count; i-- > 0;) {
      if (!kAll && symbols[i] == kInactive) continue;
      const EncoderEntry entry = entries[symbols[i]];
      std::uint32_t x = state[i];
      const bool leaves = x >= std::uint32_t{entry.frequency} << (32 - probability_bits);
      out[-1] = static_cast<std::uint16_t>(x);  // kept only where the word leaves
      out -= leaves ? 1 : 0;
      x = leaves ? x >> 16 : x;
      const std::uint32_t q = x / entry.frequency;
      state[i] = (q << probability_bits) + (x - q * entry.frequency) + entry.start;
    }
  }
};

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

template <typename Level>
struct DecoderStream {
  std::array<std::uint32_t, kLanes> state;
  std::vector<std::uint16_t> words;  ///< with zeros behind them, for hostile strings
  const std::uint16_t* in = nullptr;
  const std::uint16_t* end = nullptr;
  bool ran_out = false;

  void open(ByteSpan bytes) {
    const std::size_t count = bytes.size() / 2;
    words.assign(count + 4 * kLanes, 0);
    std::memcpy(words.data(), bytes.data(), 2 * count);
    std::memcpy(state.data(), bytes.data(), 4 * kLanes);
    ran_out = std::ranges::any_of(state, [](std::uint32_t x) { return x < kLaneStart; });
    in = words.data() + 2 * kLanes;
    end = words.data() + count;
  }

  void refill(std::uint32_t& x) noexcept {
    const bool wants = x < kLaneStart;
    x = wants ? x << 16 | *in : x;
    in += wants ? 1 : 0;
  }

  template <bool kAll>
  void get_group(const std::uint32_t* contexts, const Level* bases, Level* levels, std::size_t pixels,
                 const std::uint32_t* entries, unsigned probability_bits, unsigned level_bits) noexcept {
    const std::uint32_t slot_mask = (1u << probability_bits) - 1;
    const std::size_t count = kAll ? kLanes : pixels;
    std::array<std::uint8_t, kLanes> tokens{}, bits{};
    bool any_raw = false, any_second = false;
    for (std::size_t i = 0; i < count; ++i) {
      if (!kAll && contexts[i] == kInactive) continue;
      std::uint32_t x = state[i];
      const std::uint32_t entry = entries[(contexts[i] >> 8) << probability_bits | (x & slot_mask)];
      x = (entry >> 20) * (x >> probability_bits) + ((entry >> 8) & slot_mask);
      refill(x);
      state[i] = x;
      tokens[i] = static_cast<std::uint8_t>(entry);
      bits[i] = static_cast<std::uint8_t>(tokens[i] == kEscape ? level_bits : contexts[i] & 15);
      any_raw = any_raw || bits[i] != 0;
      any_second = any_second || bits[i] > 16;
    }
    std::array<std::uint32_t, kLanes> raw{};
    if (any_raw) get_raw(bits, raw, count, any_second);
    for (std::size_t i = 0; i < count; ++i) {
      const auto high = static_cast<Level>(tokens[i] + bases[i]);
      const auto coded = static_cast<Level>((std::uint64_t{high} << (bits[i] & 15)) | raw[i]);
      levels[i] = tokens[i] == kEscape ? static_cast<Level>(raw[i]) : coded;
    }
    ran_out = ran_out || in > end;
    in = std::min(in, end);
  }

 private:
  void get_raw(const std::array<std::uint8_t, kLanes>& bits, std::array<std::uint32_t, kLanes>& raw,
               std::size_t count, bool any_second) noexcept {
    const auto step = [&](std::size_t i, unsigned b) {
      raw[i] = raw[i] << b | (state[i] & ((1u << b) - 1));
      state[i] >>= b;
      if (b != 0) refill(state[i]);
    };
    for (std::size_t i = 0; i < count; ++i) step(i, bits[i] > 16 ? bits[i] - 16u : bits[i]);
    for (std::size_t i = 0; any_second && i < count; ++i) step(i, bits[i] > 16 ? 16u : 0u);
  }
};
