// SPDX-License-Identifier: Apache-2.0
//
// Predict in plain loops, row by row; arithmetic as in kernels/reference/predict.hpp (block.md §6).
// Part of generic_codec.inl, which says how these files are included.
//
// Not here   lanes (generic_lanes.inl).

constexpr std::size_t kRowPadding = 64;

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
    const std::uint16_t* left_of = vertical - 1;
    for (std::size_t i = 0; i < cols; ++i) {
      std::int32_t left = left_of[i], right = vertical[i + 1];
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
