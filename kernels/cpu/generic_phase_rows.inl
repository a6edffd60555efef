// SPDX-License-Identifier: Apache-2.0
//
// Rows of phase planes in plain loops, one quantity of a row after the other; arithmetic as in kernels/reference/phases.hpp.
// Part of generic_codec.inl, which says how these files are included.
//
// Meaning    docs/formats/block.md §6.7 to §6.9.
// Not here   where rows lie (phase_walk.hpp), sums (generic_mix.inl, avx2_mix.inl), contexts (generic_loops.inl), coding
//            (generic_phases.inl).

[[gnu::noinline]] inline void mean_of_4(RowIn a, RowIn b, RowIn c, RowIn d, std::size_t width,
                                        RowOut out) noexcept {
  for (std::size_t i = 0; i < width; ++i) out[i] = average(average(a[i], b[i]), average(c[i], d[i]));
}
inline void edge_mean(const RowAround& n, std::size_t width, std::uint16_t* out) noexcept {
  mean_of_4(n.up, n.down, n.left, n.left + 1, width, out);
}
inline void diagonal_mean(const RowAround& n, std::size_t width, std::uint16_t* out) noexcept {
  mean_of_4(n.up_left, n.up_left + 1, n.down_left, n.down_left + 1, width, out);
}
[[gnu::noinline]] inline void average_rows(RowIn a, std::size_t width, RowOut b) noexcept {
  for (std::size_t i = 0; i < width; ++i) b[i] = average(a[i], b[i]);
}

// ratio_index() in 16 bits.
[[gnu::noinline]] inline void ratios_of(RowIn scales, RowIn roots, std::size_t width, RowOut out) noexcept {
  for (std::size_t i = 0; i < width; ++i) {
    const std::uint16_t scale = scales[i], root = roots[i], one = 1, none = 0;
    const auto low = static_cast<std::uint16_t>((root >> 1) + (root >> 3)),
               high = static_cast<std::uint16_t>(root + (root >> 1));
    const auto first = static_cast<std::uint16_t>((scale > low ? one : none) + (scale > root ? one : none));
    out[i] = static_cast<std::uint16_t>(first + (scale > high ? one : none));
  }
}

// A sentinel has its expectation's value.
template <typename Level>
[[gnu::noinline]] void settle_row(const LevelRule<Level>& rule, const Level* __restrict levels,
                                  RowIn expected, std::size_t width, RowOut seen, RowOut miss) noexcept {
  const LevelRule<Level> r = rule;
  for (std::size_t i = 0; i < width; ++i) {
    const std::uint16_t want = expected[i];
    const std::uint16_t now = levels[i] <= r.last_regular ? r.value(levels[i]) : want;
    seen[i] = now;
    miss[i] = static_cast<std::uint16_t>(std::max(now, want) - std::min(now, want));
  }
}

[[gnu::noinline]] inline void move_row(RowIn to, std::int16_t share, std::size_t cols,
                                       RowOut values) noexcept {
  for (std::size_t i = 0; i < cols; ++i) values[i] = moved(values[i], to[i], share);
}

template <typename Level>
struct RowBuffers {
  std::uint16_t* contexts = nullptr;  ///< context << 8 | raw bits; kInactive where nothing is coded
  Level* bases = nullptr;
  std::uint16_t* expected = nullptr;
};

template <typename Level>
class PhaseRows {
 public:
  using Past = RowInputs::Past;

  PhaseRows(const PredictorState& state, const GroupSetup& group)
      : state_(state),
        group_(group),
        contexts_(state),
        levels_(state.setup),
        roots_(by_key(root_table(state.setup.up))) {}

  [[nodiscard]] const ContextRule& context_rule() const noexcept { return contexts_; }

  void begin_frame() noexcept {
    mean_gain_ = gain(state_.frames, group_.mean_frames);
    fast_gain_ = gain(state_.frames, group_.fast_frames);
    scale_gain_ = gain(state_.frames, group_.scale_frames);
  }

  void predict(const RowInputs& in, const PlaneMix& mix, std::size_t width, const std::uint32_t* idle,
               const RowBuffers<Level>& out) {
    const bool by_rate = state_.setup.source == ContextSource::rate;
    for (auto* buffer : {&roots_row_, &scales_, &entries_, &parts_})
      buffer->resize(std::max(width, buffer->size()));
    means_.resize(std::max(4 * width, means_.size()));
    expect(in, mix, width, out.expected);
    if (!by_rate || contexts_.any_split) {
      look_up_row(roots_.data(), out.expected, width, roots_row_.data());
      spread(in, mix, width, scales_.data());
    }
    look_up_row(contexts_.entries.data(), by_rate ? out.expected : scales_.data(), width, entries_.data());
    if (contexts_.any_split && by_rate) ratios_of(scales_.data(), roots_row_.data(), width, parts_.data());
    if (contexts_.any_split && !by_rate) fractions_of(contexts_, out.expected, width, parts_.data());
    contexts_of(contexts_, out.expected, entries_.data(), parts_.data(), by_rate, width, out.contexts,
                out.bases);
    for_each_idle(idle, width, [&](std::size_t i) { out.contexts[i] = kInactive; });
  }

  /// A row's levels are known: what the state sees of them, and its distance from the expectation.
  void settle(const Level* levels, const std::uint16_t* expected, std::size_t width,
              const std::uint32_t* idle, std::uint16_t* seen, std::uint16_t* miss) const noexcept {
    settle_row(levels_, levels, expected, width, seen, miss);
    for_each_idle(idle, width, [&](std::size_t i) {
      seen[i] = expected[i];
      miss[i] = 0;
    });
  }

  void learn(PhasePlaneState& plane, std::uint32_t y, const std::uint16_t* seen,
             const std::uint16_t* miss) const noexcept {
    std::uint16_t *mean = plane.mean.row(y), *fast = plane.fast.row(y), *scale = plane.scale.row(y);
    const std::size_t cols = plane.mean.cols();
    if (state_.frames == 0) {
      std::copy_n(seen, cols, mean);
      std::copy_n(seen, cols, fast);
      std::copy_n(miss, cols, scale);
      return;
    }
    move_row(seen, mean_gain_, cols, mean);
    move_row(seen, fast_gain_, cols, fast);
    move_row(miss, scale_gain_, cols, scale);
  }

 private:
  template <typename Visit>
  static void for_each_idle(const std::uint32_t* idle, std::size_t width, Visit&& visit) noexcept {
    for (std::size_t x = 0; x < width; x += 32) {
      for (std::uint32_t off = idle[x / 32]; off != 0; off &= off - 1)
        visit(x + static_cast<std::size_t>(std::countr_zero(off)));
    }
  }

  void expect(const RowInputs& in, const PlaneMix& mix, std::size_t width, std::uint16_t* out) noexcept {
    MixRows rows(mix.bias);
    std::size_t j = 0;
    if (in.past != Past::none) {
      for (; j < 3; ++j) rows.add(mix.weights[j], in.own[j]);
    }
    if (in.past == Past::means) {
      for (; j < kHistoryFeatures; ++j) rows.add(mix.weights[j], in.means[j - 3]);
    }
    for (std::size_t s = 0; in.past == Past::around && s < 2; ++s) {
      std::uint16_t *edge = means_.data() + 2 * s * width, *diagonal = edge + width;
      edge_mean(in.around[s], width, edge);
      diagonal_mean(in.around[s], width, diagonal);
      rows.add(mix.weights[j++], edge);
      rows.add(mix.weights[j++], diagonal);
    }
    for (std::size_t i = 0; i < in.coded; ++i) rows.add(mix.weights[j + i], in.seen[i]);
    if (rows.count() != 0) rows.fill(rows.rows()[0]);
    weighted_sum(rows, width, 0, out);
  }

  void spread(const RowInputs& in, const PlaneMix& mix, std::size_t width, std::uint16_t* out) noexcept {
    MixRows rows(mix.scale_bias);
    std::uint16_t *near = means_.data(), *diagonal = near + width, *miss = diagonal + width;
    rows.add(mix.scale_weights[3], roots_row_.data());
    if (in.past != Past::none) rows.add(mix.scale_weights[0], in.own[3]);
    if (in.past == Past::means) rows.add(mix.scale_weights[1], in.means[4]);
    if (in.past == Past::around) {
      edge_mean(in.around[2], width, near);
      diagonal_mean(in.around[2], width, diagonal);
      average_rows(diagonal, width, near);
      rows.add(mix.scale_weights[1], near);
    }
    if (in.coded != 0) {
      mean_of_4(in.miss[0], in.miss[1], in.miss[2], in.miss[3], width, miss);
      rows.add(mix.scale_weights[2], miss);
    }
    rows.fill(roots_row_.data());
    weighted_sum(rows, width, 1, out);
  }

  const PredictorState& state_;
  GroupSetup group_;
  ContextRule contexts_;
  LevelRule<Level> levels_;
  KeyTable roots_;
  std::int16_t mean_gain_ = 0, fast_gain_ = 0, scale_gain_ = 0;
  std::vector<std::uint16_t> means_, roots_row_, scales_, entries_, parts_;  // of the present row
};
