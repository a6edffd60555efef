// SPDX-License-Identifier: Apache-2.0
// Ends of the link that fall silent, stop, come back.
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "common/transport/link.hpp"
#include "tests/unit/transport/link_ends.hpp"

namespace ff::transport {

using namespace link_test;

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

}  // namespace ff::transport
