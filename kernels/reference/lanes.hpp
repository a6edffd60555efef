// SPDX-License-Identifier: Apache-2.0
//
// Lanes: 32 interleaved range coders (rANS) that share one string of 16-bit words.
//
// A lane's state x is 32 bits, never below 2^16 between pixels. Words stand in the order a decoder wants
// them, so the encoder works from the last pixel to the first and writes downwards.
//
// Data path  token > [lanes] > block
// Meaning    docs/formats/block.md §7.
// Not here   which context and which frequencies (predict.hpp, format/context_tables.hpp).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/format/context_tables.hpp"
#include "kernels/format/sections.hpp"

namespace ff::kernels::reference {

/// What a record's symbol stands for, and so which raw bits follow it.
enum class RecordForm : std::uint8_t {
  pixel,  ///< raw_bits of the level; behind an escape all level bits
  cell,   ///< none: what a cell's symbol leaves open follows as values
  value,  ///< what the symbol leaves open (cell_values.hpp); behind an escape all level bits
};

/// One symbol, ready for its lane. 31 bits in hardware.
struct LaneRecord {
  std::uint32_t level = 0;
  std::uint8_t context = 0;
  std::uint8_t token = 0;
  std::uint8_t raw_bits = 0;  ///< of the context; an escape sends all level bits instead
  bool active = false;        ///< false: masked, or behind the frame's end
  RecordForm form = RecordForm::pixel;
};

/// Frequencies with their running sums: where each symbol's slots begin.
struct CumulativeTables {
  explicit CumulativeTables(const ContextTables& tables);
  unsigned bits = kProbabilityBitsMin;
  std::vector<Frequencies> frequency;
  std::vector<std::array<std::uint16_t, kSymbols>> start;
};

/// The slots of every context turned round: slot -> symbol.
using SymbolSlots = std::vector<std::vector<std::uint8_t>>;
[[nodiscard]] SymbolSlots symbol_slots(const ContextTables& tables);

/// Codes groups of 32 records, last group first.
class LaneEncoder {
 public:
  LaneEncoder(const CumulativeTables& tables, std::uint8_t level_bits) noexcept;

  void put_group(std::span<const LaneRecord, kLanes> records);
  /// The finished words in decoding order: 32 states, then what the groups gave.
  [[nodiscard]] std::vector<std::uint16_t> finish();
  [[nodiscard]] std::size_t word_count() const noexcept { return reversed_.size(); }

 private:
  void put_raw(std::size_t lane, std::uint32_t value, unsigned bits);

  const CumulativeTables& tables_;
  unsigned level_bits_;
  std::array<std::uint32_t, kLanes> state_;
  std::vector<std::uint16_t> reversed_;
};

/// Decodes groups of 32, first group first. Reads zeros past the end and remembers it.
class LaneDecoder {
 public:
  /// Precondition: words.size() >= 128 bytes (parse_payload has checked it).
  LaneDecoder(const CumulativeTables& tables, const SymbolSlots& slots, std::uint8_t level_bits,
              ByteSpan words) noexcept;

  /// In: context, raw_bits and active of each record. Out: token, and in `level` the raw bits (or the escaped
  /// level).
  void get_group(std::span<LaneRecord, kLanes> records) noexcept;
  /// Every word was used, no more were wanted, and all states are back at their start.
  [[nodiscard]] bool ended_cleanly() const noexcept;

 private:
  void refill(std::size_t lane) noexcept;
  void get_raw_step(std::span<LaneRecord, kLanes> records, bool first_step) noexcept;

  const CumulativeTables& tables_;
  const SymbolSlots& slots_;
  unsigned level_bits_;
  std::array<std::uint32_t, kLanes> state_{};
  ByteSpan words_;
  std::size_t at_ = 0;
  bool ran_out_ = false;
};

}  // namespace ff::kernels::reference
