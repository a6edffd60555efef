// SPDX-License-Identifier: Apache-2.0
//
// Predict in AVX-512. Rows may be written up to 31 pixels past their end: the next row comes later and the
// planes have room behind the last one.
#include "kernels/cpu/avx512_predict.hpp"

#include <algorithm>
#include <cstring>

// From here on this file's own functions are compiled for AVX-512; what the headers above define is not.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,bmi2,popcnt")

namespace ff::kernels::cpu::avx512 {
namespace {

constexpr std::size_t kRowPadding = 96;

std::uint16_t gain(std::uint32_t frames, std::uint32_t memory) noexcept {
  return static_cast<std::uint16_t>(std::min(32767u, 32768u / std::min(frames + 1, memory)));
}

}  // namespace

RowPredictor::RowPredictor(const FrameShape& tile, PredictorState& state, const GroupSetup& group)
    : tile_(tile), state_(state), group_(group), entries_(*state.tables) {
  if (state.mask != nullptr) mask_ = state.mask->classes.data();
  vertical_.resize(tile.cols + kRowPadding);
  keys_.resize(tile.cols + kRowPadding);
  // The scale learns from what was expected, so expectations are kept until the frame's rows are learned.
  expected_.resize((state.scale.empty() ? 0 : tile.pixels()) + tile.cols + kRowPadding);
}

template <bool kMasked>
void RowPredictor::smooth(const std::uint16_t* plane, std::uint32_t row, std::uint16_t smoothing,
                          std::uint16_t* out) noexcept {
  const std::size_t cols = tile_.cols, at = std::size_t{row} * cols;
  const std::uint16_t* centre = plane + at;
  const std::uint16_t* up = row > 0 ? centre - cols : centre;
  const std::uint16_t* down = row + 1 < tile_.rows ? centre + cols : centre;
  std::uint16_t* vertical = vertical_.data() + 32;
  for (std::size_t i = 0; i < cols; i += 32) {
    const __m512i own = _mm512_loadu_si512(centre + i);
    __m512i above = _mm512_loadu_si512(up + i), below = _mm512_loadu_si512(down + i);
    if constexpr (kMasked) {
      const __mmask32 valid = tail_mask(cols - i);
      if (row > 0) above = _mm512_mask_mov_epi16(above, hidden(at - cols + i, valid), own);
      if (row + 1 < tile_.rows) below = _mm512_mask_mov_epi16(below, hidden(at + cols + i, valid), own);
    }
    _mm512_storeu_si512(vertical + i, _mm512_avg_epu16(_mm512_avg_epu16(above, below), own));
  }
  vertical[-1] = vertical[0];
  vertical[cols] = vertical[cols - 1];
  const __m512i share = set16(smoothing);
  for (std::size_t i = 0; i < cols; i += 32) {
    const __m512i own = _mm512_loadu_si512(vertical + i);
    __m512i left = _mm512_loadu_si512(vertical + i - 1), right = _mm512_loadu_si512(vertical + i + 1);
    if constexpr (kMasked) {
      const __mmask32 valid = tail_mask(cols - i);
      const __mmask32 has_left = i == 0 ? valid & ~1u : valid;
      const __mmask32 has_right = tail_mask(cols - i - 1);
      left = _mm512_mask_mov_epi16(left, hidden(at + i - 1, has_left), own);
      right = _mm512_mask_mov_epi16(right, hidden(at + i + 1, has_right), own);
    }
    const __m512i filtered = _mm512_avg_epu16(_mm512_avg_epu16(left, right), own);
    const __m512i mid = _mm512_loadu_si512(centre + i);
    const __m512i step = _mm512_mulhrs_epi16(_mm512_sub_epi16(filtered, mid), share);
    _mm512_storeu_si512(out + i, _mm512_add_epi16(mid, step));
  }
}

template <typename Level>
void RowPredictor::contexts_of(const std::uint16_t* expected, const std::uint16_t* keys,
                               std::uint16_t* contexts, Level* bases) const noexcept {
  const PredictorSetup& setup = state_.setup;
  const BucketTable entries(entries_.words);
  const __m512i half = set16(setup.up == 0 ? 0u : 1u << (setup.up - 1));
  const __m128i up = _mm_cvtsi32_si128(setup.up), down = _mm_cvtsi32_si128(setup.down);
  const __m128i fraction_shift = _mm_cvtsi32_si128(setup.up < 2 ? 0 : setup.up - 2);
  for (std::size_t i = 0; i < tile_.cols; i += 32) {
    const __m512i want = _mm512_loadu_si512(expected + i);
    const __m512i entry = entries.at(_mm512_loadu_si512(keys + i));
    const __mmask32 residual = _mm512_movepi16_mask(entry);
    const __m512i raw_bits = _mm512_and_si512(_mm512_srli_epi16(entry, 8), set16(15));
    __m512i context = _mm512_and_si512(entry, set16(63));
    __m512i rounding = half;
    if (entries_.any_split) {
      const __mmask32 split = _mm512_test_epi16_mask(entry, set16(kSplitBit));
      const __m512i fraction = _mm512_and_si512(_mm512_srl_epi16(want, fraction_shift), set16(3));
      context = _mm512_mask_add_epi16(context, split, context, fraction);
      rounding = _mm512_maskz_mov_epi16(~split, half);
    }
    const __m512i predicted = _mm512_srl_epi16(_mm512_add_epi16(want, rounding), up);
    store_bases(bases + i, predicted, down, raw_bits, residual);
    _mm512_storeu_si512(contexts + i, _mm512_or_si512(_mm512_slli_epi16(context, 8), raw_bits));
  }
}

template <typename Level>
void RowPredictor::predict_row(std::uint32_t row, std::uint16_t* contexts, Level* bases) noexcept {
  const bool by_scale = !state_.scale.empty();
  std::uint16_t* expected = expected_.data() + (by_scale ? std::size_t{row} * tile_.cols : 0);
  const auto smooth_plane = [&](const std::uint16_t* plane, std::uint16_t smoothing, std::uint16_t* out) {
    mask_ != nullptr ? smooth<true>(plane, row, smoothing, out) : smooth<false>(plane, row, smoothing, out);
  };
  smooth_plane(state_.mean.data(), group_.smoothing, expected);
  if (by_scale) smooth_plane(state_.scale.data(), group_.scale_smoothing, keys_.data());
  contexts_of(expected, by_scale ? keys_.data() : expected, contexts, bases);
  if (mask_ == nullptr) return;
  for (std::size_t i = 0; i < tile_.cols; i += 32) {
    const __mmask32 off = hidden(std::size_t{row} * tile_.cols + i, tail_mask(tile_.cols - i));
    _mm512_mask_storeu_epi16(contexts + i, off, set16(kInactive));
  }
}

template <typename Level>
void RowPredictor::learn_row(std::uint32_t row, const Level* levels) noexcept {
  const std::size_t cols = tile_.cols, at = std::size_t{row} * cols;
  const bool by_scale = !state_.scale.empty();
  const __m512i mean_gain = set16(gain(state_.frames, group_.mean_frames));
  const __m512i scale_gain = set16(gain(state_.frames, group_.scale_frames));
  const LevelSight<Level> sight(state_.setup);
  for (std::size_t i = 0; i < cols; i += 32) {
    const __mmask32 valid = tail_mask(cols - i);
    const auto [now, regular] = sight.at(levels + i, valid);
    const __mmask32 counts = mask_ != nullptr ? regular & ~hidden(at + i, valid) : regular;
    const __m512i mean = _mm512_loadu_si512(&state_.mean[at + i]);
    const __m512i step = _mm512_mulhrs_epi16(_mm512_sub_epi16(now, mean), mean_gain);
    _mm512_storeu_si512(&state_.mean_next[at + i], _mm512_mask_add_epi16(mean, counts, mean, step));
    if (!by_scale) continue;
    const __m512i scale = _mm512_loadu_si512(&state_.scale[at + i]);
    const __m512i distance = _mm512_abs_epi16(_mm512_sub_epi16(now, _mm512_loadu_si512(&expected_[at + i])));
    const __m512i scale_step = _mm512_mulhrs_epi16(_mm512_sub_epi16(distance, scale), scale_gain);
    _mm512_storeu_si512(&state_.scale_next[at + i], _mm512_mask_add_epi16(scale, counts, scale, scale_step));
  }
}

template void RowPredictor::predict_row(std::uint32_t, std::uint16_t*, std::uint16_t*) noexcept;
template void RowPredictor::predict_row(std::uint32_t, std::uint16_t*, std::uint32_t*) noexcept;
template void RowPredictor::learn_row(std::uint32_t, const std::uint16_t*) noexcept;
template void RowPredictor::learn_row(std::uint32_t, const std::uint32_t*) noexcept;

void RowPredictor::end_frame() noexcept {
  state_.mean.swap(state_.mean_next);
  state_.scale.swap(state_.scale_next);
  state_.frames = std::min(state_.frames + 1, kWindowFramesMax);
}

}  // namespace ff::kernels::cpu::avx512

#pragma GCC pop_options
