// SPDX-License-Identifier: Apache-2.0
//
// Rows of phase planes in plain loops over 32 pixels, arithmetic as in kernels/reference/phases.hpp.
// Part of generic_codec.inl, which says how these files are included.
//
// Meaning    docs/formats/block.md §6.7 to §6.9.
// Not here   where rows lie (phase_walk.hpp), their coding (generic_phases.inl).

constexpr std::size_t kBlock = 32;
using Block = std::array<std::int32_t, kBlock>;

inline void add_feature(Block& sum, std::int32_t weight, const std::uint16_t* feature) noexcept {
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
template <typename Value>
std::vector<Value> by_key(const std::array<Value, kBuckets>& values) {
  std::vector<Value> result(32768 / 4);
  for (std::uint32_t i = 0; i < result.size(); ++i) result[i] = values[bucket_of(4 * i)];
  return result;
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
        entries_(by_key(bucket_entries(*state.tables))),
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
      std::array<std::uint16_t, kBlock> roots, scales;
      std::uint16_t* expected = out.expected + x;
      expect(in, mix, x, expected);
      for (std::size_t i = 0; i < kBlock; ++i) roots[i] = roots_[expected[i] >> 2];
      spread(in, mix, x, roots.data(), scales.data());
      by_rate ? contexts_by_rate(expected, roots.data(), scales.data(), out.contexts + x, out.bases + x)
              : contexts_by_scale(expected, scales.data(), out.contexts + x, out.bases + x);
      const std::uint32_t off = idle[x / kBlock];
      for (std::size_t i = 0; off != 0 && i < kBlock; ++i)
        out.contexts[x + i] = (off >> i & 1) != 0 ? kInactive : out.contexts[x + i];
    }
  }

  void settle(const Level* levels, const std::uint16_t* expected, std::size_t width,
              const std::uint32_t* idle, std::uint16_t* seen, std::uint16_t* miss) const noexcept {
    const PredictorSetup& setup = state_.setup;
    const std::uint32_t largest = 32767u >> setup.up;
    const std::uint32_t last_regular = setup.levels.first_sentinel_level() - 1;
    for (std::size_t x = 0; x < width; x += kBlock) {
      const std::uint32_t off = idle[x / kBlock];
      for (std::size_t i = x; i < x + kBlock; ++i) {
        const std::uint32_t level = levels[i], want = expected[i];
        const std::uint32_t now = std::min(level >> setup.down, largest) << setup.up;
        const bool counts = level <= last_regular && (off >> (i - x) & 1) == 0;
        const std::uint32_t taken = counts ? now : want;
        seen[i] = static_cast<std::uint16_t>(taken);
        miss[i] = static_cast<std::uint16_t>(taken > want ? taken - want : want - taken);
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

  void contexts_by_rate(const std::uint16_t* expected, const std::uint16_t* roots,
                        const std::uint16_t* scales, std::uint32_t* contexts, Level* bases) const noexcept {
    const std::uint32_t half = state_.setup.up == 0 ? 0 : 1u << (state_.setup.up - 1);
    for (std::size_t i = 0; i < kBlock; ++i) {
      const BucketEntry& entry = entries_[expected[i] >> 2];
      const auto ratio = static_cast<std::uint32_t>(ratio_index(scales[i], roots[i]));
      contexts[i] = (entry.first_context + (entry.split ? ratio : 0)) << 8 | entry.raw_bits;
      bases[i] = base_of(entry, expected[i] + half);
    }
  }

  void contexts_by_scale(const std::uint16_t* expected, const std::uint16_t* scales, std::uint32_t* contexts,
                         Level* bases) const noexcept {
    const std::uint32_t half = state_.setup.up == 0 ? 0 : 1u << (state_.setup.up - 1);
    const unsigned fraction = state_.setup.up < 2 ? 0 : state_.setup.up - 2;
    for (std::size_t i = 0; i < kBlock; ++i) {
      const BucketEntry& entry = entries_[scales[i] >> 2];
      const std::uint32_t quarter = (std::uint32_t{expected[i]} >> fraction) & 3;
      contexts[i] = (entry.first_context + (entry.split ? quarter : 0)) << 8 | entry.raw_bits;
      bases[i] = base_of(entry, expected[i] + (entry.split ? 0 : half));
    }
  }

  [[nodiscard]] Level base_of(const BucketEntry& entry, std::uint32_t rounded) const noexcept {
    const std::uint32_t predicted = (rounded >> state_.setup.up) << state_.setup.down;
    return static_cast<Level>(entry.residual ? (predicted >> entry.raw_bits) - 128u : 0u);
  }

  const PredictorState& state_;
  GroupSetup group_;
  std::vector<BucketEntry> entries_;
  std::vector<std::uint16_t> roots_;
  std::int32_t mean_gain_ = 0, fast_gain_ = 0, scale_gain_ = 0;
};
