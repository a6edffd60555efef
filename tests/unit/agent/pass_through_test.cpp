// SPDX-License-Identifier: Apache-2.0
//
// PassThrough: every message comes out byte for byte, on both sides; a side that stalls does what was chosen.
#include "agent/ingest/pass_through.hpp"

#include <chrono>
#include <iostream>
#include <random>
#include <string>
#include <vector>
#include <zmq.h>

#include <catch2/catch.hpp>

#include "common/base/check.hpp"
#include "common/base/clock.hpp"

using namespace ff;
using namespace ff::agent;
using namespace std::chrono_literals;

namespace {

using Parts = std::vector<std::string>;

/// A socket with a context of its own: another process, as far as ZeroMQ is concerned.
struct Peer {
  Peer(int type, const std::string& address, bool bind, int hwm = 1000) : context(zmq_ctx_new()) {
    socket = zmq_socket(context, type);
    const int timeout_ms = 5000, linger = 0;
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    zmq_setsockopt(socket, ZMQ_SNDTIMEO, &timeout_ms, sizeof timeout_ms);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &hwm, sizeof hwm);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &hwm, sizeof hwm);
    if (type == ZMQ_SUB) zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0);
    REQUIRE((bind ? zmq_bind(socket, address.c_str()) : zmq_connect(socket, address.c_str())) == 0);
    char text[256];
    std::size_t bytes = sizeof text;
    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, text, &bytes);
    endpoint = text;
  }
  ~Peer() {
    zmq_close(socket);
    zmq_ctx_term(context);
  }
  /// Without an assertion of its own: other threads call it too, and Catch's are for one.
  void send(const Parts& parts) const {
    for (std::size_t i = 0; i < parts.size(); ++i)
      FF_CHECK(zmq_send(socket, parts[i].data(), parts[i].size(), i + 1 < parts.size() ? ZMQ_SNDMORE : 0) >=
               0);
  }
  /// Empty after `timeout`.
  [[nodiscard]] Parts receive(int timeout_ms = 5000) const {
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    Parts parts;
    for (bool more = true; more;) {
      zmq_msg_t part;
      zmq_msg_init(&part);
      if (zmq_msg_recv(&part, socket, 0) < 0) return {};
      parts.emplace_back(static_cast<const char*>(zmq_msg_data(&part)), zmq_msg_size(&part));
      more = zmq_msg_more(&part) != 0;
      zmq_msg_close(&part);
    }
    return parts;
  }
  void* context;
  void* socket;
  std::string endpoint;
};

Parts some_message(std::mt19937& random) {
  Parts parts(1 + random() % 4);
  for (std::string& part : parts) {
    const std::size_t bytes[] = {0, random() % 30, random() % 2000, random() % 300'000};
    part.resize(bytes[random() % 4]);
    for (char& byte : part) byte = static_cast<char>(random());
  }
  return parts;
}

Parts ours(ZmqPull& pull) {
  const auto received = pull.receive(5s);
  Parts parts;
  if (!received.ok() || !received->has_value()) return parts;
  for (const Payload& part : **received) parts.emplace_back(as_text(part.bytes()));
  return parts;
}

/// Detector, consumer and our own end around a PassThrough.
struct Bench {
  explicit Bench(int consumer_type = ZMQ_PULL, bool wait = false, bool observe = false,
                 bool with_consumer = true)
      : metrics(registry), detector(ZMQ_PUSH, "tcp://127.0.0.1:*", true, 10) {
    PassThroughOptions options;
    options.source.address = detector.endpoint;
    options.address = "tcp://127.0.0.1:*";
    options.publish = consumer_type == ZMQ_SUB;
    options.queue_messages = 10;
    options.wait_when_stalled = wait;
    options.observe = observe;
    options.bind = false;
    consumer = std::make_unique<Peer>(consumer_type, "tcp://127.0.0.1:*", true, 10);
    options.address = with_consumer ? consumer->endpoint : "tcp://127.0.0.1:9";
    tap = std::move(PassThrough::open(options, metrics).value());
    pull = std::move(ZmqPull::open(tap->inner()).value());
    if (with_consumer) wait_for_consumer();
  }
  /// Until the consumer is connected, and its subscription known, messages are dropped by right.
  void wait_for_consumer() {
    for (bool heard = false; !heard;) {
      detector.send({"probe"});
      REQUIRE(ours(*pull) == Parts{"probe"});
      heard = !consumer->receive(50).empty();
    }
    while (!consumer->receive(50).empty()) {
    }
    dropped_before = metrics.count(Fault::passthrough_dropped);
  }
  [[nodiscard]] std::uint64_t dropped() const {
    return metrics.count(Fault::passthrough_dropped) - dropped_before;
  }

  std::uint64_t dropped_before = 0;
  service::Metrics registry{"agent"};
  AgentMetrics metrics;
  Peer detector;
  std::unique_ptr<Peer> consumer;
  std::unique_ptr<PassThrough> tap;
  std::unique_ptr<ZmqPull> pull;
};

}  // namespace

TEST_CASE("every message passes through byte for byte, part by part, in order", "[agent][passthrough]") {
  const int type = GENERATE(ZMQ_PULL, ZMQ_SUB);
  Bench bench(type);
  std::mt19937 random(7);
  for (int i = 0; i < 300; ++i) {
    const Parts message = some_message(random);
    bench.detector.send(message);
    const bool same = bench.consumer->receive() == message;  // not kilobytes of noise in the report
    REQUIRE(same);
    const bool same_for_us = ours(*bench.pull) == message;
    REQUIRE(same_for_us);
  }
  CHECK(bench.dropped() == 0);
}

TEST_CASE("a consumer that is away costs nothing but a count, when that was chosen", "[agent][passthrough]") {
  Bench bench(ZMQ_PULL, false, false, false);
  std::mt19937 random(8);
  for (int i = 0; i < 100; ++i) {
    const Parts message = some_message(random);
    bench.detector.send(message);
    REQUIRE(ours(*bench.pull) == message);
  }
  const auto counted = [&] {
    return static_cast<double>(bench.metrics.count(Fault::passthrough_dropped)) +
           bench.metrics.passthrough_messages.value();
  };
  for (int i = 0; i < 5000 && counted() < 100; ++i) std::this_thread::sleep_for(1ms);
  CHECK(counted() == 100);
  CHECK(bench.metrics.count(Fault::passthrough_dropped) >= 80);  // all but what its queue holds
}

TEST_CASE("with wait a stalled consumer stops the detector, and nothing is lost", "[agent][passthrough]") {
  Bench bench(ZMQ_PULL, true);
  const std::string pixels(400'000, 'x');
  std::atomic<int> right{0};
  std::thread reader([&] {
    for (int i = 0; i < 400; ++i) right += ours(*bench.pull) == Parts{std::to_string(i), pixels} ? 1 : 0;
  });
  std::atomic<int> sent{0};
  std::thread sender([&] {
    for (int i = 0; i < 400; ++i, ++sent) {
      bench.detector.send({std::to_string(i), pixels});
    }
  });
  std::this_thread::sleep_for(500ms);
  CHECK(sent.load() < 400);  // queues and socket buffers are full
  for (int i = 0; i < 400; ++i) REQUIRE(bench.consumer->receive() == Parts{std::to_string(i), pixels});
  sender.join();
  reader.join();
  CHECK(right == 400);
  CHECK(bench.dropped() == 0);
}

TEST_CASE("an agent that observes and is stuck holds up neither detector nor consumer",
          "[agent][passthrough]") {
  Bench bench(ZMQ_PULL, false, true);
  const std::string pixels(100'000, 'x');
  for (int i = 0; i < 100; ++i) {
    bench.detector.send({std::to_string(i), pixels});
    const bool same = bench.consumer->receive() == Parts{std::to_string(i), pixels};  // not 100 kB of message
    REQUIRE(same);
  }
  CHECK(bench.metrics.count(Fault::observe_skipped) >= 70);
  CHECK(ours(*bench.pull).at(0) == "0");  // what we did take is whole
}

TEST_CASE("after finish() what has come still passes", "[agent][passthrough]") {
  Bench bench;
  bench.detector.send({"a", "b"});
  CHECK(bench.consumer->receive() == Parts{"a", "b"});
  bench.tap->finish();
  while (!bench.tap->finished()) std::this_thread::sleep_for(1ms);
  CHECK(ours(*bench.pull) == Parts{"a", "b"});
}

TEST_CASE("what passing through costs", "[.bench]") {
  const std::string pixels(4 << 20, 'x');
  constexpr int kMessages = 1500;
  const auto rate = [&](bool through) {
    Bench bench;
    std::unique_ptr<ZmqPull> direct;
    Peer detector(ZMQ_PUSH, "tcp://127.0.0.1:*", true, 10);
    if (!through) {
      ZmqPullOptions options;
      options.address = detector.endpoint;
      direct = std::move(ZmqPull::open(options).value());
    }
    const Peer& from = through ? bench.detector : detector;
    ZmqPull& to = through ? *bench.pull : *direct;
    std::thread sender([&] {
      for (int i = 0; i < kMessages; ++i) from.send({"header", pixels});
    });
    std::atomic<bool> over{false};
    std::atomic<int> passed{0};
    std::thread consumer([&] {
      while (through && !over) passed += bench.consumer->receive(100).empty() ? 0 : 1;
    });
    const std::int64_t begin = monotonic_now_ns();
    for (int i = 0; i < kMessages; ++i) REQUIRE_FALSE(ours(to).empty());
    const double seconds = static_cast<double>(monotonic_now_ns() - begin) * 1e-9;
    sender.join();
    over = true;
    consumer.join();
    std::cout << (through ? "through: " : "direct:  ") << kMessages * 4.194304e-3 / seconds << " GB/s, "
              << passed << " of " << kMessages << " messages passed through\n";
  };
  for (int i = 0; i < 3; ++i) {
    rate(false);
    rate(true);
  }
}
