// SPDX-License-Identifier: Apache-2.0
//
// Rows of phase planes in AVX-512: 32 pixels at a time, arithmetic as in kernels/reference/phases.hpp. `Level` is
// uint16_t or uint32_t.
//
// Data path  level map > [predict, phases] > context > token > lanes
// Meaning    docs/formats/block.md §6.7 to §6.9. vpavgw is average(), vpmulhrsw is scaled(), vpdpwssd two features of
//            a mix at once.
// Not here   where rows lie (phase_walk.hpp), lanes (avx512_lanes.hpp). Include only from files compiled for AVX-512.
#pragma once

#include "kernels/cpu/avx512_predict.hpp"
#include "kernels/cpu/phase_walk.hpp"

namespace ff::kernels::cpu::avx512 {

/// Buffers of a row: whole vectors of 32.
template <typename Level>
struct RowBuffers {
  std::uint16_t* contexts = nullptr;  ///< context << 8 | raw bits; kInactive where nothing is coded
  Level* bases = nullptr;
  std::uint16_t* expected = nullptr;
};

class PhaseRows {
 public:
  PhaseRows(const PredictorState& state, const GroupSetup& group);

  /// Gains of the next frame.
  void begin_frame() noexcept;
  template <typename Level>
  void predict(const RowInputs& in, const PlaneMix& mix, std::size_t width, const std::uint32_t* idle,
               const RowBuffers<Level>& out) noexcept {
    expect(in, mix, width, out.expected);
    by_rate() ? contexts_of<true>(width, idle, out) : contexts_of<false>(width, idle, out);
  }
  /// A row's levels are known: what the state sees of them, and its distance from the expectation.
  template <typename Level>
  void settle(const Level* levels, const std::uint16_t* expected, std::size_t width,
              const std::uint32_t* idle, std::uint16_t* seen, std::uint16_t* miss) const noexcept;
  /// Moves a row of the state past the frame. Writes `cols` pixels, no more.
  void learn(PhasePlaneState& plane, std::uint32_t y, const std::uint16_t* seen,
             const std::uint16_t* miss) const noexcept;

 private:
  [[nodiscard]] bool by_rate() const noexcept { return state_.setup.source == ContextSource::rate; }
  /// Expectation and, where contexts depend on it, spread_.
  void expect(const RowInputs& in, const PlaneMix& mix, std::size_t width, std::uint16_t* expected) noexcept;
  template <RowInputs::Past kPast>
  void expect_with(const RowInputs& in, const PlaneMix& mix, std::size_t width,
                   std::uint16_t* expected) noexcept;
  template <RowInputs::Past kPast, bool kByRate>
  void spread(const RowInputs& in, const PlaneMix& mix, std::size_t width,
              const std::uint16_t* expected) noexcept;
  template <bool kByRate, typename Level>
  void contexts_of(std::size_t width, const std::uint32_t* idle, const RowBuffers<Level>& out) const noexcept;

  const PredictorState& state_;
  GroupSetup group_;
  ContextEntries entries_;
  std::uint32_t mean_gain_ = 0, fast_gain_ = 0, scale_gain_ = 0;
  alignas(64) EntryTable roots_{};
  std::vector<std::uint16_t> spread_;  // the scale; with source rate, its ratio to the root
};

/// symbols = context << 8 | token, kInactive where nothing is coded.
template <typename Level>
void tokenize(const Level* levels, const RowBuffers<Level>& row, std::size_t width,
              std::uint16_t* symbols) noexcept;

/// Every other pixel of a row. `out` buffers are whole vectors.
void split_row(const std::uint16_t* row, std::size_t cols, std::uint16_t* even, std::uint16_t* odd) noexcept;
void split_row(const std::uint32_t* row, std::size_t cols, std::uint32_t* even, std::uint32_t* odd) noexcept;
/// And back; writes `cols` pixels, no more.
void join_row(const std::uint16_t* even, const std::uint16_t* odd, std::size_t cols,
              std::uint16_t* row) noexcept;
void join_row(const std::uint32_t* even, const std::uint32_t* odd, std::size_t cols,
              std::uint32_t* row) noexcept;

}  // namespace ff::kernels::cpu::avx512
