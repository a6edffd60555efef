// SPDX-License-Identifier: Apache-2.0
#include "common/transport/link.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>
#include <zmq.h>

#include <catch2/catch.hpp>

#include "common/transport/link_socket.hpp"

namespace ff::transport {
namespace {

namespace wire = foreframe::wire;
using std::chrono::milliseconds;

LinkReceiverOptions receiver_options() {
  LinkReceiverOptions options;
  options.collector = "collector-1";
  options.listen = "tcp://127.0.0.1:*";
  options.heartbeat = milliseconds(20);
  options.agent_timeout = milliseconds(300);
  return options;
}

std::unique_ptr<LinkReceiver> open_receiver(const LinkReceiverOptions& options = receiver_options()) {
  auto receiver = LinkReceiver::open(options);
  if (!receiver.ok()) FAIL(receiver.error().message);
  (*receiver)->set_partition_count(4);
  return std::move(receiver).value();
}

std::unique_ptr<LinkSender> open_sender(const std::vector<std::string>& collectors,
                                        const std::string& agent = "agent-1",
                                        milliseconds collector_timeout = milliseconds(300)) {
  LinkSenderOptions options;
  options.agent = agent;
  options.collectors = collectors;
  options.heartbeat = milliseconds(20);
  options.collector_timeout = collector_timeout;
  auto sender = LinkSender::open(options);
  if (!sender.ok()) FAIL(sender.error().message);
  return std::move(sender).value();
}

wire::RecordId record_id(std::uint64_t sequence) {
  wire::RecordId id;
  id.set_detector("eiger");
  id.set_stream(1);
  id.set_epoch(7);
  id.set_sequence(sequence);
  return id;
}

Payload envelope_of(std::size_t bytes, std::uint64_t number = 0) {
  std::vector<std::byte> value(bytes);
  for (std::size_t i = 0; i < bytes; ++i) value[i] = static_cast<std::byte>(number + i * 13);
  return Payload::own(std::move(value));
}

/// Turns both ends until `done`, 5 s at most.
void turn(LinkSender& sender, LinkReceiver& receiver, const std::function<bool()>& done,
          const std::function<void(const ReceivedEnvelope&)>& on_envelope = {}) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!done()) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    sender.poll(milliseconds(1));
    while (const auto received = receiver.poll(milliseconds(1)))
      if (on_envelope) on_envelope(*received);
  }
}

/// A peer that speaks raw ZeroMQ.
struct RawPeer {
  LinkSocket socket;
  explicit RawPeer(const std::string& address) {
    REQUIRE(socket.open(ZMQ_DEALER).ok());
    REQUIRE(socket.connect(address).ok());
  }
  void send(const std::vector<std::string>& parts) {
    for (std::size_t i = 0; i < parts.size(); ++i)
      REQUIRE(socket.send_copy(as_bytes(parts[i]), i + 1 < parts.size()));
  }
  void hello(const std::string& agent) {
    wire::LinkMessage message;
    message.mutable_hello()->set_protocol(1);
    message.mutable_hello()->set_agent(agent);
    send({message.SerializeAsString()});
  }
};

wire::RecordSet stream_set(std::uint32_t stream) {
  wire::RecordSet set;
  set.set_series_uid(std::string(16, 'u'));
  set.set_detector("eiger");
  set.set_stream(stream);
  return set;
}

void add_range(wire::RecordSet& set, std::uint64_t first, std::uint64_t count) {
  wire::WindowRange& range = *set.add_windows();
  range.set_first(first);
  range.set_count(count);
}

std::string record_message(std::uint64_t sequence) {
  wire::LinkMessage message;
  *message.mutable_record() = record_id(sequence);
  return message.SerializeAsString();
}

/// Lets the receiver read until `done`, 5 s at most.
void serve(LinkReceiver& receiver, const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!done()) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    static_cast<void>(receiver.poll(milliseconds(5)));
  }
}

}  // namespace

TEST_CASE("HELLO names positions, WELCOME gives credit and partitions", "[link]") {
  const auto receiver = open_receiver();
  const auto sender = open_sender({receiver->address()});
  wire::Hello heard;
  wire::Welcome welcome;
  receiver->on_hello = [&](const PeerId&, const wire::Hello& hello) { heard = hello; };
  sender->on_welcome = [&](const wire::Welcome& w) { welcome = w; };
  sender->positions = [] {
    wire::StreamPosition position;
    position.set_detector("eiger");
    position.set_first_unacknowledged_sequence(42);
    return std::vector{position};
  };
  CHECK_FALSE(sender->can_send(1));
  CHECK(sender->send(record_id(1), envelope_of(10)).error().code == Errc::disconnected);
  turn(*sender, *receiver, [&] { return sender->connected(); });
  CHECK(heard.agent() == "agent-1");
  REQUIRE(heard.positions_size() == 1);
  CHECK(heard.positions(0).first_unacknowledged_sequence() == 42);
  CHECK(welcome.collector() == "collector-1");
  CHECK(welcome.partition_count() == 4);
  CHECK(welcome.credit_bytes() == 64u << 20);
  CHECK(receiver->peer_count() == 1);
}

TEST_CASE("envelopes arrive whole and in order; credit holds the agent until they are acknowledged",
          "[link]") {
  auto options = receiver_options();
  options.credit_bytes = 3'000'000;
  const auto receiver = open_receiver(options);
  const auto sender = open_sender({receiver->address()});
  std::vector<std::uint64_t> acknowledged, received;
  std::vector<ReceivedEnvelope> held;
  sender->on_acknowledged = [&](const wire::RecordId& id) { acknowledged.push_back(id.sequence()); };
  turn(*sender, *receiver, [&] { return sender->connected(); });
  std::uint64_t sent = 0;
  while (sender->can_send(1'000'000)) {
    REQUIRE(sender->send(record_id(sent), envelope_of(1'000'000, sent)).ok());
    ++sent;
  }
  CHECK(sent == 3);
  CHECK(sender->send(record_id(9), envelope_of(1'000'000)).error().code == Errc::queue_full);
  const auto keep = [&](const ReceivedEnvelope& r) { held.push_back(r); };
  turn(
      *sender, *receiver, [&] { return held.size() == 3; }, keep);
  CHECK(acknowledged.empty());
  for (std::uint64_t n = 0; n < 3; ++n) {
    CHECK(held[n].id.sequence() == n);
    const Payload expected = envelope_of(1'000'000, n);
    CHECK(std::equal(expected.bytes().begin(), expected.bytes().end(), held[n].envelope.bytes().begin()));
    receiver->acknowledge(held[n].peer, held[n].id);
  }
  turn(*sender, *receiver, [&] { return acknowledged.size() == 3; });
  CHECK(sender->can_send(3'000'000));
  CHECK(sender->send(record_id(3), envelope_of(5'000'000)).ok());  // one envelope always fits
}

TEST_CASE("sending copies nothing, and the payload is let go once it is out", "[link]") {
  const auto receiver = open_receiver();
  const auto sender = open_sender({receiver->address()});
  turn(*sender, *receiver, [&] { return sender->connected(); });
  Payload envelope = envelope_of(2'000'000);
  const std::weak_ptr<const void> owner = envelope.owner();
  REQUIRE(sender->send(record_id(1), envelope).ok());
  envelope = {};
  bool came = false;
  turn(
      *sender, *receiver, [&] { return came && owner.expired(); }, [&](const auto&) { came = true; });
}

TEST_CASE("a refused record comes back with code and reason and frees its credit", "[link]") {
  auto options = receiver_options();
  options.credit_bytes = 100;
  const auto receiver = open_receiver(options);
  const auto sender = open_sender({receiver->address()});
  wire::Refuse refused;
  sender->on_refused = [&](const wire::Refuse& r) { refused = r; };
  turn(*sender, *receiver, [&] { return sender->connected(); });
  REQUIRE(sender->send(record_id(5), envelope_of(90)).ok());
  CHECK_FALSE(sender->can_send(20));
  turn(
      *sender, *receiver, [&] { return refused.has_record(); },
      [&](const ReceivedEnvelope& r) {
        receiver->refuse(r.peer, r.id, Error{Errc::malformed, "no envelope"});
      });
  CHECK(refused.record().sequence() == 5);
  CHECK(refused.code() == "malformed");
  CHECK(sender->can_send(100));
}

TEST_CASE("an agent moves on when its collector falls silent, and says what is not acknowledged", "[link]") {
  auto first = open_receiver();
  const auto second = open_receiver();
  const auto sender = open_sender({first->address(), second->address()});
  int welcomes = 0;
  sender->on_welcome = [&](const wire::Welcome&) { ++welcomes; };
  turn(*sender, *first, [&] { return welcomes == 1; });
  REQUIRE(sender->send(record_id(1), envelope_of(10)).ok());
  // The first is there but reads and says nothing any more, like a hung process.
  turn(*sender, *second, [&] { return welcomes == 2; });
  CHECK(sender->peer() == second->address());
  CHECK(sender->can_send(64 << 20));  // what was under way is to be sent again
}

TEST_CASE("a restarted collector is greeted again by itself", "[link]") {
  auto options = receiver_options();
  auto receiver = open_receiver(options);
  options.listen = receiver->address();
  const auto sender = open_sender({options.listen});
  int welcomes = 0;
  sender->on_welcome = [&](const wire::Welcome&) { ++welcomes; };
  turn(*sender, *receiver, [&] { return welcomes == 1; });
  receiver.reset();
  receiver = open_receiver(options);
  turn(*sender, *receiver, [&] { return welcomes == 2; });
}

TEST_CASE("a collector that can't take more keeps its agents by keep_alive()", "[link]") {
  const auto receiver = open_receiver();
  const auto sender = open_sender({receiver->address()});
  turn(*sender, *receiver, [&] { return sender->connected(); });
  const auto end = std::chrono::steady_clock::now() + milliseconds(500);  // longer than both time-outs
  while (std::chrono::steady_clock::now() < end) {
    receiver->keep_alive();
    sender->poll(milliseconds(5));
    REQUIRE(sender->connected());
  }
  std::string gone;
  receiver->on_gone = [&](const PeerId&, const std::string& reason) { gone = reason; };
  static_cast<void>(receiver->poll(milliseconds(0)));  // its heartbeats waited in the queue: not silence
  CHECK(gone.empty());
}

TEST_CASE("time-outs shorter than the other end's heartbeat don't part agent and collector", "[link]") {
  auto options = receiver_options();
  options.heartbeat = milliseconds(200);
  options.agent_timeout = milliseconds(60);
  const auto receiver = open_receiver(options);
  LinkSenderOptions mine;
  mine.agent = "hasty";
  mine.collectors = {receiver->address()};
  mine.heartbeat = milliseconds(150);
  mine.collector_timeout = milliseconds(60);
  auto sender = LinkSender::open(mine);
  REQUIRE(sender.ok());
  int welcomes = 0, gone = 0;
  (*sender)->on_welcome = [&](const wire::Welcome&) { ++welcomes; };
  receiver->on_gone = [&](const PeerId&, const std::string&) { ++gone; };
  turn(**sender, *receiver, [&] { return (*sender)->connected(); });
  const int first = welcomes;
  const auto end = std::chrono::steady_clock::now() + milliseconds(700);
  turn(**sender, *receiver, [&] { return std::chrono::steady_clock::now() > end; });
  CHECK(welcomes == first);
  CHECK(gone == 0);
  for (const std::uint32_t told : {0u, 20u, 4'000'000'000u})  // however much the other end claims
    CHECK(silence_allowed(milliseconds(50), told) <= std::chrono::minutes(3));
}

TEST_CASE("an agent that was paused reads first, and does not take its own pause for the collector's",
          "[link]") {
  const auto receiver = open_receiver();
  const auto sender = open_sender({receiver->address()});
  int welcomes = 0;
  sender->on_welcome = [&](const wire::Welcome&) { ++welcomes; };
  turn(*sender, *receiver, [&] { return sender->connected(); });
  const auto end = std::chrono::steady_clock::now() + milliseconds(500);  // longer than collector_timeout
  while (std::chrono::steady_clock::now() < end) {
    receiver->keep_alive();
    std::this_thread::sleep_for(milliseconds(5));
  }
  sender->poll(milliseconds(5));
  CHECK(sender->connected());
  CHECK(welcomes == 1);
}

TEST_CASE("an agent that is silent or says bye is forgotten", "[link]") {
  const auto receiver = open_receiver();
  std::vector<std::string> gone;
  receiver->on_gone = [&](const PeerId&, const std::string& reason) { gone.push_back(reason); };
  const auto sender = open_sender({receiver->address()});
  turn(*sender, *receiver, [&] { return sender->connected(); });
  sender->say_bye("stopped by operator");
  serve(*receiver, [&] { return gone.size() == 1; });
  CHECK(gone[0] == "bye: stopped by operator");
  RawPeer silent(receiver->address());
  silent.hello("silent");
  serve(*receiver, [&] { return receiver->peer_count() == 1; });
  serve(*receiver, [&] { return gone.size() == 2; });
  CHECK(gone[1] == "silent for too long");
}

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

TEST_CASE("an agent asks about records and is told, in messages of bounded size", "[link]") {
  const auto receiver = open_receiver();
  const auto sender = open_sender({receiver->address()});
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
  const auto receiver = open_receiver();
  const auto sender = open_sender({receiver->address()});
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

TEST_CASE("agents share the collector's memory: each one's credit shrinks as others join", "[link]") {
  auto options = receiver_options();
  options.credit_bytes = 3'000'000;
  options.credit_total_bytes = 4'000'000;
  options.agent_timeout = milliseconds(60'000);  // only one of the two is turned at a time
  const auto receiver = open_receiver(options);
  const auto first = open_sender({receiver->address()}, "one", milliseconds(60'000));
  turn(*first, *receiver, [&] { return first->connected(); });
  REQUIRE(first->send(record_id(1), envelope_of(10)).ok());
  CHECK(first->can_send(2'900'000));
  {
    const auto second = open_sender({receiver->address()}, "two", milliseconds(60'000));
    turn(*second, *receiver, [&] { return second->connected(); });
    REQUIRE(second->send(record_id(1), envelope_of(10)).ok());
    CHECK_FALSE(second->can_send(2'900'000));
    CHECK(second->can_send(1'900'000));
    turn(*first, *receiver, [&] { return !first->can_send(2'900'000); });
    CHECK(first->can_send(1'900'000));
    second->say_bye("done");
  }
  turn(*first, *receiver, [&] { return first->can_send(2'900'000); });
}

}  // namespace ff::transport
