// SPDX-License-Identifier: Apache-2.0
#include "collector/receipts/receipt_table.hpp"

#include <map>
#include <string>

#include <catch2/catch.hpp>

#include "tests/unit/collector/receipt_samples.hpp"

namespace ff::collector {
namespace {

constexpr std::uint64_t kRoom = 64u << 20;

/// "destination outcome": windows
std::map<std::string, std::string> receipts_for(const ReceiptTable& table, const proto::RecordSet& asked) {
  proto::ReceiptNews news;
  table.answer(asked, news);
  std::map<std::string, std::string> known;
  for (const auto& said : news.receipts())
    known[said.destination() + " " + std::to_string(said.outcome())] = words_of(said.records());
  return known;
}

std::string replays_for(const ReceiptTable& table, const proto::RecordSet& asked) {
  proto::ReceiptNews news;
  table.answer(asked, news);
  return news.replays_size() == 0 ? "" : words_of(news.replays(0).records());
}

}  // namespace

TEST_CASE("an agent is answered what is known of its records, and no more", "[receipts]") {
  ReceiptTable table(kRoom);
  table.add(receipt(record_set(1, {{0, 4}, {8, 2}})));
  table.add(receipt(record_set(1, {{4, 1}})));
  table.add(receipt(record_set(1, {{3, 3}}), "archive"));
  table.add(receipt(record_set(2, {{0, 100}})));
  using Known = std::map<std::string, std::string>;
  CHECK(receipts_for(table, record_set(1, {{0, 100}})) ==
        Known{{"store 1", "0-5 8-10"}, {"archive 1", "3-6"}});
  CHECK(receipts_for(table, record_set(1, {{2, 1}, {9, 50}})) == Known{{"store 1", "2-3 9-10"}});
  CHECK(receipts_for(table, record_set(1, {{50, 5}})).empty());
  CHECK(receipts_for(table, record_set(1, {})).empty());
  CHECK(receipts_for(table, record_set(1, {{0, 9}}, 'v')).empty());  // another series
}

TEST_CASE("start and end of a series are told when they were asked for", "[receipts]") {
  ReceiptTable table(kRoom);
  auto start = record_set(1, {});
  start.set_series_start(true);
  table.add(receipt(start));
  auto asked = record_set(1, {});
  asked.set_series_start(true);
  asked.set_series_end(true);
  CHECK(receipts_for(table, asked).at("store 1") == " start");
  CHECK(receipts_for(table, record_set(1, {{0, 1}})).empty());
}

TEST_CASE("the first final outcome of a window at a destination stands", "[receipts]") {
  ReceiptTable table(kRoom);
  table.add(receipt(record_set(1, {{0, 4}})));
  table.add(receipt(record_set(1, {{2, 4}}), "store", proto::Receipt::DEAD_LETTERED));
  table.add(receipt(record_set(1, {{2, 4}}), "archive", proto::Receipt::REFUSED));
  const auto known = receipts_for(table, record_set(1, {{0, 10}}));
  CHECK(known.at("store 1") == "0-4");
  CHECK(known.at("store 2") == "4-6");
  CHECK(known.at("archive 3") == "2-6");
}

TEST_CASE("a replay request is open until a receipt follows", "[receipts]") {
  ReceiptTable table(kRoom);
  table.add(replay(record_set(1, {{0, 10}})));
  CHECK(replays_for(table, record_set(1, {{5, 100}})) == "5-10");
  table.add(receipt(record_set(1, {{0, 7}})));
  CHECK(replays_for(table, record_set(1, {{0, 100}})) == "7-10");
  table.add(receipt(record_set(1, {{7, 3}})));
  CHECK(replays_for(table, record_set(1, {{0, 100}})).empty());
}

TEST_CASE("what sinks can decode is told while it is fresh", "[receipts]") {
  ReceiptTable table(kRoom);
  table.add(ability("store-1"), 100);
  table.add(ability("store-2"), 200);
  table.add(ability("store-1"), 300);
  proto::ReceiptNews news;
  table.tell_abilities(250, news);
  REQUIRE(news.abilities_size() == 1);
  CHECK(news.abilities(0).sink() == "store-1");
}

TEST_CASE("the table stays within its memory and forgets the stream written longest ago", "[receipts]") {
  ReceiptTable table(1 << 20);
  for (std::uint64_t series = 0; series < 26; ++series)
    for (std::uint64_t w = 0; w < 2000; ++w) {  // every second window: nothing merges
      table.add(receipt(record_set(1, {{2 * w, 1}}, static_cast<char>('a' + series))));
      REQUIRE(table.bytes() <= 1 << 20);
    }
  CHECK(table.streams() < 26);
  CHECK(table.forgotten() == 26 - table.streams());
  CHECK(receipts_for(table, record_set(1, {{0, 4000}}, 'a')).empty());
  CHECK_FALSE(receipts_for(table, record_set(1, {{0, 4000}}, 'z')).empty());
}

}  // namespace ff::collector
