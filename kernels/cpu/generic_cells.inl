// SPDX-License-Identifier: Apache-2.0
//
// The model cells in plain loops. Part of generic_codec.inl, which says how these files are included.
//
// Not here   rows, values, groups (cell_codec.inl).

using CellSymbol = std::uint16_t;
using CellEntries = EncoderTable;
using CellRowPredictor = RowPredictor<std::uint16_t>;
struct CellStream;

// Cells have no raw bits, not even behind their escape.
inline CellEntries cell_encoder_entries(const ContextTables& tables) { return {tables, 0}; }

void put_cells(CellStream& stream, const std::uint16_t* symbols, const CellEntries& entries,
               unsigned bits) noexcept;
bool get_cells(CellStream& stream, const std::uint16_t* contexts, const std::uint32_t* entries, unsigned bits,
               std::uint16_t* tokens) noexcept;

#include "kernels/cpu/cell_codec.inl"

void put_cells(CellStream& stream, const std::uint16_t* symbols, const CellEntries& entries,
               unsigned probability_bits) noexcept {
  with_bits(probability_bits,
            [&](auto bits) { put_tokens<bits.value>(stream.state.data(), symbols, entries, stream.out); });
}

bool get_cells(CellStream& stream, const std::uint16_t* contexts, const std::uint32_t* entries, unsigned bits,
               std::uint16_t* tokens) noexcept {
  get_tokens(stream.state.data(), contexts, entries, bits, stream.in, tokens);
  std::uint32_t any = 0;
  for (std::size_t i = 0; i < kLanes; ++i) any |= tokens[i] & tokens[i] >> 1;
  return (any & 0x55) != 0;
}
