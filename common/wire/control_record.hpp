// SPDX-License-Identifier: Apache-2.0
//
// Control records: the Protobuf messages of the receipts and ledger topics as bytes that can be checked.
//
// Data path  sink > [ReceiptRecord] > log > collector > agent;  sink > [LedgerRecord] > log > sealer
// Format     docs/formats/receipts.md: 16-byte prefix (magic, version, kind, length, CRC-32C), message.
// Not here   envelopes (envelope.hpp), and what the messages mean.
#pragma once

#include <cstddef>

#include "common/base/bytes.hpp"
#include "common/base/payload.hpp"
#include "common/base/result.hpp"
#include "common/wire/ledger.pb.h"
#include "common/wire/receipts.pb.h"

namespace ff::wire {

using foreframe::wire::LedgerRecord;
using foreframe::wire::ReceiptRecord;

inline constexpr std::size_t kControlPrefixBytes = 16;
inline constexpr std::size_t kControlMessageBytesMax = 16u << 20;
/// Windows that one range of a RecordSet may span; a range above it is hostile, not long.
inline constexpr std::uint64_t kWindowsPerRangeMax = std::uint64_t{1} << 40;

/// Errors: too_large.
[[nodiscard]] Result<Payload> seal_control(const ReceiptRecord& record);
[[nodiscard]] Result<Payload> seal_control(const LedgerRecord& record);

/// Parses and checks prefix, CRC and what every record must have: a 16-byte uid, ascending window ranges that
/// don't overlap, names of at most 64 bytes, as many states as stages, keys and signatures of their length.
/// Errors: truncated, bad_magic, unsupported_version, too_large, crc_mismatch, malformed (also a record of the
/// other kind).
[[nodiscard]] Result<ReceiptRecord> parse_receipt_record(ByteSpan bytes);
[[nodiscard]] Result<LedgerRecord> parse_ledger_record(ByteSpan bytes);

/// The checks of one RecordSet, for those that come by the link. Errors: malformed.
[[nodiscard]] Status check_record_set(const foreframe::wire::RecordSet& records);
/// The same for what collectors pass on by the link. Errors: malformed.
[[nodiscard]] Status check_receipt(const foreframe::wire::Receipt& receipt);
[[nodiscard]] Status check_replay(const foreframe::wire::ReplayRequest& replay);
[[nodiscard]] Status check_ability(const foreframe::wire::SinkAbility& ability);

}  // namespace ff::wire
