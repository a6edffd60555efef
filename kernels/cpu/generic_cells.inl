// SPDX-License-Identifier: Apache-2.0
//
// The model cells in plain loops. Part of generic_codec.inl, which says how these files are included.
//
// Not here   rows, values, groups (cell_codec.inl).

using CellSymbol = std::uint32_t;
using CellRowPredictor = RowPredictor<std::uint16_t>;
struct CellStream;

// f << 12 | start, by context << 8 | token. A frequency has 12 bits at most, and so has a start.
inline std::vector<std::uint32_t> cell_encoder_entries(const ContextTables& tables) {
  std::vector<std::uint32_t> entries(tables.pixel_contexts() * kSymbols);
  for (std::size_t c = 0; c < tables.pixel_contexts(); ++c) {
    std::uint32_t start = 0;
    for (std::size_t s = 0; s < kSymbols; ++s) {
      const std::uint32_t f = tables.frequencies[c][s];
      entries[c * kSymbols + s] = f << 12 | start;
      start += f;
    }
  }
  return entries;
}

void put_cells(CellStream& stream, const std::uint32_t* symbols, const std::uint32_t* entries,
               unsigned bits) noexcept;
bool get_cells(CellStream& stream, const std::uint32_t* contexts, const std::uint32_t* entries, unsigned bits,
               std::uint16_t* tokens) noexcept;

#include "kernels/cpu/cell_codec.inl"

void put_cells(CellStream& stream, const std::uint32_t* symbols, const std::uint32_t* entries,
               unsigned bits) noexcept {
  std::uint16_t* out = stream.out;
  for (std::size_t i = kLanes; i-- > 0;) {
    if (symbols[i] == kInactive) continue;
    const std::uint32_t entry = entries[symbols[i]], f = entry >> 12;
    std::uint32_t x = stream.state[i];
    const bool leaves = x >> (32 - bits) >= f;
    out[-1] = static_cast<std::uint16_t>(x);  // kept only where the word leaves
    out -= leaves ? 1 : 0;
    x = leaves ? x >> 16 : x;
    const std::uint32_t q = x / f;
    stream.state[i] = (q << bits) + (x - q * f) + (entry & 0xfff);
  }
  stream.out = out;
}

bool get_cells(CellStream& stream, const std::uint32_t* contexts, const std::uint32_t* entries, unsigned bits,
               std::uint16_t* tokens) noexcept {
  const std::uint32_t slot_mask = (1u << bits) - 1;
  const std::uint16_t* in = stream.in;
  std::uint32_t any = 0;
  for (std::size_t i = 0; i < kLanes; ++i) {
    tokens[i] = 0;
    if (contexts[i] == kInactive) continue;
    std::uint32_t x = stream.state[i];
    const std::uint32_t entry = entries[(contexts[i] >> 8) << bits | (x & slot_mask)];
    x = (entry >> 20) * (x >> bits) + (entry >> 8 & 0xfff);
    const bool wants = x < kLaneStart;
    x = wants ? x << 16 | *in : x;
    in += wants ? 1 : 0;
    stream.state[i] = x;
    tokens[i] = static_cast<std::uint16_t>(entry & 255);
    any |= entry & entry >> 1;
  }
  stream.in = in;
  return (any & 0x55) != 0;
}
