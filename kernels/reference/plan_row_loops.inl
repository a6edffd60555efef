// SPDX-License-Identifier: Apache-2.0
//
// The loops of plan_loops.hpp that follow the model smooth through a sample: one source, included once per
// instruction set behind plan_loops.inl, in shapes that g++ vectorizes. What they compute is predict.hpp's.

static std::uint16_t halfway(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::uint16_t>((a + b + 1) >> 1);
}

static std::int32_t share_of(std::int32_t a, std::int32_t b) { return (a * b + (1 << 14)) >> 15; }

static void vertical_means(const SmoothRows& rows, std::size_t n, std::uint16_t* out) {
  const std::uint16_t *up = rows.up, *centre = rows.centre, *down = rows.down;
  if (rows.hidden == nullptr) {
    for (std::size_t i = 0; i < n; ++i) out[i] = halfway(halfway(up[i], down[i]), centre[i]);
    return;
  }
  const std::uint8_t *hidden_up = rows.hidden_up, *hidden_down = rows.hidden_down;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint16_t above = hidden_up[i] != 0 ? centre[i] : up[i];
    const std::uint16_t below = hidden_down[i] != 0 ? centre[i] : down[i];
    out[i] = halfway(halfway(above, below), centre[i]);
  }
}

static void smooth(const SmoothRows& rows, std::uint32_t smoothing, std::size_t n, std::uint16_t* vertical,
                   std::uint16_t* out) {
  std::uint16_t* own = vertical + 1;
  vertical_means(rows, n, own);
  vertical[0] = own[0];
  own[n] = own[n - 1];
  const auto share = static_cast<std::int32_t>(smoothing);
  const std::uint16_t *left = vertical, *right = vertical + 2, *centre = rows.centre;
  const auto key = [&](std::size_t i, std::uint32_t before, std::uint32_t after) {
    const std::int32_t filtered = halfway(halfway(before, after), own[i]);
    return static_cast<std::uint16_t>(centre[i] + share_of(filtered - centre[i], share));
  };
  if (rows.hidden == nullptr) {
    for (std::size_t i = 0; i < n; ++i) out[i] = key(i, left[i], right[i]);
    return;
  }
  // At the ends the neighbour outside is the pixel itself.
  const std::uint8_t* hidden = rows.hidden;
  const auto right_of = [&](std::size_t i) { return hidden[i + 1] != 0 ? own[i] : right[i]; };
  const auto left_of = [&](std::size_t i) { return hidden[i - 1] != 0 ? own[i] : left[i]; };
  out[0] = key(0, own[0], n > 1 ? right_of(0) : own[0]);
  for (std::size_t i = 1; i + 1 < n; ++i) out[i] = key(i, left_of(i), right_of(i));
  if (n > 1) out[n - 1] = key(n - 1, left_of(n - 1), own[n - 1]);
}

// The level as the state sees it.
static std::int32_t seen_at(const LearnRule& rule, std::uint32_t level) {
  const std::uint32_t most = 32767u >> rule.up, shifted = level >> rule.down;
  return static_cast<std::int32_t>((shifted < most ? shifted : most) << rule.up);
}

template <bool kMasked>
static void learn_row(const LearnRule& from, const std::uint32_t* levels, const std::uint8_t* hidden,
                      const std::uint16_t* expected, std::size_t n, std::uint16_t* mean,
                      std::uint16_t* scale) {
  const LearnRule rule = from;
  const auto learns = [&](std::size_t i) {
    return levels[i] <= rule.last_regular && (!kMasked || hidden[i] == 0);
  };
  const auto moved = [&](std::int32_t state, std::int32_t to, std::int32_t gain, bool live) {
    return static_cast<std::uint16_t>(state + (live ? share_of(to - state, gain) : 0));
  };
  for (std::size_t i = 0; i < n; ++i)
    mean[i] = moved(mean[i], seen_at(rule, levels[i]), rule.mean_gain, learns(i));
  if (scale == nullptr) return;
  for (std::size_t i = 0; i < n; ++i) {
    const std::int32_t miss = seen_at(rule, levels[i]) - expected[i];
    scale[i] = moved(scale[i], miss < 0 ? -miss : miss, rule.scale_gain, learns(i));
  }
}

static void learn_levels(const LearnRule& rule, const std::uint32_t* levels, const std::uint8_t* hidden,
                         const std::uint16_t* expected, std::size_t n, std::uint16_t* mean,
                         std::uint16_t* scale) {
  if (hidden == nullptr) return learn_row<false>(rule, levels, hidden, expected, n, mean, scale);
  learn_row<true>(rule, levels, hidden, expected, n, mean, scale);
}

template <bool kMasked>
static void sum_row(const LearnRule& from, const std::uint32_t* levels, const std::uint8_t* hidden,
                    const std::uint16_t* expected, std::size_t n, std::uint32_t* sums,
                    std::uint32_t* counts) {
  const LearnRule rule = from;
  const auto counts_at = [&](std::size_t i) {
    return levels[i] <= rule.last_regular && (!kMasked || hidden[i] == 0) ? 1u : 0u;
  };
  if (expected == nullptr) {
    for (std::size_t i = 0; i < n; ++i)
      sums[i] += static_cast<std::uint32_t>(seen_at(rule, levels[i])) * counts_at(i);
  } else {
    for (std::size_t i = 0; i < n; ++i) {
      const std::int32_t miss = seen_at(rule, levels[i]) - expected[i];
      sums[i] += static_cast<std::uint32_t>(miss < 0 ? -miss : miss) * counts_at(i);
    }
  }
  if (counts == nullptr) return;
  for (std::size_t i = 0; i < n; ++i) counts[i] += counts_at(i);
}

static void sum_levels(const LearnRule& rule, const std::uint32_t* levels, const std::uint8_t* hidden,
                       const std::uint16_t* expected, std::size_t n, std::uint32_t* sums,
                       std::uint32_t* counts) {
  if (hidden == nullptr) return sum_row<false>(rule, levels, hidden, expected, n, sums, counts);
  sum_row<true>(rule, levels, hidden, expected, n, sums, counts);
}

static void buckets(const std::uint16_t* keys, std::size_t n, std::uint8_t* out) {
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint16_t key = keys[i];
    const auto low = static_cast<std::uint16_t>(key < 256 ? key >> 2 : 64 + (key >> 5));
    const auto high = static_cast<std::uint16_t>(key < 8192 ? 128 + (key >> 7) : 192 + (key >> 10));
    out[i] = static_cast<std::uint8_t>(key < 2048 ? low : high);
  }
}

static void distances(const TokenRule& rule, const std::uint16_t* expected, const std::uint32_t* levels,
                      std::size_t n, std::uint32_t* out) {
  const unsigned up = rule.up, down = rule.down;
  const std::uint32_t half = up == 0 ? 0 : 1u << (up - 1);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t predicted = ((expected[i] + half) >> up) << down, level = levels[i];
    const std::uint32_t distance = level > predicted ? level - predicted : predicted - level;
    out[i] = distance < (1u << 20) ? distance : 1u << 20;
  }
}

template <bool kRatio>
static void tokens_of(const TokenRule& rule, const std::uint8_t* buckets, const std::uint16_t* expected,
                      const std::uint32_t* levels, const std::uint8_t* ratio, std::size_t n,
                      std::uint32_t* out) {
  const std::uint32_t* entries = rule.entries;
  const std::uint32_t wrap = rule.wrap;
  const unsigned up = rule.up, down = rule.down, fraction_shift = up >= 2 ? up - 2 : 0;
  const std::uint32_t half = up == 0 ? 0 : 1u << (up - 1);
  for (std::size_t i = 0; i < n; ++i) out[i] = entries[buckets[i]];
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t entry = out[i], raw_bits = entry & 15;
    const std::uint32_t e = expected[i];
    const std::uint32_t rounding = (entry & 32) != 0 ? 0 : half;
    const std::uint32_t predicted = ((e + rounding) >> up) << down;
    const std::uint32_t base = (entry & 16) != 0 ? (predicted >> raw_bits) - 128 : 0;
    const std::uint32_t distance = ((levels[i] >> raw_bits) - base) & wrap;
    std::uint32_t part = (entry & 32) != 0 ? (e >> fraction_shift) & 3 : 0;
    if (kRatio) part += (entry & 64) != 0 ? ratio[i] : 0;
    out[i] = (((entry >> 8) + part) << 8) + (distance < 255 ? distance : 255);
  }
}

static void tokens(const TokenRule& rule, const std::uint8_t* buckets, const std::uint16_t* expected,
                   const std::uint32_t* levels, const std::uint8_t* ratio, std::size_t n,
                   std::uint32_t* out) {
  if (ratio == nullptr) return tokens_of<false>(rule, buckets, expected, levels, ratio, n, out);
  tokens_of<true>(rule, buckets, expected, levels, ratio, n, out);
}

constexpr PlanLoops kLoops{average4,     average2,   mix,     add_moments, learn, smooth,
                           learn_levels, sum_levels, buckets, distances,   tokens};
