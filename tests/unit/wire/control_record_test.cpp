// SPDX-License-Identifier: Apache-2.0
//
// Control records: what goes in comes out; what is broken or hostile is named, never believed.
#include "common/wire/control_record.hpp"

#include <cstring>

#include <catch2/catch.hpp>

namespace ff::wire {
namespace {

ReceiptRecord some_receipt() {
  ReceiptRecord record;
  record.set_written_utc_ns(17);
  auto& receipt = *record.mutable_receipt();
  receipt.set_outcome(foreframe::wire::Receipt::STORED);
  receipt.set_destination("foreframe-sink");
  receipt.mutable_records()->set_series_uid(std::string(16, 'u'));
  for (const std::uint64_t first : {3u, 10u}) {
    auto& range = *receipt.mutable_records()->add_windows();
    range.set_first(first);
    range.set_count(2);
  }
  return record;
}

std::vector<std::byte> bytes_of(const Payload& payload) {
  return {payload.bytes().begin(), payload.bytes().end()};
}

TEST_CASE("a receipt comes out of its bytes as it went in") {
  const auto sealed = seal_control(some_receipt());
  REQUIRE(sealed.ok());
  const auto parsed = parse_receipt_record(sealed->bytes());
  REQUIRE(parsed.ok());
  CHECK(parsed->SerializeAsString() == some_receipt().SerializeAsString());
}

TEST_CASE("every flipped bit and every cut of a control record is noticed") {
  const auto whole = bytes_of(seal_control(some_receipt()).value());
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    auto broken = whole;
    broken[bit / 8] ^= std::byte(1u << (bit % 8));
    CHECK_FALSE(parse_receipt_record(broken).ok());
  }
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK_FALSE(parse_receipt_record(ByteSpan(whole).first(size)).ok());
}

TEST_CASE("window ranges that overlap, go back or are empty are malformed") {
  auto record = some_receipt();
  auto& windows = *record.mutable_receipt()->mutable_records()->mutable_windows();
  SECTION("overlap") { windows[1].set_first(4); }
  SECTION("go back") { windows[1].set_first(0); }
  SECTION("empty") { windows[1].set_count(0); }
  SECTION("longer than any series") { windows[1].set_count(UINT64_MAX); }
  const auto parsed = parse_receipt_record(seal_control(record)->bytes());
  REQUIRE_FALSE(parsed.ok());
  CHECK(parsed.error().code == Errc::malformed);
}

TEST_CASE("a ledger record is no receipt, and a file outside the store is refused") {
  LedgerRecord record;
  auto& file = *record.mutable_file();
  file.set_series_uid(std::string(16, 'u'));
  file.set_name("uid/eiger_s0.h5");
  CHECK(parse_ledger_record(seal_control(record)->bytes()).ok());
  CHECK(parse_receipt_record(seal_control(record)->bytes()).error().code == Errc::malformed);
  for (const char* name : {"", "/etc/passwd", "../x.h5", "a/../../x.h5"}) {
    file.set_name(name);
    CHECK(parse_ledger_record(seal_control(record)->bytes()).error().code == Errc::malformed);
  }
}

}  // namespace
}  // namespace ff::wire
