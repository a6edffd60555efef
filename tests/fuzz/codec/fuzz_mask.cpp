// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target: the mask. One that is accepted covers its tile with classes that have a value, and is written and
// read again as the same.
#include <algorithm>

#include "kernels/format/level_map.hpp"
#include "kernels/format/mask_map.hpp"
#include "tests/fuzz/allocation_limit.hpp"
#include "tests/fuzz/codec/part_input.hpp"

namespace {

using namespace ff;
using namespace ff::fuzz;
using namespace ff::kernels;

Verdict run(ByteSpan input) {
  const auto part = open_part(input);
  if (!part) return Verdict::refused;
  const AllocationLimit limit(16384 + 64 * part->tile.pixels());
  BitReader in(part->body);
  const auto mask = parse_mask_map(in, part->tile);
  if (!mask.ok() || !in.ended_cleanly()) return Verdict::refused;
  FF_CHECK(mask->classes.size() == part->tile.pixels());
  FF_CHECK(std::ranges::all_of(mask->classes, [&](std::uint8_t c) { return c <= mask->values.size(); }));
  const Bytes bytes = written([&](BitWriter& bits) { write_mask_map(*mask, part->tile, bits); });
  BitReader again(bytes);
  FF_CHECK(parse_mask_map(again, part->tile).value() == *mask);
  return Verdict::accepted;
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> inputs;
  for_each_plan([&](const EncodePlan& plan) {
    if (plan.mask == nullptr) return;
    inputs.push_back(
        part_seed(plan.tile, 0, [&](BitWriter& bits) { write_mask_map(*plan.mask, plan.tile, bits); }));
  });
  return inputs;
}

}  // namespace

FF_FUZZ_TARGET(mask, run, seeds, damage_bytes);
