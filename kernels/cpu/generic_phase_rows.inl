// SPDX-License-Identifier: Apache-2.0
//
// Rows of phase planes in plain loops over 32 pixels, arithmetic as in kernels/reference/phases.hpp.
// Part of generic_codec.inl, which says how these files are included.
//
// Meaning    docs/formats/block.md §6.7 to §6.9.
// Not here   where rows lie (phase_walk.hpp), their coding (generic_phases.inl).

constexpr std::size_t kBlock = 32;
using Block = std::array<std::int32_t, kBlock>;

// A function of its own: inside a loop over features g++ would not vectorize it.
[[gnu::noinline]] inline void add_feature(Block& sum, std::int32_t weight,
                                          const std::uint16_t* feature) noexcept {
  for (std::size_t i = 0; i < kBlock; ++i) sum[i] += weight * feature[i];
}
inline void start_sum(Block& sum, std::int32_t bias) noexcept { sum.fill(bias * kMixOne + kMixOne / 2); }
inline void end_sum(const Block& sum, std::int32_t least, std::uint16_t* out) noexcept {
  for (std::size_t i = 0; i < kBlock; ++i)
    out[i] = static_cast<std::uint16_t>(std::clamp(sum[i] >> 12, least, 32767));
}

using MeanBlock = std::array<std::uint16_t, kBlock>;
inline void mean_of_4(const std::uint16_t* a, const std::uint16_t* b, const std::uint16_t* c,
                      const std::uint16_t* d, MeanBlock& out) noexcept {
  for (std::size_t i = 0; i < kBlock; ++i)
    out[i] = static_cast<std::uint16_t>(average(average(a[i], b[i]), average(c[i], d[i])));
}
inline void edge_mean(const RowAround& n, std::size_t x, MeanBlock& out) noexcept {
  mean_of_4(n.up + x, n.down + x, n.left + x, n.left + x + 1, out);
}
inline void diagonal_mean(const RowAround& n, std::size_t x, MeanBlock& out) noexcept {
  mean_of_4(n.up_left + x, n.up_left + x + 1, n.down_left + x, n.down_left + x + 1, out);
}

// A value of each bucket, by key >> 2: every bucket is at least four keys wide.
inline std::vector<std::uint16_t> by_key(const std::array<std::uint16_t, kBuckets>& values) {
  std::vector<std::uint16_t> result(32768 / 4);
  for (std::uint32_t i = 0; i < result.size(); ++i) result[i] = values[bucket_of(4 * i)];
  return result;
}

// context | raw bits << 8 | split << 14 | residual << 15.
constexpr std::uint32_t kSplitBit = 0x4000, kResidualBit = 0x8000;
inline std::array<std::uint16_t, kBuckets> entry_words(const ContextTables& tables) {
  std::array<std::uint16_t, kBuckets> words{};
  const auto entries = bucket_entries(tables);
  for (std::size_t b = 0; b < kBuckets; ++b) {
    words[b] = static_cast<std::uint16_t>(entries[b].first_context | entries[b].raw_bits << 8 |
                                          (entries[b].split ? kSplitBit : 0) |
                                          (entries[b].residual ? kResidualBit : 0));
  }
  return words;
}

template <typename Level>
struct RowBuffers {
  std::uint32_t* contexts = nullptr;  ///< context << 8 | raw bits; kInactive where nothing is coded
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
        entries_(by_key(entry_words(*state.tables))),
        roots_(by_key(root_table(state.setup.up))) {}

  void begin_frame() noexcept {
    mean_gain_ = gain(state_.frames, group_.mean_frames);
    fast_gain_ = gain(state_.frames, group_.fast_frames);
    scale_gain_ = gain(state_.frames, group_.scale_frames);
  }

  void predict(const RowInputs& in, const PlaneMix& mix, std::size_t width, const std::uint32_t* idle,
               const RowBuffers<Level>& out) const noexcept {
    const bool by_rate = state_.setup.source == ContextSource::rate;
    for (std::size_t x = 0; x < width; x += kBlock) {
      std::array<std::uint16_t, kBlock> roots, scales, entries, parts;
      std::uint16_t* expected = out.expected + x;
      expect(in, mix, x, expected);
      for (std::size_t i = 0; i < kBlock; ++i) roots[i] = roots_[expected[i] >> 2];
      spread(in, mix, x, roots.data(), scales.data());
      const std::uint16_t* keys = by_rate ? expected : scales.data();
      for (std::size_t i = 0; i < kBlock; ++i) entries[i] = entries_[keys[i] >> 2];
      by_rate ? ratios(scales.data(), roots.data(), parts.data()) : fractions(expected, parts.data());
      contexts_of(expected, entries.data(), parts.data(), !by_rate, out.contexts + x, out.bases + x);
      for (std::uint32_t off = idle[x / kBlock]; off != 0; off &= off - 1)
        out.contexts[x + static_cast<std::size_t>(std::countr_zero(off))] = kInactive;
    }
  }

  void settle(const Level* levels, const std::uint16_t* expected, std::size_t width,
              const std::uint32_t* idle, std::uint16_t* seen, std::uint16_t* miss) const noexcept {
    const PredictorSetup& setup = state_.setup;
    const std::uint32_t largest = 32767u >> setup.up;
    const std::uint32_t last_regular = setup.levels.first_sentinel_level() - 1;
    for (std::size_t x = 0; x < width; x += kBlock) {
      for (std::size_t i = x; i < x + kBlock; ++i) {
        const std::uint32_t level = levels[i];
        const auto want = static_cast<std::int32_t>(expected[i]);
        const auto cut = static_cast<std::int32_t>(std::min(level >> setup.down, largest) << setup.up);
        const std::int32_t now = level <= last_regular ? cut : want;
        seen[i] = static_cast<std::uint16_t>(now);
        miss[i] = static_cast<std::uint16_t>(std::abs(now - want));
      }
      for (std::uint32_t off = idle[x / kBlock]; off != 0; off &= off - 1) {
        const std::size_t i = x + static_cast<std::size_t>(std::countr_zero(off));
        seen[i] = expected[i];
        miss[i] = 0;
      }
    }
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
    move(mean, seen, cols, mean_gain_);
    move(fast, seen, cols, fast_gain_);
    move(scale, miss, cols, scale_gain_);
  }

 private:
  static void move(std::uint16_t* values, const std::uint16_t* to, std::size_t cols,
                   std::int32_t share) noexcept {
    for (std::size_t i = 0; i < cols; ++i)
      values[i] = static_cast<std::uint16_t>(values[i] + scaled(to[i] - values[i], share));
  }

  static void expect(const RowInputs& in, const PlaneMix& mix, std::size_t x, std::uint16_t* out) noexcept {
    Block sum;
    start_sum(sum, mix.bias);
    std::size_t j = 0;
    if (in.past != Past::none) {
      for (; j < 3; ++j) add_feature(sum, mix.weights[j], in.own[j] + x);
    }
    if (in.past == Past::means) {
      for (; j < kHistoryFeatures; ++j) add_feature(sum, mix.weights[j], in.means[j - 3] + x);
    }
    for (std::size_t s = 0; in.past == Past::around && s < 2; ++s) {
      MeanBlock edge, diagonal;
      edge_mean(in.around[s], x, edge);
      diagonal_mean(in.around[s], x, diagonal);
      add_feature(sum, mix.weights[j++], edge.data());
      add_feature(sum, mix.weights[j++], diagonal.data());
    }
    for (std::size_t i = 0; i < in.coded; ++i) add_feature(sum, mix.weights[j + i], in.seen[i] + x);
    end_sum(sum, 0, out);
  }

  static void spread(const RowInputs& in, const PlaneMix& mix, std::size_t x, const std::uint16_t* roots,
                     std::uint16_t* out) noexcept {
    Block sum;
    start_sum(sum, mix.scale_bias);
    MeanBlock near, diagonal;
    if (in.past != Past::none) add_feature(sum, mix.scale_weights[0], in.own[3] + x);
    if (in.past == Past::means) add_feature(sum, mix.scale_weights[1], in.means[4] + x);
    if (in.past == Past::around) {
      edge_mean(in.around[2], x, near);
      diagonal_mean(in.around[2], x, diagonal);
      for (std::size_t i = 0; i < kBlock; ++i)
        near[i] = static_cast<std::uint16_t>(average(near[i], diagonal[i]));
      add_feature(sum, mix.scale_weights[1], near.data());
    }
    if (in.coded != 0) {
      mean_of_4(in.miss[0] + x, in.miss[1] + x, in.miss[2] + x, in.miss[3] + x, near);
      add_feature(sum, mix.scale_weights[2], near.data());
    }
    add_feature(sum, mix.scale_weights[3], roots);
    end_sum(sum, 1, out);
  }

  // What a split class adds to its first context.
  static void ratios(const std::uint16_t* scales, const std::uint16_t* roots, std::uint16_t* out) noexcept {
    for (std::size_t i = 0; i < kBlock; ++i)
      out[i] = static_cast<std::uint16_t>(ratio_index(scales[i], roots[i]));
  }
  void fractions(const std::uint16_t* expected, std::uint16_t* out) const noexcept {
    const unsigned shift = state_.setup.up < 2 ? 0 : state_.setup.up - 2;
    for (std::size_t i = 0; i < kBlock; ++i) out[i] = (expected[i] >> shift) & 3;
  }

  void contexts_of(const std::uint16_t* __restrict expected, const std::uint16_t* __restrict entries,
                   const std::uint16_t* __restrict parts, bool split_is_exact,
                   std::uint32_t* __restrict contexts, Level* __restrict bases) const noexcept {
    const unsigned up = state_.setup.up, down = state_.setup.down;
    const std::uint32_t half = up == 0 ? 0 : 1u << (up - 1);
    const std::uint32_t split_half = split_is_exact ? 0 : half;
    for (std::size_t i = 0; i < kBlock; ++i) {
      const std::uint32_t entry = entries[i], raw_bits = entry >> 8 & 15;
      const bool split = (entry & kSplitBit) != 0;
      contexts[i] = ((entry & 63) + (split ? std::uint32_t{parts[i]} : 0)) << 8 | raw_bits;
      const std::uint32_t predicted = (expected[i] + (split ? split_half : half)) >> up << down;
      const std::uint32_t base = (predicted >> raw_bits) - 128;
      bases[i] = static_cast<Level>((entry & kResidualBit) != 0 ? base : 0);
    }
  }

  const PredictorState& state_;
  GroupSetup group_;
  std::vector<std::uint16_t> entries_, roots_;
  std::int32_t mean_gain_ = 0, fast_gain_ = 0, scale_gain_ = 0;
};
