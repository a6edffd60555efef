// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target: contexts and their frequency tables. Tables that are accepted cover every bucket, sum to what they
// say, can code anything by the escape, and are written and read again as the same.
#include <algorithm>
#include <numeric>

#include "kernels/format/context_tables.hpp"
#include "tests/fuzz/allocation_limit.hpp"
#include "tests/fuzz/codec/part_input.hpp"

namespace {

using namespace ff;
using namespace ff::fuzz;
using namespace ff::kernels;

void check_frequencies(const ContextTables& tables) {
  for (const Frequencies& f : tables.frequencies) {
    FF_CHECK(std::accumulate(f.begin(), f.end(), 0u) == tables.scale());
    FF_CHECK(f[kEscape] >= 1);
    for (const std::uint16_t frequency : f) FF_CHECK(frequency < tables.scale());
  }
}

void check_contexts(const ContextTables& tables) {
  for (const BucketEntry& entry : bucket_entries(tables)) {
    FF_CHECK(entry.first_context + (entry.split ? 4u : 1u) <= tables.frequencies.size());
    FF_CHECK(entry.raw_bits <= kRawBitsMax && (entry.residual || entry.raw_bits == 0));
  }
}

// A writer sends the largest frequency as what is left; a hostile string may have sent another, and left one that
// five bits can't hold.
bool as_a_writer_sends(const ContextTables& tables) {
  return std::ranges::all_of(tables.frequencies, [](const Frequencies& f) {
    const auto peak = std::ranges::max_element(f);
    return std::ranges::all_of(
        f, [&](const std::uint16_t& one) { return &one == &*peak || coarse_frequency(one) == one; });
  });
}

Verdict run(ByteSpan input) {
  const auto part = open_part(input);
  if (!part) return Verdict::refused;
  const AllocationLimit limit(std::size_t{1} << 18);
  BitReader in(part->body);
  const auto tables = parse_context_tables(in);
  if (!tables.ok() || !in.ended_cleanly()) return Verdict::refused;
  check_frequencies(*tables);
  check_contexts(*tables);
  if (!as_a_writer_sends(*tables)) return Verdict::accepted;
  const Bytes bytes = written([&](BitWriter& bits) { write_context_tables(*tables, bits); });
  BitReader again(bytes);
  FF_CHECK(parse_context_tables(again).value() == *tables);
  return Verdict::accepted;
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> inputs;
  for_each_plan([&](const EncodePlan& plan) {
    if (plan.tables == nullptr) return;
    inputs.push_back(
        part_seed(plan.tile, 0, [&](BitWriter& bits) { write_context_tables(*plan.tables, bits); }));
  });
  return inputs;
}

}  // namespace

FF_FUZZ_TARGET(tables, run, seeds, damage_bytes);
