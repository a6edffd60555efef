// SPDX-License-Identifier: Apache-2.0
//
// Difference, rank table, zstd.
//
// Before zstd: u32 number of table entries, the table as i32, then a rank a pixel: u16, or u32 where the table
// has more than 65536 entries.
#include "tools/bench/tezip_back_end.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <unordered_map>
#include <zstd.h>

#include "common/base/check.hpp"

namespace ff::tools {

namespace {

constexpr int kZstdLevel = 9;
constexpr std::size_t kNarrowTable = 65536;

std::vector<std::uint32_t> differences(std::span<const std::int32_t> values) {
  std::vector<std::uint32_t> out(values.size());
  std::uint32_t before = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto value = static_cast<std::uint32_t>(values[i]);
    out[i] = value - before;
    before = value;
  }
  return out;
}

/// Values by falling frequency.
std::vector<std::int32_t> ranked_values(const std::vector<std::uint32_t>& values) {
  std::unordered_map<std::uint32_t, std::uint64_t> histogram;
  for (const std::uint32_t value : values) ++histogram[value];
  std::vector<std::pair<std::int32_t, std::uint64_t>> counted;
  counted.reserve(histogram.size());
  for (const auto& [value, count] : histogram) counted.emplace_back(static_cast<std::int32_t>(value), count);
  std::ranges::sort(counted, [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  std::vector<std::int32_t> table;
  table.reserve(counted.size());
  for (const auto& [value, count] : counted) table.push_back(value);
  return table;
}

template <typename Rank>
void append_ranks(const std::vector<std::uint32_t>& values, const std::vector<std::int32_t>& table,
                  std::vector<std::byte>& out) {
  std::unordered_map<std::uint32_t, Rank> rank_of;
  rank_of.reserve(table.size());
  for (std::size_t rank = 0; rank < table.size(); ++rank)
    rank_of[static_cast<std::uint32_t>(table[rank])] = static_cast<Rank>(rank);
  const std::size_t at = out.size();
  out.resize(at + values.size() * sizeof(Rank));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Rank rank = rank_of[values[i]];
    std::memcpy(out.data() + at + i * sizeof(Rank), &rank, sizeof(Rank));
  }
}

template <typename Rank>
Status sum_up(ByteSpan ranks, ByteSpan table, std::vector<std::int32_t>& values) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    Rank rank = 0;
    std::memcpy(&rank, ranks.data() + i * sizeof(Rank), sizeof(Rank));
    if (rank >= table.size() / 4) return fail(Errc::malformed, "a rank lies outside the rank table");
    std::uint32_t value = 0;
    std::memcpy(&value, table.data() + std::size_t{rank} * 4, 4);
    sum += value;
    values[i] = static_cast<std::int32_t>(sum);
  }
  return {};
}

}  // namespace

void merge_runs(std::span<std::int32_t> residual, std::int32_t bound) {
  if (bound <= 0) return;
  std::size_t first = 0;
  std::int64_t low = std::numeric_limits<std::int64_t>::min(),
               high = std::numeric_limits<std::int64_t>::max();
  const auto close = [&](std::size_t end) {
    const std::int64_t middle = low + (high - low) / 2;
    std::fill(residual.begin() + static_cast<std::ptrdiff_t>(first),
              residual.begin() + static_cast<std::ptrdiff_t>(end), static_cast<std::int32_t>(middle));
  };
  for (std::size_t i = 0; i < residual.size(); ++i) {
    const std::int64_t value = residual[i];
    if (i > first && (value - bound > high || value + bound < low)) {
      close(i);
      first = i;
    }
    low = i == first ? value - bound : std::max(low, value - bound);
    high = i == first ? value + bound : std::min(high, value + bound);
  }
  if (!residual.empty()) close(residual.size());
}

std::vector<std::byte> encode_residuals(std::span<const std::int32_t> residuals) {
  const std::vector<std::uint32_t> values = differences(residuals);
  const std::vector<std::int32_t> table = ranked_values(values);
  const auto entries = static_cast<std::uint32_t>(table.size());
  std::vector<std::byte> raw(4 + table.size() * 4);
  std::memcpy(raw.data(), &entries, 4);
  if (!table.empty()) std::memcpy(raw.data() + 4, table.data(), table.size() * 4);
  if (table.size() <= kNarrowTable)
    append_ranks<std::uint16_t>(values, table, raw);
  else
    append_ranks<std::uint32_t>(values, table, raw);
  return zstd9(raw);
}

Result<std::vector<std::int32_t>> decode_residuals(ByteSpan coded, std::size_t count) {
  const unsigned long long size = ZSTD_getFrameContentSize(coded.data(), coded.size());
  if (size < 4 || size > 8 * std::uint64_t{count} + 4)
    return fail(Errc::malformed, "the residual stream's size does not fit its pixels");
  FF_ASSIGN(const std::vector<std::byte> raw, unzstd(coded, static_cast<std::size_t>(size)));
  std::uint32_t entries = 0;
  std::memcpy(&entries, raw.data(), 4);
  const std::size_t width = entries <= kNarrowTable ? 2 : 4;
  if (entries > count || raw.size() != 4 + std::size_t{entries} * 4 + count * width)
    return fail(Errc::shape_mismatch, "the residual stream does not hold one rank a pixel");
  const ByteSpan table = ByteSpan(raw).subspan(4, std::size_t{entries} * 4);
  const ByteSpan ranks = ByteSpan(raw).subspan(4 + table.size());
  std::vector<std::int32_t> values(count);
  if (width == 2) {
    FF_TRY(sum_up<std::uint16_t>(ranks, table, values));
  } else {
    FF_TRY(sum_up<std::uint32_t>(ranks, table, values));
  }
  return values;
}

std::vector<std::byte> zstd9(ByteSpan raw) {
  std::vector<std::byte> out(ZSTD_compressBound(raw.size()));
  const std::size_t bytes = ZSTD_compress(out.data(), out.size(), raw.data(), raw.size(), kZstdLevel);
  FF_CHECK(!ZSTD_isError(bytes));
  out.resize(bytes);
  return out;
}

Result<std::vector<std::byte>> unzstd(ByteSpan coded, std::size_t raw_bytes) {
  std::vector<std::byte> raw(raw_bytes);
  const std::size_t bytes = ZSTD_decompress(raw.data(), raw.size(), coded.data(), coded.size());
  if (ZSTD_isError(bytes)) return fail(Errc::malformed, std::string("zstd says ") + ZSTD_getErrorName(bytes));
  if (bytes != raw_bytes) return fail(Errc::shape_mismatch, "zstd gave another size than expected");
  return raw;
}

}  // namespace ff::tools
