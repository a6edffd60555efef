// SPDX-License-Identifier: Apache-2.0
#include "agent/ingest/zmq_pull.hpp"

#include <array>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>
#include <zmq.h>

#include <catch2/catch.hpp>

namespace ff::agent {
namespace {

using std::chrono::milliseconds;

/// A detector that binds, as most do.
struct Detector {
  void* context = zmq_ctx_new();
  void* socket = nullptr;
  std::string address = "tcp://127.0.0.1:*";

  Detector() { open(); }
  ~Detector() {
    close();
    zmq_ctx_term(context);
  }
  void open() {
    socket = zmq_socket(context, ZMQ_PUSH);
    const int linger = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    for (int i = 0; i < 200 && zmq_bind(socket, address.c_str()) != 0; ++i)
      std::this_thread::sleep_for(milliseconds(10));
    std::array<char, 128> text{};
    std::size_t bytes = text.size();
    REQUIRE(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, text.data(), &bytes) == 0);
    address = text.data();
  }
  void close() { zmq_close(socket); }
  void send(std::size_t bytes) {
    const std::vector<char> message(bytes);
    const int patience = 5000;
    zmq_setsockopt(socket, ZMQ_SNDTIMEO, &patience, sizeof patience);
    REQUIRE(zmq_send(socket, message.data(), message.size(), 0) == static_cast<int>(bytes));
  }
};

std::unique_ptr<ZmqPull> connect(const Detector& detector) {
  ZmqPullOptions options;
  options.address = detector.address;
  options.message_bytes_max = 100'000;
  auto pull = ZmqPull::open(options);
  REQUIRE(pull.ok());
  return std::move(*pull);
}

/// Bytes of the next message, or the error's code; 10 s at most.
std::string next(ZmqPull& pull) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < deadline) {
    auto message = pull.receive(milliseconds(20));
    if (!message.ok()) return std::string(to_string(message.error().code));
    if (message->has_value()) return std::to_string((**message)[0].size());
  }
  return "nothing";
}

}  // namespace

TEST_CASE("a message above the limit is named, and the next one received", "[ingest]") {
  Detector detector;
  const auto pull = connect(detector);
  detector.send(1000);
  CHECK(next(*pull) == "1000");
  detector.send(150'000);
  CHECK(next(*pull) == "too_large");
  detector.send(2000);
  CHECK(next(*pull) == "2000");
}

TEST_CASE("a message so large that ZeroMQ cuts the connection is named too, and the connection made anew",
          "[ingest]") {
  Detector detector;
  const auto pull = connect(detector);
  for (int round = 0; round < 2; ++round) {
    detector.send(1000);
    CHECK(next(*pull) == "1000");
    detector.send(5'000'000);
    CHECK(next(*pull) == "too_large");
  }
  detector.send(2000);
  CHECK(next(*pull) == "2000");
}

TEST_CASE("a detector that goes and comes back is no error", "[ingest]") {
  Detector detector;
  const auto pull = connect(detector);
  detector.send(1000);
  CHECK(next(*pull) == "1000");
  detector.close();
  for (int i = 0; i < 25; ++i) CHECK(pull->receive(milliseconds(20)).ok());
  detector.open();
  detector.send(3000);
  CHECK(next(*pull) == "3000");
}

}  // namespace ff::agent
