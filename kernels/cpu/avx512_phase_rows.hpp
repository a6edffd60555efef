// SPDX-License-Identifier: Apache-2.0
//
// Rows of phase planes in AVX-512: 32 pixels at a time, arithmetic as in kernels/reference/phases.hpp.
//
// Data path  level map > [predict, phases] > context > token > lanes
// Meaning    docs/formats/block.md §6.7 to §6.9. vpavgw is average(), vpmulhrsw is scaled(), vpdpwssd two features of
//            a mix at once.
// Not here   where rows lie (phase_walk.hpp), lanes (avx512_lanes.hpp). Include only from files compiled for AVX-512.
#pragma once

#include "kernels/cpu/avx512_predict.hpp"
#include "kernels/cpu/phase_walk.hpp"

namespace ff::kernels::cpu::avx512 {

/// Bucket entries as the vectors want them: context | raw bits << 8 | split << 14 | residual << 15.
using EntryTable = std::array<std::uint16_t, kBuckets>;

/// Buffers of a row: whole vectors of 32.
struct RowBuffers {
  std::uint16_t* contexts = nullptr;  ///< context << 8 | raw bits; kInactive where nothing is coded
  std::uint16_t* bases = nullptr;
  std::uint16_t* expected = nullptr;
};

class PhaseRows {
 public:
  PhaseRows(const PredictorState& state, const GroupSetup& group);

  /// Gains of the next frame.
  void begin_frame() noexcept;
  void predict(const RowInputs& in, const PlaneMix& mix, std::size_t width, const std::uint32_t* idle,
               const RowBuffers& out) noexcept;
  /// A row's levels are known: what the state sees of them, and its distance from the expectation.
  void settle(const std::uint16_t* levels, const std::uint16_t* expected, std::size_t width,
              const std::uint32_t* idle, std::uint16_t* seen, std::uint16_t* miss) const noexcept;
  /// Moves a row of the state past the frame. Writes `cols` pixels, no more.
  void learn(PhasePlaneState& plane, std::uint32_t y, const std::uint16_t* seen,
             const std::uint16_t* miss) const noexcept;

 private:
  template <RowInputs::Past kPast>
  void predict_with(const RowInputs& in, const PlaneMix& mix, std::size_t width, const std::uint32_t* idle,
                    const RowBuffers& out) noexcept;
  template <RowInputs::Past kPast, bool kByRate>
  void spread(const RowInputs& in, const PlaneMix& mix, std::size_t width,
              const std::uint16_t* expected) noexcept;
  template <bool kByRate>
  void contexts_of(std::size_t width, const std::uint32_t* idle, const RowBuffers& out) const noexcept;

  const PredictorState& state_;
  GroupSetup group_;
  bool any_split_ = false;
  std::uint32_t mean_gain_ = 0, fast_gain_ = 0, scale_gain_ = 0;
  alignas(64) EntryTable entries_{}, roots_{};
  std::vector<std::uint16_t> spread_;  // the scale; with source rate, its ratio to the root
};

/// symbols = context << 8 | token, kInactive where nothing is coded.
void tokenize(const std::uint16_t* levels, const RowBuffers& row, std::size_t width,
              std::uint16_t* symbols) noexcept;

/// Every other pixel of a row. `out` buffers are whole vectors.
void split_row(const std::uint16_t* row, std::size_t cols, std::uint16_t* even, std::uint16_t* odd) noexcept;
/// And back; writes `cols` pixels, no more.
void join_row(const std::uint16_t* even, const std::uint16_t* odd, std::size_t cols,
              std::uint16_t* row) noexcept;

}  // namespace ff::kernels::cpu::avx512
