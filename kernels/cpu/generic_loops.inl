// SPDX-License-Identifier: Apache-2.0
//
// Loops over one row that both models have: means, learning, contexts, tokens. Part of generic_codec.inl, which says how these
// files are included.
//
// Meaning    docs/formats/block.md §6.2 to §6.5, §6.8; arithmetic as in kernels/reference/predict.hpp.
// Not here   which rows (generic_predict.inl, generic_phase_rows.inl).
//
// Values of the state have 15 bits, so that all sums below fit in 16 and a vector holds twice as many. Each loop is a function
// of its own, whose rows do not overlap: inlined, g++ 12 forgets that and no longer makes vectors.

using RowIn = const std::uint16_t* __restrict;
using RowOut = std::uint16_t* __restrict;

inline std::uint16_t average(std::uint16_t a, std::uint16_t b) noexcept {
  return static_cast<std::uint16_t>(static_cast<std::uint16_t>(a + b + 1) >> 1);
}
// a + scaled(to - a, share): written as the vector instructions round (pmulhrsw), which is the same.
inline std::uint16_t moved(std::uint16_t a, std::uint16_t to, std::int16_t share) noexcept {
  const auto distance = static_cast<std::int16_t>(to - a);
  return static_cast<std::uint16_t>(a + static_cast<std::int16_t>(((distance * share >> 14) + 1) >> 1));
}
inline std::int16_t gain(std::uint32_t frames, std::uint32_t memory) noexcept {
  return static_cast<std::int16_t>(std::min(32767u, 32768u / std::min(frames + 1, memory)));
}

// How a level becomes a value of the state, and which do.
template <typename Level>
struct LevelRule {
  explicit LevelRule(const PredictorSetup& setup) noexcept
      : largest(static_cast<std::uint16_t>(32767u >> setup.up)),
        last_regular(static_cast<Level>(std::min<std::uint64_t>(
            (std::uint64_t{1} << setup.levels.level_bits) - 1 - setup.levels.sentinels.size(),
            static_cast<Level>(~Level{0})))),
        up(setup.up),
        down(setup.down) {}

  [[nodiscard]] std::uint16_t value(Level level) const noexcept {
    const auto cut = std::min(static_cast<Level>(level >> down), static_cast<Level>(largest));
    return static_cast<std::uint16_t>(static_cast<std::uint16_t>(cut) << up);
  }

  std::uint16_t largest;
  Level last_regular;
  unsigned up, down;
};

// context | raw bits << 8 | split << 14 | residual << 15.
constexpr std::uint16_t kSplitBit = 0x4000, kResidualBit = 0x8000;

// A value of each bucket, by key >> 2: every bucket is at least four keys wide.
using KeyTable = std::vector<std::uint16_t>;
inline KeyTable by_key(const std::array<std::uint16_t, kBuckets>& values) {
  KeyTable result(32768 / 4);
  for (std::uint32_t i = 0; i < result.size(); ++i) result[i] = values[bucket_of(4 * i)];
  return result;
}
[[gnu::noinline]] inline void look_up_row(const std::uint16_t* table, RowIn keys, std::size_t count,
                                          RowOut out) noexcept {
  for (std::size_t i = 0; i < count; ++i) out[i] = table[keys[i] >> 2];
}

// What contexts, bases and tokens of a group's tables need.
struct ContextRule {
  explicit ContextRule(const PredictorState& state) : up(state.setup.up), down(state.setup.down) {
    std::array<std::uint16_t, kBuckets> words{};
    const auto buckets = bucket_entries(*state.tables);
    for (std::size_t b = 0; b < kBuckets; ++b) {
      words[b] = static_cast<std::uint16_t>(buckets[b].first_context | buckets[b].raw_bits << 8 |
                                            (buckets[b].split ? kSplitBit : 0) |
                                            (buckets[b].residual ? kResidualBit : 0));
      any_split = any_split || buckets[b].split;
      any_raw = any_raw || buckets[b].raw_bits != 0;
    }
    entries = by_key(words);
  }

  unsigned up, down;
  bool any_split = false, any_raw = false;
  KeyTable entries;
};

// `entries` of the row's keys; `parts`: what a split class adds to its first context, and `split_rounds`: whether its prediction is
// rounded like all others. Contexts are context << 8 | raw bits.
template <bool kSplit, bool kRaw, typename Level>
[[gnu::noinline]] void contexts_with(const ContextRule& rule, RowIn expected, RowIn entries, RowIn parts,
                                     bool split_rounds, std::size_t count, RowOut contexts,
                                     Level* __restrict bases) noexcept {
  const unsigned up = rule.up, down = rule.down;
  const auto half = static_cast<std::uint16_t>(up == 0 ? 0 : 1u << (up - 1));
  const std::uint16_t split_half = split_rounds ? half : std::uint16_t{0};
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint16_t entry = entries[i], want = expected[i];
    const auto raw_bits = static_cast<std::uint16_t>(kRaw ? entry >> 8 & 15 : 0);
    auto context = static_cast<std::uint16_t>(entry & 63);
    std::uint16_t rounding = half;
    if constexpr (kSplit) {
      const bool split = (entry & kSplitBit) != 0;
      const std::uint16_t part = parts[i];
      context = static_cast<std::uint16_t>(context + (split ? part : std::uint16_t{0}));
      rounding = split ? split_half : half;
    }
    contexts[i] = static_cast<std::uint16_t>(context << 8 | raw_bits);
    const auto rounded = static_cast<std::uint16_t>(static_cast<std::uint16_t>(want + rounding) >> up);
    const auto predicted = static_cast<Level>(static_cast<Level>(rounded) << down);
    const auto high = static_cast<Level>(kRaw ? predicted >> raw_bits : predicted);
    bases[i] = static_cast<Level>((entry & kResidualBit) != 0 ? high - 128u : 0u);
  }
}
template <typename Level>
void contexts_of(const ContextRule& rule, const std::uint16_t* expected, const std::uint16_t* entries,
                 const std::uint16_t* parts, bool split_rounds, std::size_t count, std::uint16_t* contexts,
                 Level* bases) noexcept {
  const auto run = [&](auto split, auto raw) {
    contexts_with<split.value, raw.value>(rule, expected, entries, parts, split_rounds, count, contexts,
                                          bases);
  };
  using Yes = std::true_type;
  using No = std::false_type;
  if (rule.any_split) return rule.any_raw ? run(Yes{}, Yes{}) : run(Yes{}, No{});
  return rule.any_raw ? run(No{}, Yes{}) : run(No{}, No{});
}

[[gnu::noinline]] inline void fractions_of(const ContextRule& rule, RowIn expected, std::size_t count,
                                           RowOut out) noexcept {
  const unsigned shift = rule.up < 2 ? 0 : rule.up - 2;
  for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<std::uint16_t>(expected[i] >> shift & 3);
}

// Contexts become symbols: context << 8 | token.
template <bool kRaw, typename Level>
[[gnu::noinline]] void tokenize_with(const Level* __restrict levels, const Level* __restrict bases,
                                     std::size_t count, RowOut symbols) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint16_t context = symbols[i];
    const auto high = static_cast<Level>(kRaw ? levels[i] >> (context & 15) : levels[i]);
    const auto distance = static_cast<Level>(high - bases[i]);
    const auto token = static_cast<std::uint16_t>(std::min(distance, static_cast<Level>(kEscape)));
    const auto symbol = static_cast<std::uint16_t>((context & ~255u) | token);
    symbols[i] = context == kInactive ? kInactive : symbol;
  }
}
template <typename Level>
void tokenize_row(const ContextRule& rule, const Level* levels, const Level* bases, std::size_t count,
                  std::uint16_t* symbols) noexcept {
  rule.any_raw ? tokenize_with<true>(levels, bases, count, symbols)
               : tokenize_with<false>(levels, bases, count, symbols);
}
