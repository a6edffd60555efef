// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target: the level map. A map that is accepted can be used, takes every value it has a level for there and
// back, and is written and read again as the same.
#include "kernels/format/level_map.hpp"
#include "tests/fuzz/allocation_limit.hpp"
#include "tests/fuzz/codec/part_input.hpp"

namespace {

using namespace ff;
using namespace ff::fuzz;
using namespace ff::kernels;

constexpr std::size_t kMapBytes = std::size_t{6}
                                  << 20;  // the longest list of used values, its copies and ranks

// A level that no encoder writes gives some value of the type, perhaps one without a level.
void check_both_ways(const LevelCodec& codec, std::uint32_t level, const ValueRange& range) {
  const std::int64_t value = codec.value(level);
  FF_CHECK(value >= range.low && value <= range.high);
  if (codec.has_level(value)) FF_CHECK(codec.value(codec.level(value)) == value);
}

Verdict run(ByteSpan input) {
  const auto part = open_part(input);
  if (!part) return Verdict::refused;
  const AllocationLimit limit(kMapBytes);
  BitReader in(part->body);
  const auto map = parse_level_map(in, part->tile.dtype);
  if (!map.ok() || !in.ended_cleanly()) return Verdict::refused;
  const LevelCodec codec(*map, part->tile.dtype);
  const ValueRange range = value_range(part->tile.dtype);
  const std::uint32_t top = map->first_sentinel_level();
  for (std::uint32_t i = 0; i < 300; ++i) {
    check_both_ways(codec, i, range);
    check_both_ways(codec, top - 150 + i, range);
    check_both_ways(codec, i * 0x01234567u, range);
  }
  const Bytes bytes = written([&](BitWriter& bits) { write_level_map(*map, bits); });
  BitReader again(bytes);
  FF_CHECK(parse_level_map(again, part->tile.dtype).value() == *map);
  return Verdict::accepted;
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> inputs;
  for_each_plan([&](const EncodePlan& plan) {
    if (!plan.setup) return;
    inputs.push_back(
        part_seed(plan.tile, 0, [&](BitWriter& bits) { write_level_map(plan.setup->levels, bits); }));
  });
  return inputs;
}

}  // namespace

FF_FUZZ_TARGET(level_map, run, seeds, damage_bytes);
