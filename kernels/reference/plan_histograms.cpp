// SPDX-License-Identifier: Apache-2.0
//
// Cell histograms: bucket statistics choose cells and their raw bits, then each pixel is counted once.
#include "kernels/reference/plan_histograms.hpp"

#include <algorithm>
#include <array>

#include "kernels/reference/plan_loops.hpp"
#include "kernels/reference/predict.hpp"

namespace ff::kernels::reference {
namespace {

constexpr std::uint32_t kValueModeRate = 8;    // levels: below, tokens are the levels themselves
constexpr std::uint32_t kSpreadPerToken = 10;  // mean distance / 2^k stays below this many tokens
constexpr std::size_t kChunk = 1024;           // pixels whose numbers stay in the nearest cache
constexpr std::size_t kPackedRecords = std::size_t{1} << 19;  // whose distances sum to less than 2^40

struct BucketStatistics {
  std::uint64_t count = 0;
  std::uint64_t distance = 0;  ///< sum of |level - predicted|, large ones cut
};

std::array<BucketStatistics, kBuckets> bucket_statistics(const SampleRecords& records,
                                                         const PredictorSetup& setup) {
  std::array<BucketStatistics, kBuckets> statistics{};
  std::array<std::uint32_t, kChunk> distances{};
  const TokenRule rule{nullptr, setup.up, setup.down, 0};
  for (std::size_t from = 0; from < records.size(); from += kPackedRecords) {
    std::array<std::uint64_t, kBuckets> packed{};  // count << 40 | distance
    const std::size_t end = std::min(from + kPackedRecords, records.size());
    for (std::size_t at = from; at < end; at += kChunk) {
      const std::size_t n = std::min(kChunk, end - at);
      plan_loops().distances(rule, &records.expected[at], &records.level[at], n, distances.data());
      for (std::size_t i = 0; i < n; ++i)
        packed[records.bucket[at + i]] += std::uint64_t{1} << 40 | distances[i];
    }
    for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
      statistics[bucket].count += packed[bucket] >> 40;
      statistics[bucket].distance += packed[bucket] & ((std::uint64_t{1} << 40) - 1);
    }
  }
  return statistics;
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

using Entries = std::array<std::uint32_t, kBuckets>;

// Each cell's place among the histograms, and what its buckets' pixels look up. Returns how many parts there are.
std::size_t place_parts(std::vector<Cell>& cells, Entries& entries) {
  std::size_t bucket = 0, parts = 0;
  for (Cell& cell : cells) {
    cell.first_part = parts;
    parts += cell.part_count();
    const std::uint32_t entry =
        token_entry(static_cast<std::uint32_t>(cell.first_part), cell.form.raw_bits, cell.form.residual,
                    cell.division == Division::fraction, cell.division == Division::ratio);
    for (std::size_t i = 0; i < cell.form.buckets; ++i) entries[bucket++] = entry;
  }
  return parts;
}

// Undivided histograms behind those of the parts; one divided by the fraction rounds down, an undivided one to
// nearest.
void sum_wholes(CellHistograms& out) {
  std::uint32_t* free = out.counts.data() + out.parts.size() * kSymbols;
  for (Cell& cell : out.cells) {
    cell.whole = out.wholes.size();
    const auto parts = out.parts_of(cell);
    if (parts.size() == 1) {
      out.wholes.push_back(parts[0]);
      continue;
    }
    TokenCounts whole;
    whole.counts = free;
    free += kSymbols;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (cell.division == Division::fraction && i >= 2) {
        whole.add_shifted(parts[i]);
      } else {
        whole.add(parts[i]);
      }
    }
    out.wholes.push_back(whole);
  }
}

// Counts of all histograms, one behind the other.
void count_tokens(const SampleRecords& records, const PredictorSetup& setup, const Entries& entries,
                  std::uint32_t* counts) {
  const TokenRule rule{entries.data(), setup.up, setup.down, wrap_mask(setup.levels.level_bits)};
  std::array<std::uint32_t, kChunk> tokens{};
  for (std::size_t at = 0; at < records.size(); at += kChunk) {
    const std::size_t n = std::min(kChunk, records.size() - at);
    const std::uint8_t* ratio = records.ratio.empty() ? nullptr : &records.ratio[at];
    plan_loops().tokens(rule, &records.bucket[at], &records.expected[at], &records.level[at], ratio, n,
                        tokens.data());
    for (std::size_t i = 0; i < n; ++i) ++counts[tokens[i]];
  }
}

}  // namespace

void TokenCounts::find_range() noexcept {
  constexpr std::uint16_t kStep = 16;  // at once
  const auto none_in = [&](std::size_t from) {
    std::uint32_t any = 0;
    for (std::size_t s = from; s < from + kStep; ++s) any |= counts[s];
    return any == 0;
  };
  first = 0;
  while (first + kStep < kEscape && none_in(first)) first = static_cast<std::uint16_t>(first + kStep);
  while (first < kEscape && counts[first] == 0) ++first;
  end = kEscape;
  while (end > first && counts[end - 1u] == 0 && end % kStep != 0) --end;
  while (end > first && end % kStep == 0 && none_in(end - kStep))
    end = static_cast<std::uint16_t>(end - kStep);
  while (end > first && counts[end - 1u] == 0) --end;
}

void TokenCounts::add(const TokenCounts& other) noexcept {
  for (std::size_t s = other.first; s < other.end; ++s) counts[s] += other.counts[s];
  counts[kEscape] += other.counts[kEscape];
  first = std::min(first, other.first);
  end = std::max(end, other.end);
}

void TokenCounts::add_shifted(const TokenCounts& other) noexcept {
  counts[kEscape] += other.counts[kEscape] + other.counts[0];
  for (std::size_t s = std::max<std::size_t>(other.first, 1); s < other.end; ++s)
    counts[s - 1] += other.counts[s];
  if (other.first >= other.end) return;
  first = std::min<std::uint16_t>(first, static_cast<std::uint16_t>(std::max(other.first - 1, 0)));
  end = std::max<std::uint16_t>(end, static_cast<std::uint16_t>(other.end - 1));
}

Histogram TokenCounts::histogram() const noexcept {
  Histogram copy;
  std::copy_n(counts, kSymbols, copy.begin());
  return copy;
}

CellHistograms count_cells(const SampleRecords& records, const PredictorSetup& setup,
                           std::uint64_t samples_min) {
  CellHistograms out;
  out.cells = first_cells(bucket_statistics(records, setup), records, setup, samples_min);
  Entries entries{};
  const std::size_t parts = place_parts(out.cells, entries);
  out.counts.assign((parts + out.cells.size()) * kSymbols, 0);
  count_tokens(records, setup, entries, out.counts.data());
  for (std::size_t part = 0; part < parts; ++part) {
    out.parts.push_back({&out.counts[part * kSymbols]});
    out.parts.back().find_range();
  }
  sum_wholes(out);
  return out;
}

std::vector<Histogram> count_contexts(const SampleRecords& records, const PredictorSetup& setup,
                                      const ContextTables& tables) {
  const auto by_bucket = bucket_entries(tables);
  Entries entries{};
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    const BucketEntry& from = by_bucket[bucket];
    const bool by_ratio = from.split && !records.ratio.empty();
    entries[bucket] =
        token_entry(from.first_context, from.raw_bits, from.residual, from.split && !by_ratio, by_ratio);
  }
  const std::size_t contexts = tables.frequencies.size();
  std::vector<std::uint32_t> flat(contexts * kSymbols, 0);
  count_tokens(records, setup, entries, flat.data());
  std::vector<Histogram> counts(contexts);
  for (std::size_t c = 0; c < contexts; ++c) std::copy_n(&flat[c * kSymbols], kSymbols, counts[c].begin());
  return counts;
}

}  // namespace ff::kernels::reference
