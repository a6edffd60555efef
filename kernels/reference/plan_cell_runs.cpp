// SPDX-License-Identifier: Apache-2.0
//
// Cell runs: sampled cells counted by bucket, joined while that is cheaper than tables of their own.
#include "kernels/reference/plan_cell_runs.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

namespace ff::kernels::reference {
namespace {

constexpr FixedBits kOneBit = FixedBits{1} << kFixedBitsShift;
constexpr std::uint64_t kContextHeaderBits = 34, kSymbolHeaderBits = 4;
constexpr std::size_t kCellRunsMax = 40, kValueRunsMax = 16;  // 64 contexts at most together
constexpr std::uint64_t kRunSamplesMin = 96;                  // as plan_tables.cpp
constexpr std::uint64_t kEscapeBits = 12;  // what follows an escaped cell that holds small levels

// What a context costs the whole group, of which the sample is a part. A table fitted to a sample loses on the rest
// what chance seemed to save: 0.72 bits a symbol in each, for every time that the sample's size is coded.
FixedBits run_cost(const Histogram& histogram, std::uint64_t ratio_256) {
  const auto used = std::ranges::count_if(histogram, [](std::uint32_t n) { return n != 0; });
  const FixedBits chance = kOneBit * 3 / 2 * (ratio_256 - 256) / 256;
  return entropy_bits(histogram) / 256 * ratio_256 + kContextHeaderBits * kOneBit +
         (kSymbolHeaderBits * kOneBit + chance) * static_cast<std::uint64_t>(used);
}

Run joined(const Run& a, const Run& b, std::uint64_t ratio_256) {
  Run sum = a;
  sum.width = static_cast<std::uint8_t>(a.width + b.width);
  for (std::size_t s = 0; s < kSymbols; ++s) sum.histogram[s] += b.histogram[s];
  sum.cost = run_cost(sum.histogram, ratio_256);
  return sum;
}

// Neighbours share a context while that is cheaper than a table of their own, and until few enough are left.
void join_runs(std::vector<Run>& runs, std::size_t runs_max, std::uint64_t ratio_256) {
  for (Run& run : runs) run.cost = run_cost(run.histogram, ratio_256);
  const auto loss_at = [&](std::size_t i) {
    return i + 1 >= runs.size() ? std::numeric_limits<std::int64_t>::max()
                                : static_cast<std::int64_t>(joined(runs[i], runs[i + 1], ratio_256).cost) -
                                      static_cast<std::int64_t>(runs[i].cost + runs[i + 1].cost);
  };
  std::vector<std::int64_t> loss(runs.size());
  for (std::size_t i = 0; i < runs.size(); ++i) loss[i] = loss_at(i);
  while (runs.size() > 1) {
    const auto best = static_cast<std::size_t>(std::ranges::min_element(loss) - loss.begin());
    if (loss[best] >= 0 && runs.size() <= runs_max) break;
    runs[best] = joined(runs[best], runs[best + 1], ratio_256);
    runs.erase(runs.begin() + static_cast<std::ptrdiff_t>(best + 1));
    loss.erase(loss.begin() + static_cast<std::ptrdiff_t>(best + 1));
    loss[best] = loss_at(best);
    if (best > 0) loss[best - 1] = loss_at(best - 1);
  }
}

// Too few samples to tell what a context of their own would save.
bool thin_run(const Run& run) {
  return std::accumulate(run.histogram.begin(), run.histogram.end(), std::uint64_t{0}) < kRunSamplesMin;
}

}  // namespace

std::vector<Run> value_runs(const CellSample& sample) {
  std::vector<Run> runs;
  for (const Histogram& histogram : sample.values().by_key) {
    const bool empty = std::ranges::all_of(histogram, [](std::uint32_t n) { return n == 0; });
    if (empty && !runs.empty()) {
      ++runs.back().width;
    } else {
      runs.push_back({histogram, 1, 0});
    }
  }
  join_runs(runs, kValueRunsMax, sample.values_ratio_256());
  return runs;
}

// Buckets that occur in the records, each with those behind it that do not; the first one begins at 0.
std::vector<Run> cell_runs(const SampleRecords& records, const CellSample& sample) {
  std::vector<Histogram> by_bucket(kBuckets, Histogram{});
  for (std::size_t i = 0; i < records.size(); ++i) ++by_bucket[records.bucket[i]][records.level[i]];
  std::vector<Run> runs;
  for (const Histogram& histogram : by_bucket) {
    const std::uint64_t count = std::accumulate(histogram.begin(), histogram.end(), std::uint64_t{0});
    const bool thin = !runs.empty() && (count == 0 || thin_run(runs.back()));
    if (!thin) {
      runs.push_back({histogram, 1, 0});
      continue;
    }
    ++runs.back().width;
    for (std::size_t s = 0; s < kSymbols; ++s) runs.back().histogram[s] += histogram[s];
  }
  join_runs(runs, kCellRunsMax, sample.ratio_256());
  return runs;
}

// About what the cells would cost: buckets in runs of a hundred, and what chance seems to save charged back.
FixedBits quick_cost(const SampleRecords& records) {
  std::vector<Histogram> by_bucket(kBuckets, Histogram{});
  for (std::size_t i = 0; i < records.size(); ++i) ++by_bucket[records.bucket[i]][records.level[i]];
  FixedBits cost = 0;
  Histogram run{};
  std::uint64_t count = 0;
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    const Histogram& histogram = by_bucket[bucket];
    const std::uint64_t more = std::accumulate(histogram.begin(), histogram.end(), std::uint64_t{0});
    if (more != 0) std::ranges::transform(run, histogram, run.begin(), std::plus<>{});
    count += more;
    if (count == 0 || (count < kRunSamplesMin && bucket + 1 != kBuckets)) continue;
    const auto used = std::ranges::count_if(run, [](std::uint32_t n) { return n != 0; });
    cost += entropy_bits(run) + static_cast<std::uint64_t>(used) * kOneBit * 3 / 2;
    run = {};
    count = 0;
  }
  return cost;
}

// Cells and values of a sample under given tables, in bits of the whole group.
std::uint64_t coded_bits(const SampleRecords& records, const CellSample& sample,
                         const ContextTables& tables) {
  const auto entries = bucket_entries(tables);
  const FixedBits whole = FixedBits{tables.bits} << kFixedBitsShift;
  FixedBits cells = 0, values = sample.values().raw_bits * kOneBit;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const Frequencies& f = tables.frequencies[entries[records.bucket[i]].first_context];
    const std::uint32_t own = f[records.level[i]];
    cells += own != 0 ? whole - log2_fixed(own) : whole - log2_fixed(f[kEscape]) + kEscapeBits * kOneBit;
  }
  const auto contexts = value_contexts(tables);
  for (std::size_t key = 0; key < kValueKeys; ++key) {
    const Frequencies& f = tables.frequencies[contexts[key]];
    const Histogram& histogram = sample.values().by_key[key];
    for (std::size_t s = 0; s <= kValueSymbolMax; ++s)
      values += histogram[s] * (whole - log2_fixed(f[s] != 0 ? f[s] : f[kEscape]));
  }
  return (cells / 256 * sample.ratio_256() + values / 256 * sample.values_ratio_256()) >> kFixedBitsShift;
}

}  // namespace ff::kernels::reference
