// SPDX-License-Identifier: Apache-2.0
//
// All streams of a group: its 32-pixel groups go to them in turn.
// Part of generic_codec.inl, which says how these files are included.
//
// Not here   one stream's lanes (generic_lanes.inl).

// True where all 32 lanes of a group code something; words are contexts or symbols.
inline bool all_active(const std::uint32_t* words, std::size_t count) noexcept {
  if (count != kLanes) return false;
  std::uint32_t any = 0;
  for (std::size_t i = 0; i < kLanes; ++i) any |= words[i];
  return (any & kInactive) == 0;
}

// All streams of a group, each writing downwards in memory of its own that no frame can overrun.
template <typename Level>
class StreamEncoder {
 public:
  /// `pixels` is the most that a frame has.
  StreamEncoder(const PredictorState& state, std::size_t streams, std::size_t pixels, std::size_t bytes_max)
      : entries_(encoder_entries(*state.tables, state.setup.levels.level_bits)),
        bits_(state.tables->bits),
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
  [[nodiscard]] bool put_frame(const std::uint32_t* symbols, const Level* levels,
                               std::size_t pixels) noexcept {
    for (std::size_t g = (pixels + kLanes - 1) / kLanes; g-- > 0;) {
      const std::size_t at = g * kLanes, count = std::min(kLanes, pixels - at);
      auto& stream = streams_[g % streams_.size()];
      if (all_active(symbols + at, count)) {
        stream.template put_group<true>(symbols + at, levels + at, count, entries_.data(), bits_);
      } else {
        stream.template put_group<false>(symbols + at, levels + at, count, entries_.data(), bits_);
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
  unsigned bits_;
  std::size_t bytes_max_, words_max_ = 0;
  std::unique_ptr<std::uint16_t[]> memory_;
  std::vector<EncoderStream<Level>> streams_;
};

// The same for decoding, upwards.
template <typename Level>
class StreamDecoders {
 public:
  StreamDecoders(const PredictorState& state, const PredictedPayload& payload)
      : entries_(decoder_entries(*state.tables)),
        bits_(state.tables->bits),
        level_bits_(state.setup.levels.level_bits),
        streams_(payload.group.streams) {
    for (std::size_t s = 0; s < streams_.size(); ++s) streams_[s].open(payload.streams[s]);
  }

  /// Group `group` of a frame, of `count` pixels.
  void get_group(std::size_t group, const std::uint32_t* contexts, const Level* bases, Level* levels,
                 std::size_t count) noexcept {
    auto& stream = streams_[group % streams_.size()];
    if (all_active(contexts, count)) {
      stream.template get_group<true>(contexts, bases, levels, count, entries_.data(), bits_, level_bits_);
    } else {
      stream.template get_group<false>(contexts, bases, levels, count, entries_.data(), bits_, level_bits_);
    }
  }

  /// Errors: malformed (words are left, or more were wanted).
  [[nodiscard]] Status end() const {
    for (const DecoderStream<Level>& stream : streams_) {
      const bool at_start =
          std::ranges::all_of(stream.state, [](std::uint32_t x) { return x == kLaneStart; });
      if (stream.ran_out || stream.in != stream.end || !at_start)
        return fail(Errc::malformed, "block: the lanes do not end where their coding began");
    }
    return {};
  }

 private:
  std::vector<std::uint32_t> entries_;
  unsigned bits_, level_bits_;
  std::vector<DecoderStream<Level>> streams_;
};
