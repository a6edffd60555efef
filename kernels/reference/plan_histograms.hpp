// SPDX-License-Identifier: Apache-2.0
//
// Cell histograms: sampled pixels counted by token, for runs of buckets that may come to share a context.
//
// Data path  sample > [histograms] > classes, frequencies > plan
// Meaning    no part of the format.
// Not here   which runs are joined and what tables are made of them (plan_tables.hpp).
#pragma once

#include <span>
#include <vector>

#include "kernels/format/context_tables.hpp"
#include "kernels/format/frequencies.hpp"
#include "kernels/reference/log2_fixed.hpp"
#include "kernels/reference/plan_sample.hpp"

namespace ff::kernels::reference {

/// Fewer do not make a histogram.
inline constexpr std::uint64_t kCellSamplesMin = 192;

/// Counts of one context's tokens, kSymbols of them, and between which tokens they lie, the escape apart.
struct TokenCounts {
  std::uint32_t* counts = nullptr;  ///< in the storage of CellHistograms
  std::uint16_t first = kEscape, end = 0;

  void find_range() noexcept;
  void add(const TokenCounts& other) noexcept;
  /// The same for a cell that is divided by the fraction, whose upper halves round down: one token too much.
  void add_shifted(const TokenCounts& other) noexcept;
  [[nodiscard]] Histogram histogram() const noexcept;
};

/// What divides a class into four contexts, where that pays.
enum class Division { none, fraction, ratio };

/// A run of buckets coded alike. Its histograms lie apart, in CellHistograms.
struct Cell {
  ContextClass form;
  Division division = Division::none;
  std::uint64_t count = 0, distance = 0;
  std::size_t first_part = 0;      ///< of its histograms: four where it may be divided, else one
  std::size_t whole = 0;           ///< of its undivided histogram
  FixedBits cost = 0;              ///< of the better form, price included
  FixedBits undivided = 0;         ///< of one context
  bool division_given_up = false;  ///< for want of contexts

  [[nodiscard]] std::size_t part_count() const noexcept { return division == Division::none ? 1 : 4; }
};

struct CellHistograms {
  std::vector<Cell> cells;         ///< in bucket order
  std::vector<TokenCounts> parts;  ///< of contexts as a split class has them
  std::vector<TokenCounts>
      wholes;  ///< by Cell::whole, of undivided contexts; the part itself where there is one
  std::vector<std::uint32_t> counts;  ///< what both point into

  [[nodiscard]] std::span<const TokenCounts> parts_of(const Cell& cell) const noexcept {
    return std::span(parts).subspan(cell.first_part, cell.part_count());
  }
};

/// Groups buckets until each cell has `samples_min` pixels, chooses its raw bits and counts its tokens. Buckets of
/// different modes (levels, residuals) never share a cell.
[[nodiscard]] CellHistograms count_cells(const SampleRecords& records, const PredictorSetup& setup,
                                         std::uint64_t samples_min);

/// Tokens by context under given tables, one histogram each; symbols without a frequency are not yet escapes.
[[nodiscard]] std::vector<Histogram> count_contexts(const SampleRecords& records, const PredictorSetup& setup,
                                                    const ContextTables& tables);

}  // namespace ff::kernels::reference
