// SPDX-License-Identifier: Apache-2.0
//
// Level map as bits: block.md §5.2. A packed list is coded as runs of used and unused values.
#include <algorithm>

#include "kernels/format/level_map.hpp"

namespace ff::kernels {

void write_level_map(const LevelMap& map, BitWriter& out) {
  out.bits(map.level_bits == 8 ? 0 : map.level_bits == 16 ? 1 : 2, 2);
  out.bits(static_cast<std::uint64_t>(map.kind), 2);
  out.bits(static_cast<std::uint64_t>(map.base), 64);
  out.bits(map.sentinels.size(), 4);
  for (const std::int64_t sentinel : map.sentinels) out.bits(static_cast<std::uint64_t>(sentinel), 64);
  if (map.kind != LevelMapKind::packed) return;
  // Runs of used and unused values in turn; the first used value is the base.
  out.bits(map.packed.size(), 16);
  std::size_t i = 0;
  while (i < map.packed.size()) {
    std::size_t end = i + 1;
    while (end < map.packed.size() && map.packed[end] == map.packed[end - 1] + 1) ++end;
    out.golomb(static_cast<std::uint32_t>(end - i - 1), 0);
    if (end < map.packed.size())
      out.golomb(static_cast<std::uint32_t>(map.packed[end] - map.packed[end - 1] - 2), 0);
    i = end;
  }
}

namespace {

Status parse_packed(BitReader& in, Dtype dtype, LevelMap& map) {
  const auto count = static_cast<std::size_t>(in.bits(16));
  std::int64_t value = map.base;
  while (in.ok() && map.packed.size() < count) {
    const std::size_t run = std::size_t{in.golomb(0)} + 1;
    if (run > count - map.packed.size()) break;
    for (std::size_t i = 0; i < run; ++i) map.packed.push_back(value++);
    if (map.packed.size() < count) value += std::int64_t{in.golomb(0)} + 1;
    if (value - map.base > 65536) break;
  }
  const bool fits = !map.packed.empty() && map.packed.size() == count &&
                    map.packed.size() <= map.first_sentinel_level() &&
                    map.packed.back() - map.base <= 65535 && map.packed.back() <= value_range(dtype).high;
  if (!in.ok() || !fits) return fail(Errc::malformed, "block: the list of used values is not possible");
  return {};
}

}  // namespace

Result<LevelMap> parse_level_map(BitReader& in, Dtype dtype) {
  LevelMap map;
  const std::uint64_t width = in.bits(2);
  const std::uint64_t kind = in.bits(2);
  map.level_bits = width == 0 ? 8 : width == 1 ? 16 : 32;
  map.base = static_cast<std::int64_t>(in.bits(64));
  const std::uint64_t sentinel_count = in.bits(4);
  const ValueRange range = value_range(dtype);
  bool good = width <= 2 && kind <= 1 && sentinel_count <= kSentinelsMax && map.base >= range.low &&
              map.base <= range.high && map.level_bits <= 8 * dtype_bytes(dtype);
  for (std::uint64_t j = 0; good && j < sentinel_count; ++j) {
    const auto sentinel = static_cast<std::int64_t>(in.bits(64));
    good = sentinel >= range.low && sentinel <= range.high &&
           std::ranges::find(map.sentinels, sentinel) == map.sentinels.end();
    map.sentinels.push_back(sentinel);
  }
  if (!good || !in.ok())
    return fail(Errc::malformed, "block: the level map is not possible for this pixel type");
  map.kind = static_cast<LevelMapKind>(kind);
  if (map.kind == LevelMapKind::packed) FF_TRY(parse_packed(in, dtype, map));
  return map;
}

}  // namespace ff::kernels
