// SPDX-License-Identifier: Apache-2.0
//
// Sealing and reading control records.
#include "common/wire/control_record.hpp"

#include <cstring>
#include <string>

#include "common/base/crc32c.hpp"
#include "common/wire/protobuf_bytes.hpp"

namespace ff::wire {
namespace {

namespace proto = foreframe::wire;

constexpr char kControlMagic[4] = {'F', 'F', 'C', 'R'};
constexpr std::uint8_t kControlMajor = 0, kControlMinor = 1;
constexpr std::size_t kNameBytesMax = 64, kReasonBytesMax = 4096, kFileNameBytesMax = 1024;
constexpr std::size_t kWindowFramesMax = 64;
enum Kind : std::uint16_t { receipt = 1, ledger = 2 };

Result<Payload> seal(Kind kind, const google::protobuf::MessageLite& message) {
  const std::size_t size = message.ByteSizeLong();
  if (size > kControlMessageBytesMax)
    return fail(Errc::too_large, "control record of " + std::to_string(size) + " bytes");
  std::vector<std::byte> bytes(kControlPrefixBytes + size);
  std::byte* body = bytes.data() + kControlPrefixBytes;
  message.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(body));
  std::memcpy(bytes.data(), kControlMagic, 4);
  store_le<std::uint8_t>(bytes.data() + 4, kControlMajor);
  store_le<std::uint8_t>(bytes.data() + 5, kControlMinor);
  store_le<std::uint16_t>(bytes.data() + 6, kind);
  store_le(bytes.data() + 8, static_cast<std::uint32_t>(size));
  store_le(bytes.data() + 12, crc32c(ByteSpan(body, size)));
  return Payload::own(std::move(bytes));
}

/// The message's bytes, once prefix and CRC are right.
Result<ByteSpan> open_prefix(Kind wanted, ByteSpan bytes) {
  ByteReader reader(bytes);
  const ByteSpan magic = reader.take(4);
  const auto major = reader.read<std::uint8_t>(), minor = reader.read<std::uint8_t>();
  const auto kind = reader.read<std::uint16_t>();
  const auto size = reader.read<std::uint32_t>(), crc = reader.read<std::uint32_t>();
  if (!reader.ok()) return fail(Errc::truncated, "a control record has at least 16 bytes");
  if (std::memcmp(magic.data(), kControlMagic, 4) != 0)
    return fail(Errc::bad_magic, "no control record: it does not begin with FFCR");
  if (major != kControlMajor || minor != kControlMinor)
    return fail(Errc::unsupported_version, "control record version " + std::to_string(major) + "." +
                                               std::to_string(minor) + "; this build reads 0.1");
  if (size > kControlMessageBytesMax)
    return fail(Errc::too_large, "control record of " + std::to_string(size) + " bytes is above the limit");
  if (reader.rest().size() != size)
    return fail(Errc::truncated, "control record: prefix promises " + std::to_string(size) + " bytes, " +
                                     std::to_string(reader.rest().size()) + " follow");
  if (kind != wanted) return fail(Errc::malformed, "control record of another kind than its topic's");
  if (crc32c(reader.rest()) != crc) return fail(Errc::crc_mismatch, "control record: CRC does not match");
  return reader.rest();
}

Status check_names(std::initializer_list<const std::string*> names) {
  for (const std::string* name : names)
    if (name->size() > kNameBytesMax) return fail(Errc::malformed, "control record: name above 64 bytes");
  return {};
}

Status check_uid(const std::string& uid) {
  if (uid.size() != 16) return fail(Errc::malformed, "control record: series uid is not 16 bytes");
  return {};
}

Status check_reason(const std::string& reason) {
  if (reason.size() > kReasonBytesMax)
    return fail(Errc::malformed, "control record: reason above 4096 bytes");
  return {};
}

template <typename Windows>
Status check_windows(const Windows& windows) {
  for (const proto::WindowEntry& window : windows) {
    const std::size_t frames = window.states().size();
    if (frames == 0 || frames > kWindowFramesMax || window.stages().size() != frames)
      return fail(Errc::malformed,
                  "ledger: a window needs one state and one stage for each of 1 ... 64 frames");
    if (!window.payload_sha256().empty() && window.payload_sha256().size() != 32)
      return fail(Errc::malformed, "ledger: a SHA-256 has 32 bytes");
    if (static_cast<std::size_t>(window.pixel_crc32c_size()) > frames)
      return fail(Errc::malformed, "ledger: more pixel CRCs than frames");
  }
  return {};
}

Status check(const proto::FileStored& file) {
  FF_TRY(check_uid(file.series_uid()));
  FF_TRY(check_names({&file.detector(), &file.sink(), &file.destination()}));
  if (file.name().empty() || file.name().size() > kFileNameBytesMax || file.name().front() == '/' ||
      file.name().find("..") != std::string::npos)
    return fail(Errc::malformed, "ledger: a file's name is not inside the store");
  return check_windows(file.windows());
}

Status check(const proto::WindowsSettled& settled) {
  FF_TRY(check_uid(settled.series_uid()));
  FF_TRY(check_names({&settled.detector(), &settled.sink(), &settled.destination()}));
  return check_windows(settled.windows());
}

Status check(const proto::Seal& seal) {
  if (seal.public_key().size() != 32 || seal.signature().size() != 64)
    return fail(Errc::malformed, "seal: an Ed25519 key has 32 bytes and a signature 64");
  proto::SealBody body;
  if (!parse_message(body, as_bytes(seal.body())))
    return fail(Errc::malformed, "seal: its body can't be read");
  FF_TRY(check_uid(body.series_uid()));
  return check_names({&body.detector(), &body.sealer(), &body.destination()});
}

}  // namespace

Status check_record_set(const proto::RecordSet& records) {
  FF_TRY(check_uid(records.series_uid()));
  FF_TRY(check_names({&records.detector()}));
  std::uint64_t least = 0;
  for (const proto::WindowRange& range : records.windows()) {
    if (range.count() == 0 || range.count() > kWindowsPerRangeMax || range.first() < least ||
        range.first() > (std::uint64_t{1} << 56))
      return fail(Errc::malformed, "window ranges are not ascending, or one is out of range");
    least = range.first() + range.count();
  }
  return {};
}

Status check_receipt(const proto::Receipt& receipt) {
  FF_TRY(check_record_set(receipt.records()));
  FF_TRY(check_names({&receipt.destination(), &receipt.sink()}));
  FF_TRY(check_reason(receipt.reason()));
  if (receipt.outcome() < proto::Receipt::STORED || receipt.outcome() > proto::Receipt::REFUSED)
    return fail(Errc::malformed, "receipt: an outcome that this build doesn't know");
  return {};
}

Status check_replay(const proto::ReplayRequest& replay) {
  FF_TRY(check_record_set(replay.records()));
  FF_TRY(check_names({&replay.requester()}));
  return check_reason(replay.reason());
}

Status check_ability(const proto::SinkAbility& ability) {
  return check_names({&ability.destination(), &ability.sink(), &ability.software()});
}

Result<Payload> seal_control(const ReceiptRecord& record) { return seal(Kind::receipt, record); }
Result<Payload> seal_control(const LedgerRecord& record) { return seal(Kind::ledger, record); }

Result<ReceiptRecord> parse_receipt_record(ByteSpan bytes) {
  FF_ASSIGN(const ByteSpan body, open_prefix(Kind::receipt, bytes));
  ReceiptRecord record;
  if (!parse_message(record, body)) return fail(Errc::malformed, "receipt record: not Protobuf");
  switch (record.record_case()) {
    case ReceiptRecord::kReceipt: FF_TRY(check_receipt(record.receipt())); break;
    case ReceiptRecord::kReplay: FF_TRY(check_replay(record.replay())); break;
    case ReceiptRecord::kAbility: FF_TRY(check_ability(record.ability())); break;
    case ReceiptRecord::RECORD_NOT_SET: return fail(Errc::malformed, "receipt record of an unknown kind");
  }
  return record;
}

Result<LedgerRecord> parse_ledger_record(ByteSpan bytes) {
  FF_ASSIGN(const ByteSpan body, open_prefix(Kind::ledger, bytes));
  LedgerRecord record;
  if (!parse_message(record, body)) return fail(Errc::malformed, "ledger record: not Protobuf");
  switch (record.record_case()) {
    case LedgerRecord::kFile: FF_TRY(check(record.file())); break;
    case LedgerRecord::kWindows: FF_TRY(check(record.windows())); break;
    case LedgerRecord::kSeal: FF_TRY(check(record.seal())); break;
    case LedgerRecord::kGap: FF_TRY(check_names({&record.gap().destination()})); break;
    case LedgerRecord::RECORD_NOT_SET: return fail(Errc::malformed, "ledger record of an unknown kind");
  }
  return record;
}

}  // namespace ff::wire
