// SPDX-License-Identifier: Apache-2.0
// Peers that break the rules of the link, and settings that cannot be.
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "common/transport/link.hpp"
#include "tests/unit/transport/link_ends.hpp"

namespace ff::transport {

using namespace link_test;

TEST_CASE("hostile bytes are counted and dropped; a stranger is told to say HELLO", "[link]") {
  const auto receiver = open_receiver();
  std::vector<Errc> malformed;
  receiver->on_malformed = [&](const PeerId&, const Error& why) { malformed.push_back(why.code); };
  RawPeer peer(receiver->address());
  peer.send({"garbage that is no protobuf \xff\xff\xff"});
  peer.send({""});
  peer.send({record_message(1), "envelope before HELLO"});
  peer.send({"a", "b", "c", "d", "e"});
  wire::LinkMessage welcome;
  welcome.mutable_welcome();
  peer.hello("rude");
  peer.send({welcome.SerializeAsString()});
  peer.send({record_message(1)});            // without an envelope
  peer.send({record_message(1), "x", "y"});  // with one part too many
  serve(*receiver, [&] { return malformed.size() >= 7; });
  CHECK(receiver->peer_count() == 1);
  for (int i = 0; i < 8; ++i) peer.send({"more garbage"});
  serve(*receiver, [&] { return receiver->peer_count() == 0; });
}

TEST_CASE("an agent that sends beyond its credit is shown the door", "[link]") {
  auto options = receiver_options();
  options.credit_bytes = 1000;
  const auto receiver = open_receiver(options);
  std::string gone;
  receiver->on_gone = [&](const PeerId&, const std::string& reason) { gone = reason; };
  RawPeer peer(receiver->address());
  peer.hello("greedy");
  for (std::uint64_t n = 0; n < 3; ++n) peer.send({record_message(n), std::string(600, 'x')});
  serve(*receiver, [&] { return !gone.empty(); });
  CHECK_THAT(gone, Catch::Contains("more than its credit"));
}

TEST_CASE("an envelope above the limit never gets in", "[link]") {
  auto options = receiver_options();
  options.envelope_bytes_max = 2u << 20;
  const auto receiver = open_receiver(options);
  const auto sender = open_sender({receiver->address()});
  turn(*sender, *receiver, [&] { return sender->connected(); });
  CHECK(sender->send(record_id(1), envelope_of((2u << 20) + 1)).error().code == Errc::too_large);
  RawPeer peer(receiver->address());
  peer.hello("big");
  serve(*receiver, [&] { return receiver->peer_count() == 2; });
  peer.send({record_message(1), std::string(3u << 20, 'x')});  // ZeroMQ itself closes the connection
  for (int i = 0; i < 20; ++i) CHECK_FALSE(receiver->poll(milliseconds(5)).has_value());
}

TEST_CASE("agents beyond the limit are refused, a reconnecting one replaces itself", "[link]") {
  auto options = receiver_options();
  options.agents_max = 2;
  options.agent_timeout = std::chrono::seconds(60);
  const auto receiver = open_receiver(options);
  int refused = 0;
  receiver->on_malformed = [&](const PeerId&, const Error& why) { refused += why.code == Errc::refused; };
  RawPeer a(receiver->address()), b(receiver->address()), c(receiver->address()),
      a_again(receiver->address());
  a.hello("a");
  b.hello("b");
  serve(*receiver, [&] { return receiver->peer_count() == 2; });
  c.hello("c");
  serve(*receiver, [&] { return refused == 1; });
  a_again.hello("a");
  std::string gone;
  receiver->on_gone = [&](const PeerId&, const std::string& reason) { gone = reason; };
  serve(*receiver, [&] { return !gone.empty(); });
  CHECK_THAT(gone, Catch::Contains("replaced"));
  CHECK(receiver->peer_count() == 2);
  CHECK(refused == 1);
}

TEST_CASE("addresses that ZeroMQ can't use are named", "[link]") {
  auto options = receiver_options();
  options.listen = "tcp://nonsense";
  const auto receiver = LinkReceiver::open(options);
  REQUIRE_FALSE(receiver.ok());
  CHECK_THAT(receiver.error().message, Catch::Contains("tcp://nonsense"));
  LinkSenderOptions sender;
  sender.agent = "a";
  CHECK(LinkSender::open(sender).error().code == Errc::invalid_argument);
  sender.collectors = {"nonsense"};
  CHECK_FALSE(LinkSender::open(sender).ok());
}

TEST_CASE("hostile questions are malformed, hostile news cost themselves and not the connection", "[link]") {
  const auto receiver = open_receiver();
  std::vector<Errc> malformed;
  receiver->on_malformed = [&](const PeerId&, const Error& why) { malformed.push_back(why.code); };
  int watches = 0;
  receiver->on_watch = [&](const PeerId&, const wire::Watch&) { ++watches; };
  RawPeer peer(receiver->address());
  peer.hello("rude");
  wire::LinkMessage watch;
  *watch.mutable_watch()->add_records() = stream_set(1);
  wire::RecordSet& bad = *watch.mutable_watch()->add_records() = stream_set(1);
  add_range(bad, 10, 5);
  add_range(bad, 12, 5);  // overlaps
  peer.send({watch.SerializeAsString()});
  watch.mutable_watch()->mutable_records(1)->Clear();  // no uid
  peer.send({watch.SerializeAsString()});
  serve(*receiver, [&] { return malformed.size() == 2; });
  CHECK(malformed == std::vector<Errc>{Errc::malformed, Errc::malformed});
  CHECK(watches == 0);

  const auto sender = open_sender({receiver->address()});
  PeerId id;
  receiver->on_hello = [&](const PeerId& peer_id, const wire::Hello&) { id = peer_id; };
  turn(*sender, *receiver, [&] { return sender->connected(); });
  CHECK(sender->watch({bad}).error().code == Errc::malformed);
  wire::ReceiptNews news;
  news.add_receipts()->set_outcome(wire::Receipt::STORED);  // about nothing
  wire::Receipt& unknown = *news.add_receipts();
  *unknown.mutable_records() = stream_set(1);
  unknown.set_outcome(static_cast<wire::Receipt::Outcome>(77));
  wire::Receipt& good = *news.add_receipts();
  *good.mutable_records() = stream_set(1);
  good.set_outcome(wire::Receipt::REFUSED);
  news.add_abilities()->set_destination(std::string(65, 'x'));
  int dropped = 0, told = 0;
  sender->on_malformed = [&](const Error&) { ++dropped; };
  sender->on_news = [&](const wire::ReceiptNews& n) { told += n.receipts_size(); };
  CHECK(receiver->send_news(id, news));
  turn(*sender, *receiver, [&] { return told > 0; });
  CHECK(told == 1);
  CHECK(dropped == 3);
  CHECK(sender->connected());
}

}  // namespace ff::transport
