// SPDX-License-Identifier: Apache-2.0
//
// The codec in plain loops that a compiler can vectorize: one source, included once per instruction set
// (generic_codec.cpp, avx2_codec.cpp), for levels of 16 and of 32 bits.
//
// Data path  window > plan > [encode] > envelope > ... > [decode] > store
// Meaning    docs/formats/block.md §6 and §7.
// Not here   AVX-512, whose lanes are vectors too (avx512_*.cpp).
//
// Before including: open a namespace of its own; headers are included by the including file.

constexpr std::size_t kRowPadding = 64;
constexpr std::uint32_t kInactive = 0x80000000u;  // of a pixel's context word: context << 8 | raw bits

inline std::int32_t average(std::int32_t a, std::int32_t b) noexcept { return (a + b + 1) >> 1; }
inline std::int32_t scaled(std::int32_t a, std::int32_t b) noexcept { return (a * b + (1 << 14)) >> 15; }
inline std::int32_t gain(std::uint32_t frames, std::uint32_t memory) noexcept {
  return static_cast<std::int32_t>(std::min(32767u, 32768u / std::min(frames + 1, memory)));
}

// Row by row over the planes of a PredictorState; `Level` is uint16_t or uint32_t.
template <typename Level>
class RowPredictor {
 public:
  RowPredictor(const FrameShape& tile, PredictorState& state, const GroupSetup& group)
      : tile_(tile), state_(state), group_(group), entries_(bucket_entries(*state.tables)) {
    const std::size_t row = tile.cols + kRowPadding;
    vertical_.resize(row);
    keys_.resize(row);
    expected_.resize((state.scale.empty() ? 0 : tile.pixels()) + row);
    if (state.mask != nullptr) mask_ = state.mask->classes.data();
  }

  [[nodiscard]] bool masked() const noexcept { return mask_ != nullptr; }

  void predict_row(std::uint32_t row, std::uint32_t* contexts, Level* bases) noexcept {
    const bool by_scale = !state_.scale.empty();
    std::uint16_t* expected = expected_row(row);
    smooth(state_.mean.data(), row, group_.smoothing, expected);
    if (by_scale) smooth(state_.scale.data(), row, group_.scale_smoothing, keys_.data());
    contexts_of(expected, by_scale ? keys_.data() : expected, contexts, bases);
    if (mask_ == nullptr) return;
    const std::uint8_t* hidden = mask_ + std::size_t{row} * tile_.cols;
    for (std::size_t i = 0; i < tile_.cols; ++i) contexts[i] = hidden[i] != 0 ? kInactive : contexts[i];
  }

  void learn_row(std::uint32_t row, const Level* levels) noexcept {
    const PredictorSetup& setup = state_.setup;
    const std::size_t at = std::size_t{row} * tile_.cols;
    const std::uint32_t largest = 32767u >> setup.up;
    const auto last_regular = static_cast<std::uint32_t>((std::uint64_t{1} << setup.levels.level_bits) - 1 -
                                                         setup.levels.sentinels.size());
    const std::int32_t mean_gain = gain(state_.frames, group_.mean_frames);
    const std::int32_t scale_gain = gain(state_.frames, group_.scale_frames);
    const std::uint8_t* hidden = mask_ == nullptr ? nullptr : mask_ + at;
    for (std::size_t i = 0; i < tile_.cols; ++i) {
      const std::uint32_t level = levels[i];
      const std::int32_t now = static_cast<std::int32_t>(std::min(level >> setup.down, largest) << setup.up);
      const std::int32_t mean = state_.mean[at + i];
      const bool counts = level <= last_regular && (hidden == nullptr || hidden[i] == 0);
      state_.mean_next[at + i] =
          static_cast<std::uint16_t>(counts ? mean + scaled(now - mean, mean_gain) : mean);
    }
    if (state_.scale.empty()) return;
    const std::uint16_t* expected = expected_row(row);
    for (std::size_t i = 0; i < tile_.cols; ++i) {
      const std::uint32_t level = levels[i];
      const std::int32_t now = static_cast<std::int32_t>(std::min(level >> setup.down, largest) << setup.up);
      const std::int32_t scale = state_.scale[at + i];
      const std::int32_t distance = now > expected[i] ? now - expected[i] : expected[i] - now;
      const bool counts = level <= last_regular && (hidden == nullptr || hidden[i] == 0);
      state_.scale_next[at + i] =
          static_cast<std::uint16_t>(counts ? scale + scaled(distance - scale, scale_gain) : scale);
    }
  }

  void end_frame() noexcept {
    state_.mean.swap(state_.mean_next);
    state_.scale.swap(state_.scale_next);
    state_.frames = std::min(state_.frames + 1, kWindowFramesMax);
  }

 private:
  std::uint16_t* expected_row(std::uint32_t row) noexcept {
    return expected_.data() + (state_.scale.empty() ? 0 : std::size_t{row} * tile_.cols);
  }

  void smooth(const std::uint16_t* plane, std::uint32_t row, std::int32_t smoothing,
              std::uint16_t* out) noexcept {
    const std::size_t cols = tile_.cols, at = std::size_t{row} * cols;
    const bool has_up = row > 0, has_down = row + 1 < tile_.rows;
    const std::uint16_t* centre = plane + at;
    const std::uint16_t* up = has_up ? centre - cols : centre;
    const std::uint16_t* down = has_down ? centre + cols : centre;
    std::uint16_t* vertical = vertical_.data() + 1;
    if (mask_ == nullptr) {
      for (std::size_t i = 0; i < cols; ++i) {
        vertical[i] = static_cast<std::uint16_t>(average(average(up[i], down[i]), centre[i]));
      }
    } else {
      const std::uint8_t* hidden_up = mask_ + (has_up ? at - cols : at);
      const std::uint8_t* hidden_down = mask_ + (has_down ? at + cols : at);
      for (std::size_t i = 0; i < cols; ++i) {
        const std::int32_t above = hidden_up[i] != 0 ? centre[i] : up[i];
        const std::int32_t below = hidden_down[i] != 0 ? centre[i] : down[i];
        vertical[i] = static_cast<std::uint16_t>(average(average(above, below), centre[i]));
      }
    }
    vertical[-1] = vertical[0];
    vertical[cols] = vertical[cols - 1];
    const std::uint8_t* hidden = mask_ == nullptr ? nullptr : mask_ + at;
    for (std::size_t i = 0; i < cols; ++i) {
      std::int32_t left = vertical[i - 1], right = vertical[i + 1];
      const std::int32_t own = vertical[i];
      if (hidden != nullptr) {
        left = i > 0 && hidden[i - 1] != 0 ? own : left;
        right = i + 1 < cols && hidden[i + 1] != 0 ? own : right;
      }
      const std::int32_t filtered = average(average(left, right), own);
      out[i] = static_cast<std::uint16_t>(centre[i] + scaled(filtered - centre[i], smoothing));
    }
  }

  void contexts_of(const std::uint16_t* expected, const std::uint16_t* keys, std::uint32_t* contexts,
                   Level* bases) const noexcept {
    const PredictorSetup& setup = state_.setup;
    const std::uint32_t half = setup.up == 0 ? 0 : 1u << (setup.up - 1);
    const unsigned fraction = setup.up < 2 ? 0 : setup.up - 2;
    for (std::size_t i = 0; i < tile_.cols; ++i) {
      const BucketEntry entry = entries_[bucket_of(keys[i])];
      const std::uint32_t want = expected[i];
      const std::uint32_t quarter = entry.split ? (want >> fraction) & 3 : 0;
      const std::uint32_t predicted = ((want + (entry.split ? 0 : half)) >> setup.up) << setup.down;
      contexts[i] = (entry.first_context + quarter) << 8 | entry.raw_bits;
      bases[i] = static_cast<Level>(entry.residual ? (predicted >> entry.raw_bits) - 128u : 0u);
    }
  }

  FrameShape tile_;
  PredictorState& state_;
  GroupSetup group_;
  std::array<BucketEntry, kBuckets> entries_;
  const std::uint8_t* mask_ = nullptr;
  std::vector<std::uint16_t> vertical_, keys_, expected_;
};

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
                 const EncoderEntry* entries) noexcept {
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
      const bool leaves = x >= std::uint32_t{entry.frequency} << (32 - kProbabilityBits);
      out[-1] = static_cast<std::uint16_t>(x);  // kept only where the word leaves
      out -= leaves ? 1 : 0;
      x = leaves ? x >> 16 : x;
      const std::uint32_t q = x / entry.frequency;
      state[i] = (q << kProbabilityBits) + (x - q * entry.frequency) + entry.start;
    }
  }
};

// f << 20 | offset << 8 | symbol, by context << 11 | slot.
inline std::vector<std::uint32_t> decoder_entries(const ContextTables& tables) {
  std::vector<std::uint32_t> entries(tables.frequencies.size() * kProbabilityScale);
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
                 const std::uint32_t* entries, unsigned level_bits) noexcept {
    const std::size_t count = kAll ? kLanes : pixels;
    std::array<std::uint8_t, kLanes> tokens{}, bits{};
    bool any_raw = false, any_second = false;
    for (std::size_t i = 0; i < count; ++i) {
      if (!kAll && contexts[i] == kInactive) continue;
      std::uint32_t x = state[i];
      const std::uint32_t entry =
          entries[(contexts[i] >> 8) << kProbabilityBits | (x & (kProbabilityScale - 1))];
      x = (entry >> 20) * (x >> kProbabilityBits) + ((entry >> 8) & (kProbabilityScale - 1));
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

// Symbols (context << 8 | token) and levels of a whole group, frame after frame.
template <typename Level>
struct GroupTokens {
  std::unique_ptr<std::uint32_t[]> symbols;
  std::unique_ptr<Level[]> levels;
  bool masked = false;
};

template <typename Level>
void tokenize_row(const Level* levels, const Level* bases, std::size_t cols,
                  std::uint32_t* symbols) noexcept {
  for (std::size_t i = 0; i < cols; ++i) {
    const auto distance = static_cast<Level>((levels[i] >> (symbols[i] & 15)) - bases[i]);
    const std::uint32_t token = std::min<std::uint32_t>(distance, kEscape);
    symbols[i] = symbols[i] == kInactive ? kInactive : (symbols[i] & ~255u) | token;
  }
}

template <typename Level>
GroupTokens<Level> tokenize_group(TileState::Body& body, const GroupSetup& group, GroupFrames frames) {
  const std::size_t pixels = body.shape.pixels(), cols = body.shape.cols;
  GroupTokens<Level> tokens{std::make_unique_for_overwrite<std::uint32_t[]>(pixels * frames.size()),
                            std::make_unique_for_overwrite<Level[]>(pixels * frames.size()), false};
  RowPredictor<Level> predictor(body.shape, *body.predictor, group);
  tokens.masked = predictor.masked();
  std::vector<Level> bases(cols + kRowPadding);
  for (std::size_t t = 0; t < frames.size(); ++t) {
    for (std::uint32_t row = 0; row < body.shape.rows; ++row) {
      std::uint32_t* symbols = tokens.symbols.get() + t * pixels + row * cols;
      Level* levels = tokens.levels.get() + t * pixels + row * cols;
      body.predictor->codec.levels_of_row(frames[t].row(row), cols, levels);
      predictor.predict_row(row, symbols, bases.data());
      tokenize_row(levels, bases.data(), cols, symbols);
      predictor.learn_row(row, levels);
    }
    predictor.end_frame();
  }
  return tokens;
}

// All streams of a group, each writing downwards in memory of its own that no frame can overrun.
template <typename Level>
class StreamEncoder {
 public:
  StreamEncoder(const PredictorState& state, std::size_t streams, std::size_t pixels, std::size_t bytes_max)
      : entries_(encoder_entries(*state.tables, state.setup.levels.level_bits)),
        pixels_(pixels),
        bytes_max_(bytes_max) {
    const std::size_t frame_words = (pixels / kLanes / streams + 2) * 3 * kLanes;
    words_max_ = bytes_max / 2 + frame_words + 2 * kLanes;
    memory_ = std::make_unique_for_overwrite<std::uint16_t[]>(streams * words_max_);
    streams_.resize(streams);
    for (std::size_t s = 0; s < streams; ++s) {
      streams_[s].state.fill(kLaneStart);
      streams_[s].out = end_of(s);
    }
  }

  /// False once a stream alone is larger than the group may become.
  [[nodiscard]] bool put_frame(const std::uint32_t* symbols, const Level* levels, bool masked) noexcept {
    for (std::size_t g = (pixels_ + kLanes - 1) / kLanes; g-- > 0;) {
      const std::size_t at = g * kLanes, count = std::min(kLanes, pixels_ - at);
      auto& stream = streams_[g % streams_.size()];
      if (count == kLanes && !masked) {
        stream.template put_group<true>(symbols + at, levels + at, count, entries_.data());
      } else {
        stream.template put_group<false>(symbols + at, levels + at, count, entries_.data());
      }
    }
    for (std::size_t s = 0; s < streams_.size(); ++s) {
      if (2 * static_cast<std::size_t>(end_of(s) - streams_[s].out) > bytes_max_) return false;
    }
    return true;
  }

  [[nodiscard]] std::vector<std::vector<std::uint16_t>> finish() {
    std::vector<std::vector<std::uint16_t>> words(streams_.size());
    for (std::size_t s = 0; s < streams_.size(); ++s) {
      streams_[s].out -= 2 * kLanes;
      std::memcpy(streams_[s].out, streams_[s].state.data(), 4 * kLanes);
      words[s].assign(streams_[s].out, end_of(s));
    }
    return words;
  }

 private:
  [[nodiscard]] std::uint16_t* end_of(std::size_t s) const noexcept {
    return memory_.get() + (s + 1) * words_max_;
  }

  std::vector<EncoderEntry> entries_;
  std::size_t pixels_, bytes_max_, words_max_ = 0;
  std::unique_ptr<std::uint16_t[]> memory_;
  std::vector<EncoderStream<Level>> streams_;
};

template <typename Level>
std::optional<std::vector<std::vector<std::uint16_t>>> encode_typed(TileState::Body& body,
                                                                    const GroupSetup& group,
                                                                    GroupFrames frames,
                                                                    std::size_t bytes_max) {
  const std::size_t pixels = body.shape.pixels();
  const GroupTokens<Level> tokens = tokenize_group<Level>(body, group, frames);
  StreamEncoder<Level> encoder(*body.predictor, group.streams, pixels, bytes_max);
  for (std::size_t t = frames.size(); t-- > 0;) {
    const std::size_t at = t * pixels;
    if (!encoder.put_frame(tokens.symbols.get() + at, tokens.levels.get() + at, tokens.masked))
      return std::nullopt;
  }
  return encoder.finish();
}

template <typename Level>
Status decode_typed(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  PredictorState& state = *body.predictor;
  const FrameShape& tile = body.shape;
  const std::size_t pixels = tile.pixels(), groups = (pixels + kLanes - 1) / kLanes, cols = tile.cols;
  const auto contexts = std::make_unique_for_overwrite<std::uint32_t[]>(pixels);
  const auto bases = std::make_unique_for_overwrite<Level[]>(pixels);
  const auto levels = std::make_unique_for_overwrite<Level[]>(pixels);
  RowPredictor<Level> predictor(tile, state, payload.group);
  const auto entries = decoder_entries(*state.tables);
  std::array<DecoderStream<Level>, kStreamsMax> streams;
  for (std::size_t s = 0; s < payload.group.streams; ++s) streams[s].open(payload.streams[s]);
  for (const MutableFrameView& frame : frames) {
    for (std::uint32_t row = 0; row < tile.rows; ++row) {
      predictor.predict_row(row, contexts.get() + row * cols, bases.get() + row * cols);
    }
    for (std::size_t g = 0; g < groups; ++g) {
      const std::size_t at = g * kLanes, count = std::min(kLanes, pixels - at);
      auto& stream = streams[g % payload.group.streams];
      const std::uint8_t level_bits = state.setup.levels.level_bits;
      if (count == kLanes && !predictor.masked()) {
        stream.template get_group<true>(contexts.get() + at, bases.get() + at, levels.get() + at, count,
                                        entries.data(), level_bits);
      } else {
        stream.template get_group<false>(contexts.get() + at, bases.get() + at, levels.get() + at, count,
                                         entries.data(), level_bits);
      }
    }
    for (std::uint32_t row = 0; row < tile.rows; ++row) {
      predictor.learn_row(row, levels.get() + row * cols);
      write_row(state, levels.get() + row * cols, row, frame);
    }
    predictor.end_frame();
  }
  for (std::size_t s = 0; s < payload.group.streams; ++s) {
    const bool at_start =
        std::ranges::all_of(streams[s].state, [](std::uint32_t x) { return x == kLaneStart; });
    if (streams[s].ran_out || streams[s].in != streams[s].end || !at_start) {
      return fail(Errc::malformed, "block: the lanes do not end where their coding began");
    }
  }
  return {};
}

std::optional<std::vector<std::vector<std::uint16_t>>> encode_lanes(TileState::Body& body,
                                                                    const GroupSetup& group,
                                                                    GroupFrames frames,
                                                                    std::size_t bytes_max) {
  const bool wide = body.predictor->setup.levels.level_bits == 32;
  return wide ? encode_typed<std::uint32_t>(body, group, frames, bytes_max)
              : encode_typed<std::uint16_t>(body, group, frames, bytes_max);
}

Status decode_lanes(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  const bool wide = body.predictor->setup.levels.level_bits == 32;
  return wide ? decode_typed<std::uint32_t>(body, payload, frames)
              : decode_typed<std::uint16_t>(body, payload, frames);
}
