// SPDX-License-Identifier: Apache-2.0
//
// Predict in plain loops, row by row; arithmetic as in kernels/reference/predict.hpp (block.md §6).
// Part of generic_codec.inl, which says how these files are included.
//
// Not here   contexts and tokens (generic_loops.inl), lanes (generic_lanes.inl, avx2_*_lanes.inl).

constexpr std::size_t kRowPadding = 64;

// One of two without a branch: g++ 12 makes vectors of it wherever it stands.
inline std::uint16_t chosen(bool first, std::uint16_t a, std::uint16_t b) noexcept {
  const auto all = static_cast<std::uint16_t>(first ? 0xffff : 0);
  return static_cast<std::uint16_t>((a & all) | (b & ~all));
}

[[gnu::noinline]] inline void vertical_row(RowIn up, RowIn down, RowIn centre, std::size_t cols,
                                           RowOut out) noexcept {
  for (std::size_t i = 0; i < cols; ++i) out[i] = average(average(up[i], down[i]), centre[i]);
}
// Where a neighbour is masked its own value stands for it. Everything is loaded before anything is chosen: a load behind a
// condition would keep the loop scalar.
[[gnu::noinline]] inline void vertical_masked(RowIn up, RowIn down, RowIn centre,
                                              const std::uint8_t* __restrict hidden_up,
                                              const std::uint8_t* __restrict hidden_down, std::size_t cols,
                                              RowOut out) noexcept {
  for (std::size_t i = 0; i < cols; ++i) {
    const std::uint16_t own = centre[i], above = up[i], below = down[i];
    out[i] =
        average(average(chosen(hidden_up[i] != 0, own, above), chosen(hidden_down[i] != 0, own, below)), own);
  }
}
// `vertical` begins with the pixel left of the first one.
[[gnu::noinline]] inline void horizontal_row(RowIn vertical, RowIn centre, std::int16_t smoothing,
                                             std::size_t cols, RowOut out) noexcept {
  for (std::size_t i = 0; i < cols; ++i) {
    const std::uint16_t own = vertical[i + 1];
    out[i] = moved(centre[i], average(average(vertical[i], vertical[i + 2]), own), smoothing);
  }
}
// So does `hidden`.
[[gnu::noinline]] inline void horizontal_masked(RowIn vertical, RowIn centre,
                                                const std::uint8_t* __restrict hidden, std::int16_t smoothing,
                                                std::size_t cols, RowOut out) noexcept {
  for (std::size_t i = 0; i < cols; ++i) {
    const std::uint16_t left = vertical[i], own = vertical[i + 1], right = vertical[i + 2];
    const std::uint16_t sides =
        average(chosen(hidden[i] != 0, own, left), chosen(hidden[i + 2] != 0, own, right));
    out[i] = moved(centre[i], average(sides, own), smoothing);
  }
}
[[gnu::noinline]] inline void hide_row(const std::uint8_t* __restrict hidden, std::size_t cols,
                                       RowOut contexts) noexcept {
  for (std::size_t i = 0; i < cols; ++i) contexts[i] = hidden[i] != 0 ? kInactive : contexts[i];
}

// A row's state moves towards its levels; kDistance: towards their distance from the expectation.
template <bool kMasked, bool kDistance, typename Level>
[[gnu::noinline]] void learn_plane(const LevelRule<Level>& rule, const Level* __restrict levels,
                                   RowIn expected, const std::uint8_t* __restrict hidden, RowIn plane,
                                   std::int16_t share, std::size_t cols, RowOut next) noexcept {
  const LevelRule<Level> r = rule;
  for (std::size_t i = 0; i < cols; ++i) {
    std::uint16_t now = r.value(levels[i]);
    if constexpr (kDistance) {
      const std::uint16_t want = expected[i];
      now = static_cast<std::uint16_t>(std::max(now, want) - std::min(now, want));
    }
    std::uint16_t value = levels[i] <= r.last_regular ? moved(plane[i], now, share) : plane[i];
    if constexpr (kMasked) value = hidden[i] != 0 ? plane[i] : value;
    next[i] = value;
  }
}

// Row by row over the planes of a PredictorState; `Level` is uint16_t or uint32_t.
template <typename Level>
class RowPredictor {
 public:
  RowPredictor(const FrameShape& tile, PredictorState& state, const GroupSetup& group)
      : tile_(tile), state_(state), group_(group), contexts_(state), levels_(state.setup) {
    const std::size_t row = tile.cols + kRowPadding;
    for (auto* buffer : {&vertical_, &keys_, &entries_, &parts_}) buffer->resize(row);
    expected_.resize((state.scale.empty() ? 0 : tile.pixels()) + row);
    if (state.mask == nullptr) return;
    mask_ = state.mask->classes.data();
    hidden_.resize(row);
  }

  [[nodiscard]] const ContextRule& context_rule() const noexcept { return contexts_; }

  /// Contexts are context << 8 | raw bits, or kInactive.
  void predict_row(std::uint32_t row, std::uint16_t* contexts, Level* bases) noexcept {
    const bool by_scale = !state_.scale.empty();
    const std::size_t cols = tile_.cols;
    std::uint16_t* expected = expected_row(row);
    if (mask_ != nullptr) std::memcpy(hidden_.data() + 1, mask_ + std::size_t{row} * cols, cols);
    smooth(state_.mean.data(), row, group_.smoothing, expected);
    if (by_scale) smooth(state_.scale.data(), row, group_.scale_smoothing, keys_.data());
    look_up_row(contexts_.entries.data(), by_scale ? keys_.data() : expected, cols, entries_.data());
    if (contexts_.any_split) fractions_of(contexts_, expected, cols, parts_.data());
    contexts_of(contexts_, expected, entries_.data(), parts_.data(), false, cols, contexts, bases);
    if (mask_ != nullptr) hide_row(hidden_.data() + 1, cols, contexts);
  }

  void learn_row(std::uint32_t row, const Level* levels) noexcept {
    learn<false>(row, levels, state_.mean, gain(state_.frames, group_.mean_frames), state_.mean_next);
    if (state_.scale.empty()) return;
    learn<true>(row, levels, state_.scale, gain(state_.frames, group_.scale_frames), state_.scale_next);
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

  void smooth(const std::uint16_t* plane, std::uint32_t row, std::uint16_t smoothing,
              std::uint16_t* out) noexcept {
    const std::size_t cols = tile_.cols, at = std::size_t{row} * cols;
    const std::size_t above = row > 0 ? at - cols : at, below = row + 1 < tile_.rows ? at + cols : at;
    const auto share = static_cast<std::int16_t>(smoothing);
    std::uint16_t* vertical = vertical_.data() + 1;
    if (mask_ == nullptr) {
      vertical_row(plane + above, plane + below, plane + at, cols, vertical);
    } else {
      vertical_masked(plane + above, plane + below, plane + at, mask_ + above, mask_ + below, cols, vertical);
    }
    vertical[-1] = vertical[0];
    vertical[cols] = vertical[cols - 1];
    if (mask_ == nullptr) {
      horizontal_row(vertical - 1, plane + at, share, cols, out);
    } else {
      horizontal_masked(vertical - 1, plane + at, hidden_.data(), share, cols, out);
    }
  }

  template <bool kDistance, typename Plane>
  void learn(std::uint32_t row, const Level* levels, const Plane& plane, std::int16_t share,
             Plane& next) noexcept {
    const std::size_t cols = tile_.cols, at = std::size_t{row} * cols;
    if (mask_ == nullptr) {
      learn_plane<false, kDistance>(levels_, levels, expected_row(row), nullptr, &plane[at], share, cols,
                                    &next[at]);
    } else {
      learn_plane<true, kDistance>(levels_, levels, expected_row(row), mask_ + at, &plane[at], share, cols,
                                   &next[at]);
    }
  }

  FrameShape tile_;
  PredictorState& state_;
  GroupSetup group_;
  ContextRule contexts_;
  LevelRule<Level> levels_;
  const std::uint8_t* mask_ = nullptr;
  std::vector<std::uint8_t> hidden_;  // of the present row, with a pixel that is not masked on each side
  std::vector<std::uint16_t> vertical_, keys_, entries_, parts_, expected_;
};
