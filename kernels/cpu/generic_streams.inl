// SPDX-License-Identifier: Apache-2.0
//
// All streams of a group: its 32-pixel groups go to them in turn.
// Part of generic_codec.inl, which says how these files are included.
//
// Not here   one stream's lanes (generic_lanes.inl, avx2_*_lanes.inl).

// Positions of a frame that has so many pixels: whole groups.
constexpr std::size_t padded_to_groups(std::size_t pixels) noexcept {
  return (pixels + kLanes - 1) / kLanes * kLanes;
}

// All streams of a group, each writing downwards in memory of its own that no frame can overrun. One of them at a time in a thread.
template <typename Level>
class StreamEncoder {
 public:
  /// `pixels` is the most that a frame has.
  StreamEncoder(const PredictorState& state, std::size_t streams, std::size_t pixels, std::size_t bytes_max)
      : table_(*state.tables, state.setup.levels.level_bits), bytes_max_(bytes_max) {
    const std::size_t frame_words = (pixels / kLanes / streams + 2) * 3 * kLanes;
    words_max_ = bytes_max / 2 + frame_words + 2 * kLanes;
    thread_local Scratch<std::uint16_t> memory;
    memory_ = memory.get(streams * words_max_);
    streams_.resize(streams);
    for (std::size_t s = 0; s < streams; ++s) {
      streams_[s].state.fill(kLaneStart);
      streams_[s].out = end_of(s);
    }
  }

  /// Symbols of whole groups, levels of `pixels`. False once a stream alone is larger than the group may become.
  [[nodiscard]] bool put_frame(const std::uint16_t* symbols, const Level* levels,
                               std::size_t pixels) noexcept {
    with_bits(table_.bits, [&](auto bits) { put_groups<bits.value>(symbols, levels, pixels); });
    for (std::size_t s = 0; s < streams_.size(); ++s) {
      if (2 * static_cast<std::size_t>(end_of(s) - streams_[s].out) > bytes_max_) return false;
    }
    return true;
  }

  [[nodiscard]] StreamWords finish() {
    StreamWords words(streams_.size());
    for (std::size_t s = 0; s < streams_.size(); ++s) {
      streams_[s].out -= 2 * kLanes;
      std::memcpy(streams_[s].out, streams_[s].state.data(), 4 * kLanes);
      words[s].assign(streams_[s].out, end_of(s));
    }
    return words;
  }

 private:
  template <unsigned kBits>
  void put_groups(const std::uint16_t* symbols, const Level* levels, std::size_t pixels) noexcept {
    std::size_t groups = padded_to_groups(pixels) / kLanes;
    if (pixels % kLanes != 0) {
      std::array<Level, kLanes> last{};
      const std::size_t at = --groups * kLanes;
      std::copy_n(levels + at, pixels - at, last.data());
      streams_[groups % streams_.size()].template put_group<kBits>(symbols + at, last.data(), table_);
    }
    for (std::size_t g = groups; g-- > 0;)
      streams_[g % streams_.size()].template put_group<kBits>(symbols + g * kLanes, levels + g * kLanes,
                                                              table_);
  }
  [[nodiscard]] std::uint16_t* end_of(std::size_t s) const noexcept { return memory_ + (s + 1) * words_max_; }

  EncoderTable table_;
  std::size_t bytes_max_, words_max_ = 0;
  std::uint16_t* memory_ = nullptr;  // the thread's
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

  /// Group `group` of a frame: 32 contexts and bases in, 32 levels out.
  void get_group(std::size_t group, const std::uint16_t* contexts, const Level* bases,
                 Level* levels) noexcept {
    streams_[group % streams_.size()].get_group(contexts, bases, levels, entries_.data(), bits_, level_bits_);
  }

  /// Errors: malformed (words are left, or more were wanted).
  [[nodiscard]] Status end() const {
    return lanes_status(std::ranges::all_of(streams_, [](const DecoderStream<Level>& stream) {
      const bool at_start =
          std::ranges::all_of(stream.state, [](std::uint32_t x) { return x == kLaneStart; });
      return !stream.ran_out && stream.in == stream.end && at_start;
    }));
  }

 private:
  std::vector<std::uint32_t> entries_;
  unsigned bits_, level_bits_;
  std::vector<DecoderStream<Level>> streams_;
};
