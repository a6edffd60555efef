// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target: records of the receipts and ledger topics. One that is accepted keeps what control_record.hpp
// promises, and sealed again gives the same message.
//
// Input: a byte of flags (bit 0: repair length and CRC first), then a control record.
#include <algorithm>

#include "common/base/check.hpp"
#include "common/base/crc32c.hpp"
#include "common/wire/control_record.hpp"
#include "tests/fuzz/allocation_limit.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

using namespace ff;
using namespace ff::fuzz;
namespace proto = foreframe::wire;

constexpr std::size_t kPerInputByte = 1024;  // two empty bytes may be a window entry; three copies of it
// Protobuf reserves what a string says of its length, up to 50 MB, before it has looked for the bytes.
constexpr std::size_t kStringReserve = std::size_t{64} << 20;

void repair(Bytes& record) {
  if (record.size() < wire::kControlPrefixBytes) return;
  const ByteSpan message = ByteSpan(record).subspan(wire::kControlPrefixBytes);
  const std::uint32_t crc = crc32c(message);
  store_le(record.data() + 8, static_cast<std::uint32_t>(message.size()));
  store_le(record.data() + 12, crc);
}

void check_ranges(const proto::RecordSet& records) {
  FF_CHECK(records.series_uid().size() == 16);
  std::uint64_t least = 0;
  for (const auto& range : records.windows()) {
    FF_CHECK(range.count() > 0 && range.first() >= least && range.first() + range.count() > range.first());
    least = range.first() + range.count();
  }
}

Verdict check(const Result<wire::ReceiptRecord>& parsed) {
  if (!parsed.ok()) {
    FF_CHECK(parsed.error().message.size() > 10);
    return Verdict::refused;
  }
  if (parsed->has_receipt()) check_ranges(parsed->receipt().records());
  if (parsed->has_replay()) check_ranges(parsed->replay().records());
  const auto again = wire::parse_receipt_record(wire::seal_control(*parsed).value().bytes());
  FF_CHECK(again.ok() && again->SerializeAsString() == parsed->SerializeAsString());
  return Verdict::accepted;
}

Verdict check(const Result<wire::LedgerRecord>& parsed) {
  if (!parsed.ok()) {
    FF_CHECK(parsed.error().message.size() > 10);
    return Verdict::refused;
  }
  if (parsed->has_file()) FF_CHECK(!parsed->file().name().empty() && parsed->file().name().front() != '/');
  if (parsed->has_seal()) FF_CHECK(parsed->seal().signature().size() == 64);
  const auto again = wire::parse_ledger_record(wire::seal_control(*parsed).value().bytes());
  FF_CHECK(again.ok() && again->SerializeAsString() == parsed->SerializeAsString());
  return Verdict::accepted;
}

Verdict run(ByteSpan input) {
  if (input.empty()) return Verdict::refused;
  Bytes record(input.begin() + 1, input.end());
  if ((std::to_integer<unsigned>(input[0]) & 1u) != 0) repair(record);
  const AllocationLimit limit(kStringReserve + kPerInputByte * record.size());
  const Verdict as_receipt = check(wire::parse_receipt_record(record));
  const Verdict as_ledger = check(wire::parse_ledger_record(record));
  FF_CHECK(as_receipt == Verdict::refused || as_ledger == Verdict::refused);
  return as_receipt == Verdict::accepted ? as_receipt : as_ledger;
}

template <typename Record>
Bytes input_of(const Record& record) {
  const Payload sealed = wire::seal_control(record).value();
  Bytes input(1 + sealed.bytes().size(), std::byte{1});
  std::ranges::copy(sealed.bytes(), input.begin() + 1);
  return input;
}

Bytes receipt_input() {
  wire::ReceiptRecord record;
  auto& receipt = *record.mutable_receipt();
  receipt.set_outcome(proto::Receipt::STORED);
  receipt.set_destination("foreframe-sink");
  receipt.mutable_records()->set_series_uid(std::string(16, 'u'));
  for (const std::uint64_t first : {3u, 10u, 400u}) {
    auto& range = *receipt.mutable_records()->add_windows();
    range.set_first(first);
    range.set_count(2);
  }
  return input_of(record);
}

Bytes replay_input() {
  wire::ReceiptRecord record;
  auto& replay = *record.mutable_replay();
  replay.set_requester("sink");
  replay.set_reason("window incomplete");
  replay.mutable_records()->set_series_uid(std::string(16, 'u'));
  replay.mutable_records()->set_series_end(true);
  return input_of(record);
}

Bytes ability_input() {
  wire::ReceiptRecord record;
  record.mutable_ability()->set_destination("foreframe-sink");
  record.mutable_ability()->set_block_minor(2);
  return input_of(record);
}

Bytes file_input() {
  wire::LedgerRecord record;
  auto& file = *record.mutable_file();
  file.set_series_uid(std::string(16, 'u'));
  file.set_name("uid/eiger_s0_p0_000000.h5");
  for (const std::int64_t step : {0, 1, 1, 5}) file.add_frame_numbers(step);
  auto& window = *file.add_windows();
  window.set_states(std::string(4, '\2'));
  window.set_stages(std::string(4, '\0'));
  window.set_payload_sha256(std::string(32, 's'));
  for (const std::uint32_t crc : {1u, 2u, 3u}) window.add_pixel_crc32c(crc);
  return input_of(record);
}

Bytes seal_input() {
  proto::SealBody body;
  body.set_series_uid(std::string(16, 'u'));
  body.set_merkle_root(std::string(32, 'r'));
  wire::LedgerRecord record;
  record.mutable_seal()->set_body(body.SerializeAsString());
  record.mutable_seal()->set_public_key(std::string(32, 'k'));
  record.mutable_seal()->set_signature(std::string(64, 's'));
  return input_of(record);
}

std::vector<Bytes> seeds() {
  return {receipt_input(), replay_input(), ability_input(), file_input(), seal_input()};
}

}  // namespace

FF_FUZZ_TARGET(control, run, seeds, damage_bytes);
