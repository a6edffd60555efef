// SPDX-License-Identifier: Apache-2.0
//
// Context tables as bits: classes first, then each context's frequencies as differences of their levels.
#include "kernels/format/context_tables.hpp"

#include <algorithm>

#include "kernels/format/cell_values.hpp"

namespace ff::kernels {
namespace {

constexpr unsigned kSpanOrder = 2;
// Level of the largest 5-bit frequency below 1 << bits: 1984 and 3968.
constexpr std::uint32_t frequency_level_max(unsigned bits) noexcept { return 16 * (bits - 3) - 1; }

// Order of the Exp-Golomb code for the next level difference, learned from the last ones.
class LevelOrder {
 public:
  [[nodiscard]] unsigned order() const noexcept { return static_cast<unsigned>(std::bit_width(mean_ >> 4)); }
  void learn(std::uint32_t magnitude) noexcept { mean_ += 2 * magnitude - (mean_ >> 2); }

 private:
  std::uint32_t mean_ = 24;
};

std::uint8_t peak_symbol(const Frequencies& f) noexcept {
  return static_cast<std::uint8_t>(std::ranges::max_element(f) - f.begin());
}

// First and last symbol below the escape that occur; 0 and 0 where none does.
struct SymbolSpan {
  std::size_t first = 0, last = 0;
};

SymbolSpan symbol_span(const Frequencies& f) noexcept {
  SymbolSpan span;
  bool any = false;
  for (std::size_t s = 0; s < kEscape; ++s) {
    if (f[s] == 0) continue;
    if (!any) span.first = s;
    span.last = s;
    any = true;
  }
  return span;
}

// The peak is not sent: it takes what the others leave of 1 << bits.
void write_frequencies(const Frequencies& f, BitWriter& out) {
  const std::uint8_t peak = peak_symbol(f);
  const auto [first, last] = symbol_span(f);
  out.bits(peak, 8);
  out.bits(first, 8);
  out.golomb(static_cast<std::uint32_t>(last - first), 4);
  LevelOrder order;
  std::int32_t before = 0;
  for (std::size_t s = first; s <= last; ++s) {
    if (s == peak) continue;
    const auto level = static_cast<std::int32_t>(level_of_frequency(f[s]));
    const std::uint32_t difference = zigzag(level - before);
    out.golomb(difference, order.order());
    order.learn(difference);
    before = level;
  }
  if (peak != kEscape) out.golomb(level_of_frequency(f[kEscape]), 0);
}

bool parse_frequencies(BitReader& in, unsigned bits, Frequencies& f) {
  const std::uint32_t level_max = frequency_level_max(bits), scale = 1u << bits;
  f.fill(0);
  const std::size_t peak = in.bits(8);
  const std::size_t first = in.bits(8);
  const std::size_t last = first + in.golomb(4);
  if (!in.ok() || last >= kEscape) return false;
  LevelOrder order;
  std::int32_t before = 0;
  std::uint32_t sum = 0;
  for (std::size_t s = first; s <= last; ++s) {
    if (s == peak) continue;
    const std::uint32_t difference = in.golomb(order.order());
    if (difference > 2 * level_max + 1) return false;
    order.learn(difference);
    const std::int32_t level = before + unzigzag(difference);
    if (level < 0 || level > static_cast<std::int32_t>(level_max)) return false;
    f[s] = static_cast<std::uint16_t>(frequency_of_level(static_cast<std::uint32_t>(level)));
    sum += f[s];
    before = level;
  }
  if (peak != kEscape) {
    const std::uint32_t level = in.golomb(0);
    if (level == 0 || level > level_max) return false;
    f[kEscape] = static_cast<std::uint16_t>(frequency_of_level(level));
    sum += f[kEscape];
  }
  if (!in.ok() || sum == 0 || sum >= scale) return false;
  f[peak] = static_cast<std::uint16_t>(scale - sum);
  return true;
}

}  // namespace

std::array<BucketEntry, kBuckets> bucket_entries(const ContextTables& tables) noexcept {
  std::array<BucketEntry, kBuckets> entries{};
  std::size_t bucket = 0, context = 0;
  for (const ContextClass& c : tables.classes) {
    const BucketEntry entry{static_cast<std::uint8_t>(context), c.raw_bits, c.residual, c.split};
    for (std::size_t i = 0; i < c.buckets; ++i) entries[bucket++] = entry;
    context += c.contexts();
  }
  return entries;
}

void write_context_tables(const ContextTables& tables, BitWriter& out) {
  out.bits(tables.bits - kProbabilityBitsMin, 1);
  std::size_t covered = 0;
  for (const ContextClass& c : tables.classes) {
    covered += c.buckets;
    out.bits(covered == kBuckets ? 1 : 0, 1);
    if (covered != kBuckets) out.golomb(c.buckets - 1u, kSpanOrder);
    out.bits(c.residual ? 1 : 0, 1);
    out.bits(c.split ? 1 : 0, 1);
    if (c.residual) out.bits(c.raw_bits, 4);
  }
  for (std::size_t c = 0; c < tables.pixel_contexts(); ++c) write_frequencies(tables.frequencies[c], out);
}

Result<ContextTables> parse_context_tables(BitReader& in) {
  ContextTables tables;
  tables.bits = static_cast<std::uint8_t>(kProbabilityBitsMin + in.bits(1));
  std::size_t covered = 0, contexts = 0;
  while (covered < kBuckets) {
    ContextClass c;
    const bool takes_rest = in.bits(1) == 1;
    const std::size_t span = takes_rest ? kBuckets - covered : std::size_t{in.golomb(kSpanOrder)} + 1;
    if (!in.ok() || span > kBuckets - covered)
      return fail(Errc::malformed, "block: context classes overrun their buckets");
    c.buckets = static_cast<std::uint8_t>(span);
    c.residual = in.bits(1) == 1;
    c.split = in.bits(1) == 1;
    if (c.residual) c.raw_bits = static_cast<std::uint8_t>(in.bits(4));
    covered += span;
    contexts += c.contexts();
    if (!in.ok() || contexts > kContextsMax) return fail(Errc::malformed, "block: more than 64 contexts");
    tables.classes.push_back(c);
  }
  tables.frequencies.resize(contexts);
  for (Frequencies& f : tables.frequencies) {
    if (!parse_frequencies(in, tables.bits, f))
      return fail(Errc::malformed, "block: a frequency table does not sum to its scale");
  }
  return tables;
}

std::vector<std::uint8_t> value_contexts(const ContextTables& tables) {
  std::vector<std::uint8_t> contexts;
  std::size_t context = tables.pixel_contexts();
  for (const std::uint8_t keys : tables.value_keys)
    contexts.insert(contexts.end(), keys, static_cast<std::uint8_t>(context++));
  return contexts;
}

void write_value_tables(const ContextTables& tables, BitWriter& out) {
  std::size_t covered = 0;
  for (const std::uint8_t keys : tables.value_keys) {
    covered += keys;
    out.bits(covered == kValueKeys ? 1 : 0, 1);
    if (covered != kValueKeys) out.golomb(keys - 1u, kSpanOrder);
  }
  for (std::size_t c = tables.pixel_contexts(); c < tables.frequencies.size(); ++c)
    write_frequencies(tables.frequencies[c], out);
}

Status parse_value_tables(BitReader& in, ContextTables& tables) {
  for (std::size_t covered = 0; covered < kValueKeys;) {
    const bool takes_rest = in.bits(1) == 1;
    const std::size_t keys = takes_rest ? kValueKeys - covered : std::size_t{in.golomb(kSpanOrder)} + 1;
    if (!in.ok() || keys > kValueKeys - covered)
      return fail(Errc::malformed, "block: value contexts overrun their keys");
    if (tables.frequencies.size() == kContextsMax)
      return fail(Errc::malformed, "block: more than 64 contexts");
    tables.value_keys.push_back(static_cast<std::uint8_t>(keys));
    tables.frequencies.emplace_back();
    covered += keys;
  }
  for (std::size_t c = tables.pixel_contexts(); c < tables.frequencies.size(); ++c) {
    Frequencies& f = tables.frequencies[c];
    if (!parse_frequencies(in, tables.bits, f))
      return fail(Errc::malformed, "block: a frequency table does not sum to its scale");
    const auto none = [](std::uint16_t n) { return n == 0; };
    if (!std::all_of(f.begin() + kValueSymbolMax + 1, f.begin() + kEscape, none))
      return fail(Errc::malformed, "block: a value symbol above 123");
  }
  return {};
}

}  // namespace ff::kernels
