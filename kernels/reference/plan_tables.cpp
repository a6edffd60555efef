// SPDX-License-Identifier: Apache-2.0
//
// Tables: neighbouring buckets share a context while that costs fewer bits than a table of their own.
#include "kernels/reference/plan_tables.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <limits>
#include <numeric>

#include "kernels/format/frequencies.hpp"
#include "kernels/reference/predict.hpp"

namespace ff::kernels::reference {
namespace {

constexpr std::uint64_t kCellSamplesMin = 96;  // fewer do not make a histogram
constexpr std::uint64_t kTrialCells = 24;      // cells of a quick estimate
constexpr std::uint32_t kValueModeRate = 8;    // levels: below, tokens are the levels themselves
constexpr std::uint32_t kSpreadPerToken = 10;  // mean distance / 2^k stays below this many tokens
constexpr FixedBits kOneBit = FixedBits{1} << kFixedBitsShift;
constexpr FixedBits kContextHeaderBits = 34;  // what a context costs before its symbols
constexpr FixedBits kSymbolHeaderBits = 4;    // and for each symbol

struct BucketStatistics {
  std::uint64_t count = 0;
  std::uint64_t distance = 0;  ///< sum of |level - predicted|, large ones cut
};

std::uint32_t predicted_level(std::uint16_t expected, const PredictorSetup& setup) noexcept {
  const std::uint32_t half = setup.up == 0 ? 0 : 1u << (setup.up - 1);
  return ((expected + half) >> setup.up) << setup.down;
}

std::array<BucketStatistics, kBuckets> bucket_statistics(const SampleRecords& records,
                                                         const PredictorSetup& setup) {
  std::array<BucketStatistics, kBuckets> statistics{};
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::int64_t distance =
        std::int64_t{records.level[i]} - predicted_level(records.expected[i], setup);
    BucketStatistics& bucket = statistics[records.bucket[i]];
    ++bucket.count;
    bucket.distance += static_cast<std::uint64_t>(std::min<std::int64_t>(std::abs(distance), 1 << 20));
  }
  return statistics;
}

// A run of buckets coded alike, with the histograms of its contexts.
struct Cell {
  ContextClass form;
  std::uint64_t count = 0, distance = 0;
  std::array<Histogram, 4> histograms{};  ///< by fraction where split, else only the first
  FixedBits cost = 0;
};

bool same_form(const ContextClass& a, const ContextClass& b) noexcept {
  return a.residual == b.residual && a.split == b.split && a.raw_bits == b.raw_bits;
}

// Smallest k that keeps the spread; the neighbour's k where that is nearly as good, so that cells can join.
std::uint8_t raw_bits_for(const Cell& cell, std::uint8_t neighbour) noexcept {
  const std::uint64_t limit = kSpreadPerToken * std::max<std::uint64_t>(cell.count, 1);
  std::uint8_t k = 0;
  while (k < kRawBitsMax && (cell.distance >> k) > limit) ++k;
  const bool nearly_less = k == neighbour + 1 && (cell.distance >> neighbour) <= limit + limit / 3;
  const bool nearly_more = k + 1 == neighbour && (cell.distance >> k) >= limit - limit / 3;
  return nearly_less || nearly_more ? neighbour : k;
}

// Small distances: the prediction's fraction says which level is likelier. Rate contexts know it already.
bool wants_split(const Cell& cell, const PredictorSetup& setup) noexcept {
  return setup.source == ContextSource::scale && setup.up >= 2 && cell.form.residual &&
         cell.distance < 2 * cell.count;
}

// First grouping: enough samples in each cell to choose its raw bits; modes never mix.
std::vector<Cell> first_cells(const std::array<BucketStatistics, kBuckets>& statistics,
                              const PredictorSetup& setup, std::uint64_t samples_min) {
  // Short packed lists are combs: which levels occur matters more than how far they are from the prediction.
  const bool comb = setup.levels.kind == LevelMapKind::packed && setup.levels.packed.size() < kEscape;
  const std::uint64_t value_key_end = comb ? std::uint64_t{1} << 15
                                      : setup.source == ContextSource::rate
                                          ? std::uint64_t{kValueModeRate} << setup.up
                                          : 0;
  const auto is_residual = [&](std::uint32_t bucket) {
    return setup.down != 0 || bucket_floor(bucket) >= value_key_end;
  };
  std::vector<Cell> cells;
  for (std::uint32_t bucket = 0; bucket < kBuckets; ++bucket) {
    const bool residual = is_residual(bucket);
    const bool fresh = cells.empty() || cells.back().form.residual != residual ||
                       (cells.back().count >= samples_min && statistics[bucket].count != 0);
    if (fresh) {
      cells.emplace_back();
      cells.back().form.residual = residual;
      cells.back().form.buckets = 0;
    }
    ++cells.back().form.buckets;
    cells.back().count += statistics[bucket].count;
    cells.back().distance += statistics[bucket].distance;
  }
  // A small last cell joins the one before it.
  for (std::size_t i = cells.size(); i-- > 1;) {
    if (cells[i].count >= samples_min || cells[i - 1].form.residual != cells[i].form.residual) continue;
    cells[i - 1].form.buckets = static_cast<std::uint8_t>(cells[i - 1].form.buckets + cells[i].form.buckets);
    cells[i - 1].count += cells[i].count;
    cells[i - 1].distance += cells[i].distance;
    cells.erase(cells.begin() + static_cast<std::ptrdiff_t>(i));
  }
  std::uint8_t neighbour = kRawBitsMax + 2;  // no cell before the first
  for (Cell& cell : cells) {
    if (!cell.form.residual) continue;
    neighbour = cell.form.raw_bits = raw_bits_for(cell, neighbour);
    cell.form.split = wants_split(cell, setup);
    if (cell.form.split) cell.form.raw_bits = 0;
  }
  return cells;
}

std::array<std::uint8_t, kBuckets> cell_of_bucket(const std::vector<Cell>& cells) {
  std::array<std::uint8_t, kBuckets> map{};
  std::size_t bucket = 0;
  for (std::size_t c = 0; c < cells.size(); ++c) {
    for (std::size_t i = 0; i < cells[c].form.buckets; ++i) map[bucket++] = static_cast<std::uint8_t>(c);
  }
  return map;
}

void fill_histograms(std::vector<Cell>& cells, const SampleRecords& records, const PredictorSetup& setup) {
  const auto map = cell_of_bucket(cells);
  const std::uint32_t wrap = wrap_mask(setup.levels.level_bits);
  for (std::size_t i = 0; i < records.size(); ++i) {
    Cell& cell = cells[map[records.bucket[i]]];
    const BucketEntry entry{0, cell.form.raw_bits, cell.form.residual, cell.form.split};
    const PixelContext pixel = pixel_context(entry, records.expected[i], setup);
    ++cell.histograms[pixel.context][token_of(records.level[i], pixel, wrap)];
  }
}

FixedBits cell_cost(const std::array<Histogram, 4>& histograms, const ContextClass& form) {
  FixedBits cost = 0;
  for (std::size_t i = 0; i < form.contexts(); ++i) cost += entropy_bits(histograms[i]);
  return cost;
}

std::uint64_t symbols(const Cell& cell) noexcept {
  std::uint64_t used = 0;
  for (std::size_t i = 0; i < cell.form.contexts(); ++i) {
    used += static_cast<std::uint64_t>(
        std::ranges::count_if(cell.histograms[i], [](std::uint32_t n) { return n != 0; }));
  }
  return used;
}

Cell joined(const Cell& a, const Cell& b) {
  Cell sum = a;
  sum.form.buckets = static_cast<std::uint8_t>(a.form.buckets + b.form.buckets);
  sum.count += b.count;
  sum.distance += b.distance;
  for (std::size_t i = 0; i < 4; ++i) {
    for (std::size_t s = 0; s < kSymbols; ++s) sum.histograms[i][s] += b.histograms[i][s];
  }
  sum.cost = cell_cost(sum.histograms, sum.form);
  return sum;
}

// What the sample's chance adds to a loss, and a table fitted to it loses on other pixels: 0.72 bits a symbol
// each.
constexpr FixedBits kChancePerSymbol = kOneBit * 3 / 2;

// Bits lost by joining two neighbours, header saved deducted; "never" where their forms differ.
std::int64_t join_loss(const Cell& a, const Cell& b, std::uint64_t ratio_256) {
  if (!same_form(a.form, b.form)) return std::numeric_limits<std::int64_t>::max();
  const FixedBits apart = a.cost + b.cost, together = joined(a, b).cost;
  const std::uint64_t fewer = std::min(symbols(a), symbols(b));
  const FixedBits chance = fewer * kChancePerSymbol * (ratio_256 - 256) / ratio_256;
  const FixedBits lost = together > apart + chance ? (together - apart - chance) / 256 * ratio_256 : 0;
  const FixedBits saved = (kContextHeaderBits * a.form.contexts() + kSymbolHeaderBits * fewer) * kOneBit;
  return static_cast<std::int64_t>(lost) - static_cast<std::int64_t>(saved);
}

std::size_t context_count(const std::vector<Cell>& cells) {
  return std::accumulate(cells.begin(), cells.end(), std::size_t{0},
                         [](std::size_t sum, const Cell& cell) { return sum + cell.form.contexts(); });
}

void join_cells(std::vector<Cell>& cells, std::uint64_t ratio_256) {
  std::vector<std::int64_t> loss(cells.size(), std::numeric_limits<std::int64_t>::max());
  for (std::size_t i = 0; i + 1 < cells.size(); ++i) loss[i] = join_loss(cells[i], cells[i + 1], ratio_256);
  while (cells.size() > 1) {
    const auto best = static_cast<std::size_t>(std::min_element(loss.begin(), loss.end() - 1) - loss.begin());
    const bool too_many = context_count(cells) > kContextsMax;
    if (loss[best] == std::numeric_limits<std::int64_t>::max() || (loss[best] >= 0 && !too_many)) break;
    cells[best] = joined(cells[best], cells[best + 1]);
    cells.erase(cells.begin() + static_cast<std::ptrdiff_t>(best + 1));
    loss.erase(loss.begin() + static_cast<std::ptrdiff_t>(best + 1));
    if (best > 0) loss[best - 1] = join_loss(cells[best - 1], cells[best], ratio_256);
    loss[best] = best + 1 < cells.size() ? join_loss(cells[best], cells[best + 1], ratio_256)
                                         : std::numeric_limits<std::int64_t>::max();
  }
}

// Cells that nothing could join (forms differ) may still be too many: unsplit the lightest.
void drop_splits(std::vector<Cell>& cells, const SampleRecords& records, const PredictorSetup& setup) {
  if (context_count(cells) <= kContextsMax) return;
  for (Cell& cell : cells) {
    cell.form.split = false;
    cell.histograms = {};
  }
  fill_histograms(cells, records, setup);
  for (Cell& cell : cells) cell.cost = cell_cost(cell.histograms, cell.form);
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

}  // namespace

FixedBits estimate_cost(const SampleRecords& records, const PredictorSetup& setup) {
  // About as many cells as a plan has classes; what the sample's chance seems to gain is charged back.
  const std::uint64_t samples_min = std::max(kCellSamplesMin, std::uint64_t{records.size()} / kTrialCells);
  auto cells = first_cells(bucket_statistics(records, setup), setup, samples_min);
  fill_histograms(cells, records, setup);
  FixedBits cost = 0;
  for (const Cell& cell : cells) {
    cost += cell_cost(cell.histograms, cell.form) + cell.form.raw_bits * cell.count * kOneBit;
    cost += symbols(cell) * kChancePerSymbol;
    for (const Histogram& histogram : cell.histograms)
      cost += kOneBit * histogram[kEscape] * setup.levels.level_bits;
  }
  return cost;
}

ContextTables build_tables(const SampleRecords& records, const PredictorSetup& setup,
                           std::uint64_t ratio_256) {
  auto cells = first_cells(bucket_statistics(records, setup), setup, kCellSamplesMin);
  fill_histograms(cells, records, setup);
  for (Cell& cell : cells) cell.cost = cell_cost(cell.histograms, cell.form);
  join_cells(cells, ratio_256);
  drop_splits(cells, records, setup);
  ContextTables tables;
  for (const Cell& cell : cells) {
    tables.classes.push_back(cell.form);
    for (std::size_t i = 0; i < cell.form.contexts(); ++i) {
      Histogram counts = cell.histograms[i];
      if (ratio_256 > 256) extend_tails(counts);
      tables.frequencies.push_back(frequencies_of(counts, tables.bits));
    }
  }
  return tables;
}

FixedBits table_cost(const SampleRecords& records, const PredictorSetup& setup, const ContextTables& tables) {
  const auto entries = bucket_entries(tables);
  const std::uint32_t wrap = wrap_mask(setup.levels.level_bits);
  FixedBits cost = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const PixelContext pixel = pixel_context(entries[records.bucket[i]], records.expected[i], setup);
    std::uint8_t token = token_of(records.level[i], pixel, wrap);
    const Frequencies& f = tables.frequencies[pixel.context];
    if (f[token] == 0) token = kEscape;
    cost += (FixedBits{tables.bits} << kFixedBitsShift) - log2_fixed(f[token]);
    cost += (token == kEscape ? setup.levels.level_bits : pixel.raw_bits) * kOneBit;
  }
  return cost;
}

}  // namespace ff::kernels::reference
