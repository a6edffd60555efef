// SPDX-License-Identifier: Apache-2.0
//
// Frequencies from counts: integers only, so that every host makes the same table.
#include "kernels/format/frequencies.hpp"

#include <algorithm>
#include <numeric>

namespace ff::kernels {
namespace {

// Many ones can leave too little for the peak: take from the largest others, in 5-bit steps.
std::uint32_t make_room(Frequencies& f, std::uint32_t others, std::uint32_t scale) noexcept {
  while (others > scale - 1 || scale - others < *std::ranges::max_element(f)) {
    auto largest = std::ranges::max_element(f);
    const auto reduced = static_cast<std::uint16_t>(coarse_frequency(*largest - 1u));
    if (reduced == 0) break;
    others -= *largest - reduced;
    *largest = reduced;
  }
  return others;
}

}  // namespace

Frequencies frequencies_of(const Histogram& counts, unsigned bits) noexcept {
  const std::uint32_t scale = 1u << bits;
  const std::uint64_t total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  Frequencies f{};
  if (total == 0) {
    f[128] = static_cast<std::uint16_t>(scale - 1);
    f[kEscape] = 1;
    return f;
  }
  const auto peak = static_cast<std::size_t>(std::ranges::max_element(counts) - counts.begin());
  std::uint32_t others = 0;
  for (std::size_t s = 0; s < kSymbols; ++s) {
    if (s == peak || (counts[s] == 0 && s != kEscape)) continue;
    const std::uint64_t share = (std::uint64_t{counts[s]} * scale + total / 2) / total;
    f[s] = static_cast<std::uint16_t>(
        coarse_frequency(static_cast<std::uint32_t>(std::max<std::uint64_t>(share, 1))));
    others += f[s];
  }
  if (others == 0) f[peak == 0 ? 1 : 0] = 1, others = 1;  // only where the escape alone occurs
  f[peak] = static_cast<std::uint16_t>(scale - make_room(f, others, scale));
  return f;
}

Histogram with_rare_escaped(const Histogram& counts, unsigned bits) noexcept {
  const std::uint64_t total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  Histogram kept = counts;
  for (std::size_t s = 0; s < kEscape; ++s) {
    // An escape costs about six bits more than a symbol of its own; the share costs the others 1.44 / S each.
    if (std::uint64_t{kept[s]} << (bits + 2) >= total) continue;
    kept[kEscape] += kept[s];
    kept[s] = 0;
  }
  return kept;
}

ContextTables counted_tables(const ContextTables& classes, std::span<const Histogram> counts) {
  ContextTables tables;
  tables.bits = classes.bits;
  tables.classes = classes.classes;
  tables.value_keys = classes.value_keys;
  tables.frequencies.reserve(counts.size());
  for (const Histogram& histogram : counts)
    tables.frequencies.push_back(frequencies_of(histogram, tables.bits));
  // Nothing is known of values that never came: they escape.
  Histogram escapes{};
  escapes[kEscape] = 1;
  for (std::size_t c = tables.pixel_contexts(); c < counts.size(); ++c) {
    if (std::ranges::all_of(counts[c], [](std::uint32_t n) { return n == 0; }))
      tables.frequencies[c] = frequencies_of(escapes, tables.bits);
  }
  return tables;
}

}  // namespace ff::kernels
