// SPDX-License-Identifier: Apache-2.0
#include "common/transport/link.hpp"

#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/transport/link_ends.hpp"

namespace ff::transport {

using namespace link_test;

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
  options.agent_timeout = std::chrono::seconds(10);  // one thread is both ends, and may be slow
  const auto receiver = open_receiver(options);
  const auto sender = open_sender({receiver->address()}, "agent-1", std::chrono::seconds(10));
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
