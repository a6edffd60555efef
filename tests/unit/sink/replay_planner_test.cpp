// SPDX-License-Identifier: Apache-2.0
#include "hpc_sink/receipt/replay_planner.hpp"

#include <catch2/catch.hpp>

#include "hpc_sink/receipt/receipt_batch.hpp"

namespace {

using namespace ff;
using namespace ff::sink;
using std::chrono::seconds;

constexpr std::int64_t kSecond = 1'000'000'000;
using Ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

Ranges asked(ReplayPlanner& planner, std::int64_t second) {
  Ranges ranges;
  for (const ReplayAsk& ask : planner.due(second * kSecond))
    ranges.insert(ranges.end(), ask.windows.begin(), ask.windows.end());
  return ranges;
}

}  // namespace

TEST_CASE("a missed window is asked for at once, then with pauses that double up to the longest one",
          "[sink][receipt]") {
  DoneWindows reported;
  ReplayPlanner planner({seconds(10), seconds(30)}, reported);
  const StreamKey stream{Uuid::mint(), 0};
  for (const std::uint64_t window : {3, 4, 5, 9})
    planner.missed({stream, window}, "eiger", "window incomplete");
  CHECK(planner.misses(stream.series));
  CHECK(asked(planner, 0) == Ranges{{3, 6}, {9, 10}});
  CHECK(asked(planner, 9).empty());
  planner.settled({stream, 4});
  planner.missed({stream, 5}, "eiger", "window incomplete");  // it came again, not whole: its pause goes on
  CHECK(asked(planner, 10) == Ranges{{3, 4}, {5, 6}, {9, 10}});
  CHECK(asked(planner, 29).empty());
  CHECK(asked(planner, 30).size() == 3);  // 20 s
  CHECK(asked(planner, 59).empty());
  CHECK(asked(planner, 60).size() == 3);  // 30 s, not 40
  CHECK(asked(planner, 90).size() == 3);
  planner.forget(stream.series);
  CHECK_FALSE(planner.misses(stream.series));
  CHECK(asked(planner, 1000).empty());
}

TEST_CASE("a start that is missed is asked for with the same pauses until it comes", "[sink][receipt]") {
  DoneWindows reported;
  ReplayPlanner planner({seconds(10), seconds(30)}, reported);
  const StreamKey stream{Uuid::mint(), 1};
  planner.missing_records(stream, "eiger", false, false);
  CHECK_FALSE(planner.misses(stream.series));
  planner.missing_records(stream, "eiger", true, false);
  CHECK(planner.misses(stream.series));
  auto asks = planner.due(0);
  REQUIRE(asks.size() == 1);
  CHECK(asks[0].series_start);
  CHECK_FALSE(asks[0].series_end);
  CHECK(wire::check_record_set(replay_line({"group", "sink"}, asks[0], 0).record.replay().records()).ok());
  CHECK(planner.due(9 * kSecond).empty());
  CHECK(planner.due(10 * kSecond).size() == 1);
  planner.missing_records(stream, "eiger", false, false);
  CHECK_FALSE(planner.misses(stream.series));
  CHECK(planner.due(1000 * kSecond).empty());
}

TEST_CASE("windows that were never seen are the gaps below what the series' end says, however many",
          "[sink][receipt]") {
  DoneWindows reported;
  ReplayPlanner planner({seconds(10), seconds(30)}, reported);
  const StreamKey stream{Uuid::mint(), 2};
  for (const std::uint64_t window : {0, 1, 5}) reported.insert({stream, window});
  CHECK_FALSE(planner.misses(stream.series));
  planner.never_seen(stream, "eiger", 8, "window never came");
  CHECK(planner.misses(stream.series));
  CHECK(asked(planner, 0) == Ranges{{2, 5}, {6, 8}});
  for (const std::uint64_t window : {2, 3, 4, 6, 7}) reported.insert({stream, window});
  CHECK_FALSE(planner.misses(stream.series));
  CHECK(asked(planner, 100).empty());

  planner.never_seen(stream, "eiger", UINT64_MAX, "window never came");  // a hostile end record
  const auto asks = planner.due(200 * kSecond);
  REQUIRE(asks.size() == 1);
  const ReceiptLine line = replay_line({"group", "sink"}, asks[0], 0);
  CHECK(wire::check_record_set(line.record.replay().records()).ok());
}

TEST_CASE("verdicts of a stream with the same outcome become one receipt with ranges", "[sink][receipt]") {
  const StreamKey stream{Uuid::mint(), 1};
  ReceiptBatch batch({"group", "sink"});
  using foreframe::wire::Receipt;
  std::int64_t offset = 0;
  const auto add = [&](RecordPart part, std::uint64_t window, Outcome outcome, const char* reason) {
    batch.add({.stream = stream,
               .detector = "eiger",
               .part = part,
               .window = window,
               .outcome = outcome,
               .reason = reason,
               .tickets = {{.first_offset = offset++}}});
  };
  for (const std::uint64_t window : {7, 5, 6, 6, 1}) add(RecordPart::window, window, Receipt::STORED, "");
  add(RecordPart::series_end, 0, Receipt::STORED, "");
  add(RecordPart::window, 2, Receipt::DEAD_LETTERED, "crc_mismatch: pixels");
  auto lines = batch.take(17);
  REQUIRE(lines.size() == 2);
  CHECK(batch.verdicts() == 0);
  CHECK(batch.take(17).empty());
  for (const ReceiptLine& line : lines) {
    CHECK(wire::parse_receipt_record(wire::seal_control(line.record).value().bytes()).ok());
    const Receipt& receipt = line.record.receipt();
    CHECK(receipt.destination() == "group");
    const bool dead = receipt.outcome() == Receipt::DEAD_LETTERED;
    CHECK(line.tickets.size() == (dead ? 1 : 6));
    CHECK(receipt.records().windows_size() == (dead ? 1 : 2));
    CHECK(receipt.records().series_end() == !dead);
    CHECK(receipt.reason() == (dead ? "crc_mismatch: pixels" : ""));
  }
}
