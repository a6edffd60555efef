// SPDX-License-Identifier: Apache-2.0
// What agents ask about their records, and what collectors tell them.
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "common/transport/link.hpp"
#include "tests/unit/transport/link_ends.hpp"

namespace ff::transport {

using namespace link_test;

TEST_CASE("an agent asks about records and is told, in messages of bounded size", "[link]") {
  LinkReceiverOptions patient = receiver_options();
  patient.agent_timeout =
      std::chrono::seconds(10);  // both ends are one thread, and a sanitizer makes it slow
  const auto receiver = open_receiver(patient);
  const auto sender = open_sender({receiver->address()}, "agent-1", std::chrono::seconds(10));
  CHECK(sender->watch({stream_set(1)}).error().code == Errc::disconnected);
  turn(*sender, *receiver, [&] { return sender->connected(); });

  wire::RecordSet asked = stream_set(1);
  asked.set_series_end(true);
  for (std::uint64_t i = 0; i < 50'000; ++i) add_range(asked, i * 1'000'000'000, 7);
  std::vector<wire::RecordSet> heard;
  receiver->on_watch = [&](const PeerId& peer, const wire::Watch& watch) {
    heard.insert(heard.end(), watch.records().begin(), watch.records().end());
    wire::ReceiptNews news;
    for (const auto& set : watch.records()) {
      wire::Receipt& receipt = *news.add_receipts();
      *receipt.mutable_records() = set;
      receipt.set_outcome(wire::Receipt::STORED);
      receipt.set_destination("store");
    }
    CHECK(receiver->send_news(peer, news));
  };
  int told = 0, ends = 0, messages = 0;
  sender->on_news = [&](const wire::ReceiptNews& news) {
    ++messages;
    for (const auto& receipt : news.receipts()) {
      CHECK(receipt.destination() == "store");
      told += receipt.records().windows_size();
      ends += receipt.records().series_end();
    }
  };
  REQUIRE(sender->watch({asked}).ok());
  turn(*sender, *receiver, [&] { return told == 50'000; });
  CHECK(ends == 1);
  CHECK(messages > 1);
  int windows = 0;
  for (const auto& set : heard) windows += set.windows_size();
  CHECK(windows == 50'000);
}

TEST_CASE("one receipt with more ranges than a message holds is told in pieces", "[link]") {
  LinkReceiverOptions patient = receiver_options();
  patient.agent_timeout =
      std::chrono::seconds(10);  // both ends are one thread, and a sanitizer makes it slow
  const auto receiver = open_receiver(patient);
  const auto sender = open_sender({receiver->address()}, "agent-1", std::chrono::seconds(10));
  PeerId peer;
  receiver->on_hello = [&](const PeerId& id, const wire::Hello&) { peer = id; };
  turn(*sender, *receiver, [&] { return sender->connected(); });
  wire::ReceiptNews news;
  for (int r = 0; r < 2; ++r) {
    wire::ReplayRequest& replay = *news.add_replays();
    *replay.mutable_records() = stream_set(3);
    replay.mutable_records()->set_series_start(true);
    for (std::uint64_t i = 0; i < 60'000; ++i) add_range(*replay.mutable_records(), i << 30, 1);
    replay.set_requester("sink-1");
  }
  CHECK(news.ByteSizeLong() > kLinkMessageBytesMax);
  int told = 0, starts = 0;
  sender->on_news = [&](const wire::ReceiptNews& n) {
    for (const auto& replay : n.replays()) {
      told += replay.records().windows_size();
      starts += replay.records().series_start();
    }
  };
  CHECK(receiver->send_news(peer, news));
  turn(*sender, *receiver, [&] { return told == 120'000; });
  CHECK(starts == 2);
  CHECK_FALSE(receiver->send_news("nobody", news));
}

}  // namespace ff::transport
