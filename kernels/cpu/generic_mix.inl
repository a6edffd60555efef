// SPDX-License-Identifier: Apache-2.0
//
// Weighted sums of rows in plain loops. Part of generic_codec.inl, which says how these files are included.
//
// Meaning    docs/formats/block.md §6.7, §6.8.
// Not here   which rows (generic_phase_rows.inl), AVX2 (avx2_mix.inl).

constexpr std::size_t kMixBlock = 32;

// Products of 16 bits by 16, which every vector set has. A function of its own: inside a loop over features g++ would not
// vectorize it.
[[gnu::noinline]] inline void add_rows(std::int32_t* __restrict sum, const std::int16_t* weights,
                                       const std::uint16_t* const* rows, std::size_t x) noexcept {
  const std::uint16_t* __restrict a = rows[0] + x, * __restrict b = rows[1] + x, * __restrict c = rows[2] + x, * __restrict d = rows[3] + x;
  const std::int16_t w[] = {weights[0], weights[1], weights[2], weights[3]};
  const auto signed16 = [](std::uint16_t value) { return static_cast<std::int16_t>(value); };
  for (std::size_t i = 0; i < kMixBlock; ++i)
    sum[i] += w[0] * signed16(a[i]) + w[1] * signed16(b[i]) + w[2] * signed16(c[i]) + w[3] * signed16(d[i]);
}

// out = min(max(sum >> 12, least), 32767) for `width` pixels, a multiple of 32. `mix` is filled.
inline void weighted_sum(const MixRows& mix, std::size_t width, std::int16_t least,
                         std::uint16_t* out) noexcept {
  static_assert(MixRows::kStep == 4);
  for (std::size_t x = 0; x < width; x += kMixBlock) {
    std::array<std::int32_t, kMixBlock> sum;
    sum.fill(mix.start());
    for (std::size_t j = 0; j < mix.count(); j += MixRows::kStep)
      add_rows(sum.data(), mix.weights() + j, mix.rows() + j, x);
    for (std::size_t i = 0; i < kMixBlock; ++i)
      out[x + i] = static_cast<std::uint16_t>(std::clamp<std::int32_t>(sum[i] >> 12, least, 32767));
  }
}
