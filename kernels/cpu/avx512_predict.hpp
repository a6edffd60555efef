// SPDX-License-Identifier: Apache-2.0
//
// Predict in AVX-512: 32 pixels of a row at a time, arithmetic as in kernels/reference/predict.hpp.
//
// Data path  level map > [predict] > context > token > lanes
// Meaning    docs/formats/block.md §6. vpavgw is average(), vpmulhrsw is scaled().
// Not here   lanes (avx512_lanes.hpp). Include only from files compiled for AVX-512.
#pragma once

#include <cstdint>
#include <immintrin.h>
#include <vector>

#include "kernels/cpu/avx512_buckets.hpp"
#include "kernels/cpu/avx512_levels.hpp"
#include "kernels/predictor_state.hpp"

// From here on this file's own functions are compiled for AVX-512; what the headers above define is not.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,bmi2,popcnt")

namespace ff::kernels::cpu::avx512 {

/// What a lane needs to know of a pixel: context << 8 | raw bits, bit 15 set where nothing is coded.
inline constexpr std::uint16_t kInactive = 0x8000;

/// One frame's predictor over the planes of a PredictorState; rows in ascending order. `Level` is uint16_t or
/// uint32_t.
class RowPredictor {
 public:
  RowPredictor(const FrameShape& tile, PredictorState& state, const GroupSetup& group);

  /// Contexts, bases and expectations of a row, from the state before this frame.
  template <typename Level>
  void predict_row(std::uint32_t row, std::uint16_t* contexts, Level* bases) noexcept;
  /// Moves the row's state to after this frame. `levels` may be read up to the row's end only.
  template <typename Level>
  void learn_row(std::uint32_t row, const Level* levels) noexcept;
  /// All rows are done: the next frame's state becomes the present one.
  void end_frame() noexcept;

 private:
  template <bool kMasked>
  void smooth(const std::uint16_t* plane, std::uint32_t row, std::uint16_t smoothing,
              std::uint16_t* out) noexcept;
  template <typename Level>
  void contexts_of(const std::uint16_t* expected, const std::uint16_t* keys, std::uint16_t* contexts,
                   Level* bases) const noexcept;
  // Added as a number: the pixel left of the first one is never read, but a pointer to it may not even be formed.
  [[nodiscard]] __mmask32 hidden(std::size_t at, __mmask32 valid) const noexcept {
    const auto* first = reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(mask_) + at);
    return _mm256_test_epi8_mask(_mm256_maskz_loadu_epi8(valid, first), _mm256_set1_epi8(-1));
  }

  FrameShape tile_;
  PredictorState& state_;
  GroupSetup group_;
  ContextEntries entries_;
  const std::uint8_t* mask_ = nullptr;
  LineVector vertical_, keys_, expected_;
};

}  // namespace ff::kernels::cpu::avx512

#pragma GCC pop_options
