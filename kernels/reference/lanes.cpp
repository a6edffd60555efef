// SPDX-License-Identifier: Apache-2.0
//
// Lanes: the order of words inside a group is what block.md §7 fixes; the rest follows from rANS.
#include "kernels/reference/lanes.hpp"

#include <algorithm>

#include "common/base/check.hpp"
#include "kernels/format/cell_values.hpp"

namespace ff::kernels::reference {
namespace {

constexpr unsigned kWordBits = 16;

// Raw bits of a record go in one or two steps of at most 16; the step with the low bits is decoded last.
struct RawSteps {
  unsigned first = 0, second = 0;
};

RawSteps raw_steps(const LaneRecord& record, unsigned level_bits) noexcept {
  unsigned bits = record.raw_bits;
  if (record.form == RecordForm::value) bits = value_raw_bits(record.token);
  if (record.token == kEscape) bits = level_bits;
  if (record.form == RecordForm::cell) bits = 0;
  return bits > kWordBits ? RawSteps{bits - kWordBits, kWordBits} : RawSteps{bits, 0};
}

}  // namespace

CumulativeTables::CumulativeTables(const ContextTables& tables)
    : bits(tables.bits), frequency(tables.frequencies) {
  start.resize(frequency.size());
  for (std::size_t c = 0; c < frequency.size(); ++c) {
    std::uint32_t sum = 0;
    for (std::size_t s = 0; s < kSymbols; ++s) {
      start[c][s] = static_cast<std::uint16_t>(sum);
      sum += frequency[c][s];
    }
    FF_CHECK(sum == tables.scale());
  }
}

SymbolSlots symbol_slots(const ContextTables& tables) {
  SymbolSlots slots(tables.frequencies.size(), std::vector<std::uint8_t>(tables.scale()));
  for (std::size_t c = 0; c < slots.size(); ++c) {
    std::size_t slot = 0;
    for (std::size_t s = 0; s < kSymbols; ++s) {
      for (std::uint32_t i = 0; i < tables.frequencies[c][s]; ++i)
        slots[c][slot++] = static_cast<std::uint8_t>(s);
    }
  }
  return slots;
}

LaneEncoder::LaneEncoder(const CumulativeTables& tables, std::uint8_t level_bits) noexcept
    : tables_(tables), level_bits_(level_bits) {
  state_.fill(kLaneStart);
}

// Before: 2^16 <= x < 2^32. The word leaves exactly when x << bits would reach 2^32.
void LaneEncoder::put_raw(std::size_t lane, std::uint32_t value, unsigned bits) {
  std::uint32_t& x = state_[lane];
  if ((std::uint64_t{x} << bits) >> 32 != 0) {
    reversed_.push_back(static_cast<std::uint16_t>(x));
    x >>= kWordBits;
  }
  x = (x << bits) | (value & ((1u << bits) - 1));
}

void LaneEncoder::put_group(std::span<const LaneRecord, kLanes> records) {
  std::array<LaneRecord, kLanes> group;
  std::ranges::copy(records, group.begin());
  for (LaneRecord& record : group) {
    // A symbol that the table lacks escapes, so that sampled, reused and foreign tables are all legal.
    if (record.active && tables_.frequency[record.context][record.token] == 0) record.token = kEscape;
  }
  // Backwards: the second raw step first, then the first, then the tokens; lane 31 first.
  for (std::size_t lane = kLanes; lane-- > 0;) {
    const RawSteps steps = raw_steps(group[lane], level_bits_);
    if (group[lane].active && steps.second != 0) put_raw(lane, group[lane].level, steps.second);
  }
  for (std::size_t lane = kLanes; lane-- > 0;) {
    const RawSteps steps = raw_steps(group[lane], level_bits_);
    const std::uint32_t value = steps.second != 0 ? group[lane].level >> kWordBits : group[lane].level;
    if (group[lane].active && steps.first != 0) put_raw(lane, value, steps.first);
  }
  for (std::size_t lane = kLanes; lane-- > 0;) {
    const LaneRecord& record = group[lane];
    if (!record.active) continue;
    std::uint32_t& x = state_[lane];
    const std::uint32_t f = tables_.frequency[record.context][record.token];
    if (x >= f << (32 - tables_.bits)) {
      reversed_.push_back(static_cast<std::uint16_t>(x));
      x >>= kWordBits;
    }
    const std::uint32_t q = x / f;
    x = (q << tables_.bits) + (x - q * f) + tables_.start[record.context][record.token];
  }
}

std::vector<std::uint16_t> LaneEncoder::finish() {
  for (std::size_t lane = kLanes; lane-- > 0;) {
    reversed_.push_back(static_cast<std::uint16_t>(state_[lane] >> kWordBits));
    reversed_.push_back(static_cast<std::uint16_t>(state_[lane]));
  }
  std::ranges::reverse(reversed_);
  return std::move(reversed_);
}

LaneDecoder::LaneDecoder(const CumulativeTables& tables, const SymbolSlots& slots, std::uint8_t level_bits,
                         ByteSpan words) noexcept
    : tables_(tables), slots_(slots), level_bits_(level_bits), words_(words) {
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    state_[lane] = load_le<std::uint32_t>(words_.data() + 4 * lane);
    // A hostile state below the interval would make refills read twice; lift it, the end check finds it.
    ran_out_ = ran_out_ || state_[lane] < kLaneStart;
  }
  at_ = 4 * kLanes;
}

void LaneDecoder::refill(std::size_t lane) noexcept {
  std::uint32_t& x = state_[lane];
  if (x >= kLaneStart) return;
  std::uint32_t word = 0;
  if (at_ + 2 <= words_.size()) {
    word = load_le<std::uint16_t>(words_.data() + at_);
  } else {
    ran_out_ = true;
  }
  at_ += 2;
  x = (x << kWordBits) | word;
}

void LaneDecoder::get_raw_step(std::span<LaneRecord, kLanes> records, bool first_step) noexcept {
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    LaneRecord& record = records[lane];
    const RawSteps steps = raw_steps(record, level_bits_);
    const unsigned bits = first_step ? steps.first : steps.second;
    if (!record.active || bits == 0) continue;
    std::uint32_t& x = state_[lane];
    record.level = (record.level << bits) | (x & ((1u << bits) - 1));
    x >>= bits;
    refill(lane);
  }
}

void LaneDecoder::get_group(std::span<LaneRecord, kLanes> records) noexcept {
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    LaneRecord& record = records[lane];
    if (!record.active) continue;
    std::uint32_t& x = state_[lane];
    const std::uint32_t slot = x & ((1u << tables_.bits) - 1);
    record.token = slots_[record.context][slot];
    record.level = 0;
    x = tables_.frequency[record.context][record.token] * (x >> tables_.bits) + slot -
        tables_.start[record.context][record.token];
    refill(lane);
  }
  get_raw_step(records, true);
  get_raw_step(records, false);
}

bool LaneDecoder::ended_cleanly() const noexcept {
  return !ran_out_ && at_ == words_.size() &&
         std::ranges::all_of(state_, [](std::uint32_t x) { return x == kLaneStart; });
}

}  // namespace ff::kernels::reference
