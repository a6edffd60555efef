// SPDX-License-Identifier: Apache-2.0
//
// Tables: frequencies of the classes that joining leaves, and what pixels cost under them.
#include "kernels/reference/plan_tables.hpp"

#include <algorithm>
#include <numeric>

#include "kernels/format/frequencies.hpp"
#include "kernels/reference/plan_joining.hpp"

namespace ff::kernels::reference {
namespace {

constexpr std::uint64_t kTrialCells = 24;     // cells of a quick estimate
constexpr FixedBits kContextHeaderBits = 34;  // what a context costs before its symbols
constexpr FixedBits kSymbolHeaderBits = 4;    // and for each symbol
// A symbol seen once stands for about one that was not seen, and will escape.
constexpr FixedBits kMissPerRare = kOneBit * 4;

ContextPrice price_of(std::uint64_t ratio_256, bool counted) noexcept {
  const FixedBits chance =
      (counted ? kChancePerSymbol : 2 * kChancePerSymbol) * (ratio_256 - 256) / ratio_256;
  return {kContextHeaderBits * kOneBit * 256 / ratio_256,
          kSymbolHeaderBits * kOneBit * 256 / ratio_256 + chance,
          counted ? 0 : kMissPerRare * (ratio_256 - 256) / ratio_256};
}

// Symbols that a small sample missed but that lie beside those it saw get the smallest share: rarer than
// about 1 in 32768, escaping costs less than the share.
void extend_tails(Histogram& histogram) {
  const std::uint64_t total = std::accumulate(histogram.begin(), histogram.end(), std::uint64_t{0});
  if (total < kCellSamplesMin || total > 32768) return;
  const auto used = std::ranges::count_if(histogram, [](std::uint32_t n) { return n != 0; });
  const std::ptrdiff_t reach = 1 + used / 16;
  const Histogram seen_before = histogram;
  for (std::ptrdiff_t s = 0; s < kEscape; ++s) {
    if (seen_before[static_cast<std::size_t>(s)] == 0) continue;
    const std::ptrdiff_t to = std::min<std::ptrdiff_t>(kEscape - 1, s + reach);
    for (std::ptrdiff_t t = std::max<std::ptrdiff_t>(0, s - reach); t <= to; ++t) {
      auto& n = histogram[static_cast<std::size_t>(t)];
      n = std::max<std::uint32_t>(n, 1);
    }
  }
}

// Tokens as appraised, raw bits and escapes.
FixedBits appraised_cost(const CellHistograms& histograms, const PredictorSetup& setup) {
  FixedBits cost = 0;
  for (const Cell& cell : histograms.cells) {
    cost += cell.cost + cell.form.raw_bits * cell.count * kOneBit;
    for (const TokenCounts& part : histograms.parts_of(cell))
      cost += kOneBit * part.counts[kEscape] * setup.levels.level_bits;
  }
  return cost;
}

}  // namespace

FixedBits estimate_cost(const SampleRecords& records, const PredictorSetup& setup) {
  // About as many cells as a plan has classes; what the sample's chance seems to gain is charged back.
  const std::uint64_t samples_min = std::max(kCellSamplesMin, std::uint64_t{records.size()} / kTrialCells);
  CellHistograms histograms = count_cells(records, setup, samples_min);
  Joining(histograms, {0, 2 * kChancePerSymbol}).appraise_all();
  return appraised_cost(histograms, setup);
}

namespace {

// Sum over contexts of what their tokens cost, raw bits and escapes.
FixedBits table_cost(const std::vector<Histogram>& counts, const PredictorSetup& setup,
                     const ContextTables& tables) {
  const FixedBits scale = FixedBits{tables.bits} << kFixedBitsShift;
  std::vector<std::uint8_t> raw_bits;
  for (const ContextClass& form : tables.classes)
    raw_bits.insert(raw_bits.end(), form.contexts(), form.raw_bits);
  FixedBits cost = 0;
  for (std::size_t c = 0; c < counts.size(); ++c) {
    const Frequencies& f = tables.frequencies[c];
    std::uint64_t escapes = counts[c][kEscape], pixels = 0;
    for (std::size_t s = 0; s < kEscape; ++s) {
      const std::uint64_t n = counts[c][s];
      (f[s] == 0 ? escapes : pixels) += n;
      if (n != 0 && f[s] != 0) cost += n * (scale - log2_fixed(f[s]));
    }
    cost += escapes * (scale - log2_fixed(f[kEscape]) + setup.levels.level_bits * kOneBit);
    cost += pixels * raw_bits[c] * kOneBit;
  }
  return cost;
}

FixedBits coded_cost(const std::vector<Histogram>& counts, const std::vector<Frequencies>& frequencies,
                     unsigned bits) {
  FixedBits cost = 0;
  for (std::size_t c = 0; c < counts.size(); ++c) {
    for (std::size_t s = 0; s < kSymbols; ++s) {
      const std::uint32_t n = counts[c][s], f = frequencies[c][s];
      if (n != 0) cost += n * ((FixedBits{bits} << kFixedBitsShift) - log2_fixed(std::max(f, 1u)));
    }
  }
  return cost;
}

// Twelve bits where they save more than a thousandth: smaller tables are faster.
void set_frequencies(ContextTables& tables, const std::vector<Histogram>& counts, bool counted) {
  std::vector<Frequencies> eleven, twelve;
  for (const Histogram& histogram : counts) {
    eleven.push_back(frequencies_of(histogram, 11));
    twelve.push_back(frequencies_of(histogram, 12));
  }
  const FixedBits cost = coded_cost(counts, eleven, 11);
  const bool finer = coded_cost(counts, twelve, 12) + (counted ? 0 : cost / 1024) < cost;
  tables.bits = finer ? 12 : 11;
  tables.frequencies = std::move(finer ? twelve : eleven);
}

// About what the tables themselves take.
std::uint64_t header_bits(const ContextTables& tables) {
  FixedBits bits = tables.frequencies.size() * kContextHeaderBits;
  for (const Frequencies& f : tables.frequencies)
    bits += kSymbolHeaderBits *
            static_cast<std::uint64_t>(std::ranges::count_if(f, [](auto n) { return n != 0; }));
  return bits;
}

}  // namespace

BuiltTables build_tables(const SampleRecords& records, const PredictorSetup& setup, std::uint64_t ratio_256,
                         bool counted) {
  CellHistograms histograms = count_cells(records, setup, kCellSamplesMin);
  Joining joining(histograms, price_of(ratio_256, counted));
  joining.appraise_all();
  joining.run();
  BuiltTables built;
  ContextTables& tables = built.tables;
  std::vector<Histogram> counts;
  for (const Cell& cell : histograms.cells) {
    tables.classes.push_back(cell.form);
    if (!cell.form.split) {
      counts.push_back(histograms.wholes[cell.whole].histogram());
      continue;
    }
    for (const TokenCounts& part : histograms.parts_of(cell)) counts.push_back(part.histogram());
  }
  const auto of_all = [&](FixedBits cost) { return (cost / 256 * ratio_256) >> kFixedBitsShift; };
  built.bits = of_all(appraised_cost(histograms, setup));
  if (counted) {
    set_frequencies(tables, counts, true);
    return built;
  }
  std::vector<Histogram> extended = counts;
  if (ratio_256 > 256) {
    for (Histogram& histogram : extended) extend_tails(histogram);
  }
  set_frequencies(tables, extended, false);
  built.sample_bits = of_all(table_cost(counts, setup, tables)) + header_bits(tables);
  built.bits = std::max(built.bits, built.sample_bits);
  return built;
}

FixedBits table_cost(const SampleRecords& records, const PredictorSetup& setup, const ContextTables& tables) {
  return table_cost(count_contexts(records, setup, tables), setup, tables);
}

std::uint8_t streams_for(std::uint64_t bits) noexcept {
  return bits >= (1u << 20) ? 4 : bits >= (1u << 19) ? 2 : 1;
}

}  // namespace ff::kernels::reference
