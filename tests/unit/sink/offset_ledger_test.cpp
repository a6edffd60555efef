// SPDX-License-Identifier: Apache-2.0
#include "hpc_sink/consume/offset_ledger.hpp"

#include <catch2/catch.hpp>

namespace {

using namespace ff;
using namespace ff::sink;
using transport::Topic;

transport::LogRecord record_at(std::int32_t partition, std::int64_t first, std::int64_t last) {
  return {
      .topic = Topic::blocks, .position = {partition, last}, .first_offset = first, .key = {}, .value = {}};
}
transport::LogRecord record_at(std::int32_t partition, std::int64_t offset) {
  return record_at(partition, offset, offset);
}

}  // namespace

TEST_CASE("nothing is committed past the oldest record that is not durable", "[sink][offsets]") {
  OffsetLedger ledger;
  const RecordTicket a = ledger.read(record_at(0, 10)), b = ledger.read(record_at(0, 11)),
                     c = ledger.read(record_at(0, 12));
  CHECK(ledger.take_commits().empty());

  ledger.done(b);
  ledger.done(c);
  CHECK(ledger.take_commits().empty());
  CHECK(ledger.pending() == 1);

  ledger.done(a);
  const auto commits = ledger.take_commits();
  REQUIRE(commits.size() == 1);
  CHECK(commits[0].next_offset == 13);
  CHECK(ledger.take_commits().empty());
}

TEST_CASE("partitions commit independently", "[sink][offsets]") {
  OffsetLedger ledger;
  const RecordTicket slow = ledger.read(record_at(0, 5));
  const RecordTicket quick = ledger.read(record_at(1, 7));
  ledger.done(quick);
  const auto commits = ledger.take_commits();
  REQUIRE(commits.size() == 1);
  CHECK(commits[0].partition == 1);
  CHECK(commits[0].next_offset == 8);
  CHECK(ledger.valid(slow));
}

TEST_CASE("a chunk set holds the commit at its first chunk", "[sink][offsets]") {
  OffsetLedger ledger;
  const RecordTicket before = ledger.read(record_at(0, 19));
  const RecordTicket set = ledger.read(record_at(0, 20, 24));
  const RecordTicket after = ledger.read(record_at(0, 25));
  ledger.done(after);
  ledger.done(before);
  auto commits = ledger.take_commits();
  REQUIRE(commits.size() == 1);
  CHECK(commits[0].next_offset == 20);
  ledger.done(set);
  commits = ledger.take_commits();
  REQUIRE(commits.size() == 1);
  CHECK(commits[0].next_offset == 26);
}

TEST_CASE("tickets of a lost partition move nothing, even after it came back", "[sink][offsets]") {
  OffsetLedger ledger;
  ledger.assign(Topic::blocks, 3);
  const RecordTicket old = ledger.read(record_at(3, 100));
  ledger.revoke(Topic::blocks, 3);
  CHECK_FALSE(ledger.valid(old));
  ledger.done(old);
  CHECK(ledger.take_commits().empty());

  ledger.assign(Topic::blocks, 3);
  const RecordTicket again = ledger.read(record_at(3, 100));
  ledger.done(old);
  CHECK(ledger.take_commits().empty());
  ledger.done(again);
  ledger.done(again);
  const auto commits = ledger.take_commits();
  REQUIRE(commits.size() == 1);
  CHECK(commits[0].next_offset == 101);
}
