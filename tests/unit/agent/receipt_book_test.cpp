// SPDX-License-Identifier: Apache-2.0
//
// ReceiptBook, ResendBudget, SinkAbilities: what may be freed, what goes again and how much of it. No clocks, no
// sockets.
#include "agent/spool/receipt_book.hpp"

#include <catch2/catch.hpp>

#include "agent/spool/resend_budget.hpp"
#include "agent/spool/sink_abilities.hpp"

using namespace ff;
using namespace ff::agent;
using namespace std::chrono_literals;
using foreframe::wire::Receipt;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
const std::string kUid(16, 'u');

RecordGroup window(std::uint64_t index) { return {kUid, "eiger", 0, index}; }

foreframe::wire::RecordSet windows(std::uint64_t first, std::uint64_t count) {
  foreframe::wire::RecordSet set;
  set.set_series_uid(kUid);
  set.set_detector("eiger");
  auto& range = *set.add_windows();
  range.set_first(first);
  range.set_count(count);
  return set;
}

Receipt stored(std::uint64_t first, std::uint64_t count, const std::string& destination = "foreframe-sink") {
  Receipt receipt;
  *receipt.mutable_records() = windows(first, count);
  receipt.set_outcome(Receipt::STORED);
  receipt.set_destination(destination);
  return receipt;
}

/// Start, windows 0 ... n-1 of `records` records each, end.
ReceiptBook book_of(std::uint64_t n, std::uint64_t records, ReceiptBookOptions options = {}) {
  ReceiptBook book(std::move(options));
  std::uint64_t offset = 0;
  book.note({kUid, "eiger", 0, RecordGroup::kStart}, offset++, 0, false);
  for (std::uint64_t w = 0; w < n; ++w)
    for (std::uint64_t record = 0; record < records; ++record) book.note(window(w), offset++, 0, false);
  book.note({kUid, "eiger", 0, RecordGroup::kEnd}, offset, 0, false);
  return book;
}

Receipt start_stored() {
  Receipt receipt = stored(0, 1);
  receipt.mutable_records()->clear_windows();
  receipt.mutable_records()->set_series_start(true);
  return receipt;
}

}  // namespace

TEST_CASE("the spool is free up to the first record without a receipt", "[agent][receipts]") {
  ReceiptBook book = book_of(3, 4);
  CHECK(book.free_end(14) == 0);
  CHECK(book.settle(stored(0, 2)).size() == 2);
  CHECK(book.free_end(14) == 0);  // the start record is not receipted
  CHECK(book.settle(start_stored()).size() == 1);
  CHECK(book.free_end(14) == 9);  // window 2 begins there
  CHECK(book.settle(stored(0, 100)).size() == 1);
  CHECK(book.free_end(14) == 13);
  Receipt end = start_stored();
  end.mutable_records()->set_series_start(false);
  end.mutable_records()->set_series_end(true);
  CHECK(book.settle(end).size() == 1);
  CHECK(book.free_end(14) == 14);
  CHECK(book.waiting() == 0);
}

TEST_CASE("a window is free when every destination has given its receipt, whatever it says",
          "[agent][receipts]") {
  ReceiptBookOptions options;
  options.destinations = {"hpc", "archive"};
  ReceiptBook book = book_of(1, 1, options);
  CHECK(book.settle(stored(0, 1, "somebody")).empty());
  CHECK(book.settle(stored(0, 1, "hpc")).empty());
  CHECK(book.settle(stored(0, 1, "hpc")).empty());
  Receipt refused = stored(0, 1, "archive");
  refused.set_outcome(Receipt::DEAD_LETTERED);
  refused.set_reason("no such codec");
  const auto settled = book.settle(refused);
  REQUIRE(settled.size() == 1);
  CHECK(settled[0].first_offset == 1);
  CHECK(settled[0].bad_news.find("no such codec") != std::string::npos);
}

TEST_CASE("overdue records are asked about, then sent again, each time later", "[agent][receipts]") {
  ReceiptBookOptions options;
  options.timeout = 100s;
  ReceiptBook book = book_of(1, 2, options);
  static_cast<void>(book.settle(start_stored()));
  static_cast<void>(book.take_questions());
  CHECK_FALSE(book.next_resend(89 * kSecond, 100).has_value());
  CHECK_FALSE(book.next_resend(90 * kSecond, 100).has_value());  // time to ask
  const auto questions = book.take_questions();
  REQUIRE(questions.size() == 1);
  CHECK(questions[0].windows(0).first() == 0);
  CHECK(questions[0].series_end());
  const auto again = book.next_resend(100 * kSecond, 100);
  REQUIRE(again.has_value());
  CHECK(again->first_offset == 1);
  CHECK(again->last_offset == 2);
  CHECK(book.next_resend(100 * kSecond, 100)->group.window == RecordGroup::kEnd);
  CHECK_FALSE(book.next_resend(279 * kSecond, 100).has_value());
  static_cast<void>(book.next_resend(280 * kSecond, 100));
  CHECK(book.take_questions().size() == 1);
  CHECK(book.next_resend(300 * kSecond, 100).has_value());  // 200 s after the first time
}

TEST_CASE("records that the log does not have yet are never sent again before", "[agent][receipts]") {
  ReceiptBookOptions options;
  options.timeout = 1s;
  ReceiptBook book = book_of(2, 2, options);
  for (std::int64_t now = 0; now < 20 * kSecond; now += kSecond / 10) {
    const auto again = book.next_resend(now, 3);  // the start and window 0 are acknowledged
    if (again) CHECK(again->last_offset < 3);
  }
}

TEST_CASE("what is asked for goes before what is overdue, and not twice in a row", "[agent][receipts]") {
  ReceiptBook book = book_of(10, 1);
  foreframe::wire::ReplayRequest request;
  *request.mutable_records() = windows(4, 2);
  CHECK(book.request(request, kSecond) == 2);
  CHECK(book.next_resend(kSecond, 100)->group.window == 4);
  CHECK(book.next_resend(kSecond, 100)->group.window == 5);
  CHECK_FALSE(book.next_resend(kSecond, 100).has_value());
  CHECK(book.request(request, 2 * kSecond) == 0);
  CHECK(book.request(request, 12 * kSecond) == 2);
  *request.mutable_records() = windows(1000, 1u << 30);
  CHECK(book.request(request, 2 * kSecond) == 0);  // nothing of it is here: nothing is done
}

TEST_CASE("a full book takes no more until receipts make room, and asks for what it missed",
          "[agent][receipts]") {
  ReceiptBookOptions options;
  options.entries_max = 3;
  ReceiptBook book(options);
  for (std::uint64_t w = 0; book.has_room(); ++w) book.note(window(w), w, 0, false);
  CHECK(book.waiting() == 3);
  static_cast<void>(book.take_questions());
  static_cast<void>(book.settle(stored(0, 2)));
  REQUIRE(book.has_room());
  CHECK(book.free_end(3) == 2);
  book.note(window(3), 3, 0, true);  // it was sent before: its receipt may have passed
  const auto questions = book.take_questions();
  REQUIRE(questions.size() == 1);
  CHECK(questions[0].windows(0).first() == 3);
  CHECK(book.take_questions().empty());
  book.ask_again();
  CHECK(book.take_questions()[0].windows(0).count() == 2);  // 2 and 3
}

TEST_CASE("resent bytes keep their share of the link while there are new ones", "[agent][receipts]") {
  ResendBudget budget(0.2);
  std::uint64_t fresh = 0, again = 0;
  std::int64_t now = kSecond;
  for (int i = 0; i < 10'000; ++i) {
    now += 1'000'000;
    budget.sent_new(100'000, now);
    fresh += 100'000;
    while (budget.allows()) {
      budget.sent_again(300'000, now);
      again += 300'000;
    }
  }
  const double share = static_cast<double>(again) / static_cast<double>(fresh + again);
  CHECK(share > 0.19);
  CHECK(share < 0.201);
}

TEST_CASE("an idle link carries at least a trickle of what must go again", "[agent][receipts]") {
  ResendBudget budget(0.2);
  std::uint64_t again = 0;
  for (std::int64_t now = kSecond; now < 11 * kSecond; now += 10'000'000) {
    budget.nothing_new(now);
    while (budget.allows()) {
      budget.sent_again(100'000, now);
      again += 100'000;
    }
  }
  CHECK(again > 9'000'000);
  CHECK(again < 12'000'000);
}

TEST_CASE("a block waits while any sink of the last two hours can't decode it", "[agent][receipts]") {
  SinkAbilities abilities({"hpc"});
  const BlockNeeds block{0, 2, 0b101};
  CHECK(abilities.who_cannot(block, 0).empty());
  foreframe::wire::SinkAbility ability;
  ability.set_destination("hpc");
  ability.set_sink("a");
  ability.set_block_minor(2);
  ability.set_block_features(0b111);
  abilities.note(ability, 0);
  CHECK(abilities.who_cannot(block, 0).empty());
  ability.set_sink("b");
  ability.set_block_minor(1);
  abilities.note(ability, 0);
  CHECK(abilities.who_cannot(block, kSecond).find("sink b") != std::string::npos);
  CHECK(abilities.who_cannot(block, 2 * 3600 * kSecond + 1).empty());  // gone
  ability.set_block_minor(2);
  ability.set_block_features(0b001);
  abilities.note(ability, kSecond);
  CHECK_FALSE(abilities.who_cannot(block, kSecond).empty());
  ability.set_destination("elsewhere");
  ability.set_sink("c");
  abilities.note(ability, kSecond);
  CHECK(abilities.who_cannot({0, 2, 1}, kSecond).empty());
}
