// SPDX-License-Identifier: Apache-2.0
//
// Level map as bits: block.md §5.2. A packed list is coded as runs of used and unused values; of lossy bins only the
// bound is sent.
#include <algorithm>

#include "kernels/format/lossy_levels.hpp"

namespace ff::kernels {
namespace {

void write_bound(const LossBound& bound, BitWriter& out) {
  out.bits(static_cast<std::uint64_t>(bound.kind) - 1, 2);
  switch (bound.kind) {
    case LossBound::Kind::none: break;
    case LossBound::Kind::absolute: out.bits(bound.limit, 32); break;
    case LossBound::Kind::relative:
      out.bits(bound.share, 32);
      out.bits(static_cast<std::uint64_t>(bound.low), 64);
      out.bits(static_cast<std::uint64_t>(bound.high), 64);
      break;
    case LossBound::Kind::root: out.bits(bound.factor, 32); break;
    case LossBound::Kind::photon:
      out.bits(bound.gain, 32);
      out.bits(static_cast<std::uint64_t>(bound.pedestal), 64);
  }
}

LossBound read_bound(BitReader& in) {
  LossBound bound;
  bound.kind = static_cast<LossBound::Kind>(in.bits(2) + 1);
  const auto number = static_cast<std::uint32_t>(in.bits(32));
  switch (bound.kind) {
    case LossBound::Kind::none: break;
    case LossBound::Kind::absolute: bound.limit = number; break;
    case LossBound::Kind::relative:
      bound.share = number;
      bound.low = static_cast<std::int64_t>(in.bits(64));
      bound.high = static_cast<std::int64_t>(in.bits(64));
      break;
    case LossBound::Kind::root: bound.factor = number; break;
    case LossBound::Kind::photon:
      bound.gain = number;
      bound.pedestal = static_cast<std::int64_t>(in.bits(64));
  }
  return bound;
}

}  // namespace

void write_level_map(const LevelMap& map, BitWriter& out) {
  out.bits(map.level_bits == 8 ? 0 : map.level_bits == 16 ? 1 : 2, 2);
  out.bits(static_cast<std::uint64_t>(map.kind), 2);
  out.bits(static_cast<std::uint64_t>(map.base), 64);
  out.bits(map.sentinels.size(), 4);
  for (const std::int64_t sentinel : map.sentinels) out.bits(static_cast<std::uint64_t>(sentinel), 64);
  if (map.kind == LevelMapKind::lossy) write_bound(map.bound, out);
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
  bool good = width <= 2 && kind <= 2 && sentinel_count <= kSentinelsMax && map.base >= range.low &&
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
  if (map.kind == LevelMapKind::lossy) {
    map.bound = read_bound(in);
    if (!in.ok() || !check_loss_bound(map.bound, dtype).ok() || !lossy_map_fits(map, dtype))
      return fail(Errc::malformed, "block: the bound of the level map is not possible for this pixel type");
  }
  return map;
}

}  // namespace ff::kernels
