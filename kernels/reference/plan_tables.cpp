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

constexpr std::uint64_t kCellSamplesMin = 192;  // fewer do not make a histogram
constexpr std::uint64_t kTrialCells = 24;       // cells of a quick estimate
constexpr std::uint32_t kValueModeRate = 8;     // levels: below, tokens are the levels themselves
constexpr std::uint32_t kSpreadPerToken = 10;   // mean distance / 2^k stays below this many tokens
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

// What divides a class into four contexts, where that pays.
enum class Division { none, fraction, ratio };

// What a context costs beside its tokens, in bits of the sample.
struct ContextPrice {
  FixedBits context = 0;  // each
  FixedBits symbol = 0;   // for each of its symbols
  FixedBits rare = 0;     // for each symbol that occurs once
};

// A run of buckets coded alike, with the histograms of its contexts.
struct Cell {
  ContextClass form;
  Division division = Division::none;
  std::uint64_t count = 0, distance = 0;
  std::array<Histogram, 4> parts{};  ///< tokens as a split class has them; undivided: only the first
  FixedBits cost = 0;                ///< of the better form, price included
  FixedBits undivided = 0;           ///< of one context
  bool division_given_up = false;    ///< for want of contexts

  [[nodiscard]] Histogram whole() const;
};

// Tokens of an undivided class. One divided by the fraction rounds down, an undivided one to nearest.
Histogram Cell::whole() const {
  Histogram sum = parts[0];
  if (division == Division::none) return sum;
  for (std::size_t i = 1; i < 4; ++i) {
    const std::size_t shift = division == Division::fraction && i >= 2 ? 1 : 0;
    for (std::size_t s = 0; s < kEscape; ++s) {
      if (parts[i][s] != 0) sum[s >= shift ? s - shift : kEscape] += parts[i][s];
    }
    sum[kEscape] += parts[i][kEscape];
  }
  return sum;
}

bool same_form(const Cell& a, const Cell& b) noexcept {
  return a.form.residual == b.form.residual && a.form.raw_bits == b.form.raw_bits && a.division == b.division;
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

Division division_of(const ContextClass& form, const SampleRecords& records,
                     const PredictorSetup& setup) noexcept {
  if (!records.ratio.empty()) return Division::ratio;
  // The fraction says which of two levels is likelier. Rate contexts know it already.
  const bool fraction =
      setup.source == ContextSource::scale && setup.up >= 2 && form.residual && form.raw_bits == 0;
  return fraction ? Division::fraction : Division::none;
}

// First grouping: enough samples in each cell to choose its raw bits; modes never mix.
std::vector<Cell> first_cells(const std::array<BucketStatistics, kBuckets>& statistics,
                              const SampleRecords& records, const PredictorSetup& setup,
                              std::uint64_t samples_min) {
  // Short packed lists are combs: which levels occur matters more than how far they are from the prediction.
  const bool comb = setup.levels.kind == LevelMapKind::packed && setup.levels.packed.size() < kEscape;
  const std::uint64_t value_key_end = comb ? std::uint64_t{1} << 15
                                      : setup.source == ContextSource::rate
                                          ? std::uint64_t{kValueModeRate} << setup.up
                                          : 0;
  std::vector<Cell> cells;
  bool residual = setup.down != 0;
  for (std::uint32_t bucket = 0; bucket < kBuckets; ++bucket) {
    residual = residual || bucket_floor(bucket) >= value_key_end;  // unreached buckets go with those before
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
    if (cell.form.residual) neighbour = cell.form.raw_bits = raw_bits_for(cell, neighbour);
    cell.division = division_of(cell.form, records, setup);
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
    const BucketEntry entry{0, cell.form.raw_bits, cell.form.residual, cell.division != Division::none};
    const std::int32_t ratio = cell.division == Division::ratio ? records.ratio[i] : -1;
    const PixelContext pixel = pixel_context(entry, records.expected[i], setup, ratio);
    ++cell.parts[pixel.context][token_of(records.level[i], pixel, wrap)];
  }
}

std::uint64_t symbols(const Histogram& histogram) noexcept {
  return static_cast<std::uint64_t>(std::ranges::count_if(histogram, [](std::uint32_t n) { return n != 0; }));
}

FixedBits context_cost(const Histogram& histogram, const ContextPrice& price) {
  const auto rare = static_cast<std::uint64_t>(std::ranges::count(histogram, 1u));
  return entropy_bits(histogram) + price.context + symbols(histogram) * price.symbol + rare * price.rare;
}

// Chooses whether the cell is split, and says what it costs.
void appraise(Cell& cell, const ContextPrice& price) {
  cell.form.split = false;
  cell.cost = cell.undivided = context_cost(cell.whole(), price);
  if (cell.division == Division::none || cell.division_given_up) return;
  FixedBits apart = 0;
  for (const Histogram& part : cell.parts) apart += context_cost(part, price);
  if (apart < cell.cost) cell.form.split = true, cell.cost = apart;
}

Cell joined(const Cell& a, const Cell& b, const ContextPrice& price) {
  Cell sum = a;
  sum.form.buckets = static_cast<std::uint8_t>(a.form.buckets + b.form.buckets);
  sum.count += b.count;
  sum.distance += b.distance;
  sum.division_given_up = a.division_given_up || b.division_given_up;
  for (std::size_t i = 0; i < 4; ++i) {
    for (std::size_t s = 0; s < kSymbols; ++s) sum.parts[i][s] += b.parts[i][s];
  }
  appraise(sum, price);
  return sum;
}

// What the sample's chance hides of a context's cost on other pixels: half of log2 e bits a symbol; and as much
// again where the table itself is made of the sample.
constexpr FixedBits kChancePerSymbol = kOneBit * 3 / 4;
// A symbol seen once stands for about one that was not seen, and will escape.
constexpr FixedBits kMissPerRare = kOneBit * 4;

ContextPrice price_of(std::uint64_t ratio_256, bool counted) noexcept {
  const FixedBits chance =
      (counted ? kChancePerSymbol : 2 * kChancePerSymbol) * (ratio_256 - 256) / ratio_256;
  return {kContextHeaderBits * kOneBit * 256 / ratio_256,
          kSymbolHeaderBits * kOneBit * 256 / ratio_256 + chance,
          counted ? 0 : kMissPerRare * (ratio_256 - 256) / ratio_256};
}

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

// Bits lost by joining two neighbours; "never" where their forms differ.
std::int64_t join_loss(const Cell& a, const Cell& b, const ContextPrice& price) {
  if (!same_form(a, b)) return kNever;
  return static_cast<std::int64_t>(joined(a, b, price).cost) - static_cast<std::int64_t>(a.cost + b.cost);
}

std::size_t context_count(const std::vector<Cell>& cells) {
  return std::accumulate(cells.begin(), cells.end(), std::size_t{0},
                         [](std::size_t sum, const Cell& cell) { return sum + cell.form.contexts(); });
}

// The cell that loses least, for each context it gives up, when it is no longer split.
struct Unsplit {
  std::size_t cell = 0;
  std::int64_t loss = kNever;
};
Unsplit cheapest_unsplit(const std::vector<Cell>& cells) {
  Unsplit best;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const auto loss = static_cast<std::int64_t>(cells[i].undivided - cells[i].cost) / 3;
    if (cells[i].form.split && loss < best.loss) best = {i, loss};
  }
  return best;
}

void join_cells(std::vector<Cell>& cells, const ContextPrice& price) {
  std::vector<std::int64_t> loss(cells.size(), kNever);
  for (std::size_t i = 0; i + 1 < cells.size(); ++i) loss[i] = join_loss(cells[i], cells[i + 1], price);
  const auto per_context = [&](std::size_t i) {
    const bool split = cells[i].form.split && cells[i + 1].form.split;
    return loss[i] > 0 && loss[i] != kNever && split ? loss[i] / 4 : loss[i];
  };
  while (true) {
    const bool too_many = context_count(cells) > kContextsMax;
    std::size_t best = 0;
    std::int64_t least = kNever;
    for (std::size_t i = 0; i + 1 < cells.size(); ++i) {
      if (per_context(i) < least) best = i, least = per_context(i);
    }
    const Unsplit unsplit = too_many ? cheapest_unsplit(cells) : Unsplit{};
    if (unsplit.loss < least) {
      Cell& cell = cells[unsplit.cell];
      cell.form.split = false;
      cell.division_given_up = true;
      cell.cost = cell.undivided;
      for (std::size_t i = unsplit.cell == 0 ? 0 : unsplit.cell - 1;
           i <= unsplit.cell && i + 1 < cells.size(); ++i)
        loss[i] = join_loss(cells[i], cells[i + 1], price);
      continue;
    }
    if (least == kNever || (least >= 0 && !too_many)) break;
    cells[best] = joined(cells[best], cells[best + 1], price);
    cells.erase(cells.begin() + static_cast<std::ptrdiff_t>(best + 1));
    loss.erase(loss.begin() + static_cast<std::ptrdiff_t>(best + 1));
    if (best > 0) loss[best - 1] = join_loss(cells[best - 1], cells[best], price);
    loss[best] = best + 1 < cells.size() ? join_loss(cells[best], cells[best + 1], price) : kNever;
  }
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
  auto cells = first_cells(bucket_statistics(records, setup), records, setup, samples_min);
  fill_histograms(cells, records, setup);
  FixedBits cost = 0;
  for (Cell& cell : cells) {
    appraise(cell, {0, 2 * kChancePerSymbol});
    cost += cell.cost + cell.form.raw_bits * cell.count * kOneBit;
    for (const Histogram& part : cell.parts) cost += kOneBit * part[kEscape] * setup.levels.level_bits;
  }
  return cost;
}

namespace {

FixedBits coded_cost(const Histogram& counts, const Frequencies& f, unsigned bits) {
  FixedBits cost = 0;
  for (std::size_t s = 0; s < kSymbols; ++s) {
    if (counts[s] != 0)
      cost +=
          counts[s] * ((FixedBits{bits} << kFixedBitsShift) - log2_fixed(std::max<std::uint32_t>(f[s], 1)));
  }
  return cost;
}

// Twelve bits where they save more than a thousandth: smaller tables are faster.
std::uint8_t probability_bits(const std::vector<Histogram>& counts, bool counted) {
  FixedBits eleven = 0, twelve = 0;
  for (const Histogram& histogram : counts) {
    eleven += coded_cost(histogram, frequencies_of(histogram, 11), 11);
    twelve += coded_cost(histogram, frequencies_of(histogram, 12), 12);
  }
  return twelve + (counted ? 0 : eleven / 1024) < eleven ? 12 : 11;
}

}  // namespace

BuiltTables build_tables(const SampleRecords& records, const PredictorSetup& setup, std::uint64_t ratio_256,
                         bool counted) {
  auto cells = first_cells(bucket_statistics(records, setup), records, setup, kCellSamplesMin);
  fill_histograms(cells, records, setup);
  const ContextPrice price = price_of(ratio_256, counted);
  for (Cell& cell : cells) appraise(cell, price);
  join_cells(cells, price);
  BuiltTables built;
  ContextTables& tables = built.tables;
  std::vector<Histogram> counts;
  FixedBits cost = 0;
  for (const Cell& cell : cells) {
    cost += cell.cost + cell.form.raw_bits * cell.count * kOneBit;
    for (const Histogram& part : cell.parts) cost += kOneBit * part[kEscape] * setup.levels.level_bits;
    tables.classes.push_back(cell.form);
    if (cell.form.split) {
      counts.insert(counts.end(), cell.parts.begin(), cell.parts.end());
    } else {
      counts.push_back(cell.whole());
    }
  }
  if (ratio_256 > 256 && !counted) {
    for (Histogram& histogram : counts) extend_tails(histogram);
  }
  tables.bits = probability_bits(counts, counted);
  for (const Histogram& histogram : counts)
    tables.frequencies.push_back(frequencies_of(histogram, tables.bits));
  built.bits = (cost / 256 * ratio_256) >> kFixedBitsShift;
  return built;
}

FixedBits table_cost(const SampleRecords& records, const PredictorSetup& setup, const ContextTables& tables) {
  const auto entries = bucket_entries(tables);
  const std::uint32_t wrap = wrap_mask(setup.levels.level_bits);
  FixedBits cost = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::int32_t ratio = records.ratio.empty() ? -1 : records.ratio[i];
    const PixelContext pixel = pixel_context(entries[records.bucket[i]], records.expected[i], setup, ratio);
    std::uint8_t token = token_of(records.level[i], pixel, wrap);
    const Frequencies& f = tables.frequencies[pixel.context];
    if (f[token] == 0) token = kEscape;
    cost += (FixedBits{tables.bits} << kFixedBitsShift) - log2_fixed(f[token]);
    cost += (token == kEscape ? setup.levels.level_bits : pixel.raw_bits) * kOneBit;
  }
  return cost;
}

}  // namespace ff::kernels::reference
