// SPDX-License-Identifier: Apache-2.0
//
// Both ends of a link with short time-outs, and a peer that speaks raw ZeroMQ, for the tests of the link.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>
#include <zmq.h>

#include <catch2/catch.hpp>

#include "common/transport/link.hpp"
#include "common/transport/link_socket.hpp"

namespace ff::transport::link_test {

namespace wire = foreframe::wire;
using std::chrono::milliseconds;

inline LinkReceiverOptions receiver_options() {
  LinkReceiverOptions options;
  options.collector = "collector-1";
  options.listen = "tcp://127.0.0.1:*";
  options.heartbeat = milliseconds(20);
  options.agent_timeout = milliseconds(300);
  return options;
}

inline std::unique_ptr<LinkReceiver> open_receiver(const LinkReceiverOptions& options = receiver_options()) {
  auto receiver = LinkReceiver::open(options);
  if (!receiver.ok()) FAIL(receiver.error().message);
  (*receiver)->set_partition_count(4);
  return std::move(receiver).value();
}

inline std::unique_ptr<LinkSender> open_sender(const std::vector<std::string>& collectors,
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

inline wire::RecordId record_id(std::uint64_t sequence) {
  wire::RecordId id;
  id.set_detector("eiger");
  id.set_stream(1);
  id.set_epoch(7);
  id.set_sequence(sequence);
  return id;
}

inline Payload envelope_of(std::size_t bytes, std::uint64_t number = 0) {
  std::vector<std::byte> value(bytes);
  for (std::size_t i = 0; i < bytes; ++i) value[i] = static_cast<std::byte>(number + i * 13);
  return Payload::own(std::move(value));
}

/// Turns both ends until `done`, 30 s at most: a sanitizer on a busy machine is slow.
inline void turn(LinkSender& sender, LinkReceiver& receiver, const std::function<bool()>& done,
                 const std::function<void(const ReceivedEnvelope&)>& on_envelope = {}) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
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

inline wire::RecordSet stream_set(std::uint32_t stream) {
  wire::RecordSet set;
  set.set_series_uid(std::string(16, 'u'));
  set.set_detector("eiger");
  set.set_stream(stream);
  return set;
}

inline void add_range(wire::RecordSet& set, std::uint64_t first, std::uint64_t count) {
  wire::WindowRange& range = *set.add_windows();
  range.set_first(first);
  range.set_count(count);
}

inline std::string record_message(std::uint64_t sequence) {
  wire::LinkMessage message;
  *message.mutable_record() = record_id(sequence);
  return message.SerializeAsString();
}

/// Lets the receiver read until `done`, 30 s at most: a sanitizer on a busy machine is slow.
inline void serve(LinkReceiver& receiver, const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!done()) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    static_cast<void>(receiver.poll(milliseconds(5)));
  }
}

}  // namespace ff::transport::link_test
