// SPDX-License-Identifier: Apache-2.0
//
// Joining: which neighbouring cells share a context, and which classes are split into four.
//
// Data path  sample > histograms > [classes] > frequencies > plan
// Meaning    no part of the format. Judged by bits: entropy, and what each context and symbol costs beside it.
// Not here   the cells' histograms (plan_histograms.hpp), frequencies (plan_tables.hpp).
#pragma once

#include "kernels/reference/plan_histograms.hpp"

namespace ff::kernels::reference {

inline constexpr FixedBits kOneBit = FixedBits{1} << kFixedBitsShift;
/// What the sample's chance hides of a context's cost on other pixels: half of log2 e bits a symbol; and as much
/// again where the table itself is made of the sample.
inline constexpr FixedBits kChancePerSymbol = kOneBit * 3 / 4;

/// What a context costs beside its tokens, in bits of the sample.
struct ContextPrice {
  FixedBits context = 0;  ///< each
  FixedBits symbol = 0;   ///< for each of its symbols
  FixedBits rare = 0;     ///< for each symbol that occurs once
};

/// Joins neighbouring cells while that saves bits, or there are too many contexts. Changes `histograms`.
class Joining {
 public:
  Joining(CellHistograms& histograms, const ContextPrice& price)
      : cells_(histograms.cells), parts_(histograms.parts), wholes_(histograms.wholes), price_(price) {}

  /// Chooses for each cell whether it is split, and says what it costs.
  void appraise_all();
  /// After appraise_all.
  void run();

 private:
  void appraise(Cell& cell) const;
  [[nodiscard]] std::int64_t join_loss(std::size_t i) const;
  void join(std::size_t i);
  void give_up_division(std::size_t i);
  void renew(std::size_t i);
  [[nodiscard]] std::int64_t loss_per_context(std::size_t i) const noexcept;
  bool step();

  std::vector<Cell>& cells_;
  std::vector<TokenCounts>& parts_;
  std::vector<TokenCounts>& wholes_;
  ContextPrice price_;
  std::vector<std::int64_t> loss_;  ///< of joining a cell with the one behind it
};

}  // namespace ff::kernels::reference
