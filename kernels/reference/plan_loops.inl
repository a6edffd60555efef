// SPDX-License-Identifier: Apache-2.0
//
// The loops of plan_loops.hpp: one source, included once per instruction set, in shapes that g++ vectorizes.

constexpr std::size_t kChunk = 512;   // products of 512 elements stay inside 32 bits
constexpr float kColumnLimit = 2047;  // |column|: 2047^2 x 512 < 2^31
constexpr float kReferenceMax = 500;  // standard deviations: no pixel is known better than to 1 in 500

static void average4(const std::uint16_t* a, const std::uint16_t* b, const std::uint16_t* c,
                     const std::uint16_t* d, std::size_t n, std::int16_t* out) {
  for (std::size_t i = 0; i < n; ++i) {
    const auto first = static_cast<std::uint16_t>((a[i] + b[i] + 1) >> 1);
    const auto second = static_cast<std::uint16_t>((c[i] + d[i] + 1) >> 1);
    out[i] = static_cast<std::int16_t>((first + second + 1) >> 1);
  }
}

static void average2(const std::int16_t* a, const std::int16_t* b, std::size_t n, std::int16_t* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::int16_t>((a[i] + b[i] + 1) >> 1);
}

static void mix(const std::int16_t* const* features, const std::int16_t* weights, std::size_t count,
                std::int32_t bias, std::int32_t least, std::size_t n, std::int16_t* out) {
  std::int32_t sums[kChunk];
  for (std::size_t at = 0; at < n; at += kChunk) {
    const std::size_t size = std::min(kChunk, n - at);
    for (std::size_t i = 0; i < size; ++i) sums[i] = bias * 4096 + 2048;
    for (std::size_t j = 0; j < count; ++j) {
      const std::int16_t* feature = features[j] + at;
      const std::int32_t weight = weights[j];
      if (weight == 0) continue;
      for (std::size_t i = 0; i < size; ++i) sums[i] += weight * feature[i];
    }
    for (std::size_t i = 0; i < size; ++i) {
      out[at + i] = static_cast<std::int16_t>(std::clamp(sums[i] >> 12, least, std::int32_t{32767}));
    }
  }
}

// 1 / standard deviation, 0 where a pixel does not count.
static void inverse_deviations(const MomentRows& rows, std::size_t at, std::size_t n, float* inverse) {
  const float floor2 = rows.floor * rows.floor, share = 1 / rows.outlier;
  for (std::size_t i = 0; i < n; ++i) {
    const float spread = rows.spread[at + i];
    inverse[i] = spread * spread + floor2;
  }
  for (std::size_t i = 0; i < n; ++i) inverse[i] = std::sqrt(inverse[i]);
  if (rows.reference != nullptr) {
    for (std::size_t i = 0; i < n; ++i) {
      const float reference = rows.reference[at + i];
      const float miss = std::abs(static_cast<float>(rows.target[at + i] - rows.reference[at + i])) * share;
      const float least = reference * (1 / kReferenceMax);
      const float most = miss > least ? miss : least;
      inverse[i] = most > inverse[i] ? most : inverse[i];
    }
  } else {
    for (std::size_t i = 0; i < n; ++i) {
      const float miss = static_cast<float>(rows.target[at + i]) * share;
      inverse[i] = miss > inverse[i] ? miss : inverse[i];
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    const float weight = 1 / inverse[i];
    inverse[i] = rows.live[at + i] != 0 ? weight : 0;
  }
}

static std::int16_t column_value(float value) {
  const float low = value > -kColumnLimit ? value : -kColumnLimit;
  const float cut = low < kColumnLimit ? low : kColumnLimit;
  return static_cast<std::int16_t>(static_cast<std::int32_t>(cut + 2048.5f) - 2048);
}

static void whiten(const std::int16_t* feature, const std::int16_t* reference, const float* inverse,
                   float unit, std::size_t n, std::int16_t* out) {
  if (reference == nullptr) {
    for (std::size_t i = 0; i < n; ++i)
      out[i] = column_value(static_cast<float>(feature[i]) * (inverse[i] * unit));
    return;
  }
  for (std::size_t i = 0; i < n; ++i) {
    out[i] = column_value(static_cast<float>(feature[i] - reference[i]) * (inverse[i] * unit));
  }
}

static std::int32_t dot(const std::int16_t* a, const std::int16_t* b, std::size_t n) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += std::int32_t{a[i]} * b[i];
  return sum;
}

static void add_moments(const MomentRows& rows, std::size_t n, std::int64_t* sums) {
  alignas(64) float inverse[kChunk];
  alignas(64) std::int16_t columns[kMomentColumnsMax][kChunk];
  for (std::size_t at = 0; at < n; at += kChunk) {
    const std::size_t size = std::min(kChunk, n - at);
    inverse_deviations(rows, at, size, inverse);
    const std::int16_t* reference = rows.reference == nullptr ? nullptr : rows.reference + at;
    std::size_t c = 0;
    for (; c < rows.count; ++c)
      whiten(rows.features[c] + at, reference, inverse, kColumnOne, size, columns[c]);
    if (reference != nullptr) whiten(reference, nullptr, inverse, kReferenceOne, size, columns[c++]);
    for (std::size_t i = 0; i < size; ++i) columns[c][i] = column_value(rows.one * (inverse[i] * kColumnOne));
    ++c;
    whiten(rows.target + at, reference, inverse, kTargetOne, size, columns[c++]);
    std::int64_t* sum = sums;
    for (std::size_t a = 0; a < c; ++a) {
      for (std::size_t b = 0; b <= a; ++b) *sum++ += dot(columns[a], columns[b], size);
    }
  }
}

static void learn(std::uint16_t* state, const std::uint16_t* to, std::int32_t gain, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    const std::int32_t move = ((to[i] - state[i]) * gain + (1 << 14)) >> 15;
    state[i] = static_cast<std::uint16_t>(state[i] + move);
  }
}
