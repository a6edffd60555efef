// SPDX-License-Identifier: Apache-2.0
//
// What a LinkReceiver knows of its agents. Everything a peer can make us hold is bounded: peers by number, message
// sizes by ZeroMQ, unacknowledged bytes by credit; who breaks the rules is told BYE and forgotten.
// Private to common/transport.
//
// link_receiver.cpp        the socket, the poll loop, what the collector says to agents
// link_receiver_peers.cpp  agents come, go, are told their credit and kept alive
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/transport/link.hpp"
#include "common/transport/link_socket.hpp"

namespace ff::transport {

struct LinkPeer {
  std::string agent;
  std::uint64_t under_way_bytes = 0;
  std::map<std::string, std::uint64_t> under_way;  ///< serialized RecordId: envelope bytes
  foreframe::wire::Acknowledge acknowledgements;   ///< gathered, sent at the next poll()
  std::uint32_t malformed = 0;
  std::uint64_t told_credit_bytes = 0;
  std::chrono::nanoseconds patience{0};
  std::int64_t last_heard_ns = 0;
  std::int64_t last_sent_ns = 0;
};

struct LinkReceiver::Body {
  LinkReceiver* self = nullptr;
  LinkReceiverOptions options;
  LinkSocket socket;
  std::map<PeerId, LinkPeer> peers;
  std::uint32_t partition_count = 0;
  std::int64_t next_timers_ns = 0;

  bool send(const PeerId& id, const foreframe::wire::LinkMessage& message);
  void say_bye(const PeerId& id, const std::string& reason);
  void forget(const PeerId& id, const std::string& reason);
  void malformed(const PeerId& id, const Error& why);
  void greet(const PeerId& id, const foreframe::wire::Hello& hello);
  void settle(LinkPeer& peer, const foreframe::wire::RecordId& record);
  void watch(const PeerId& id, const foreframe::wire::Watch& watch);
  [[nodiscard]] std::uint64_t credit_share() const;
  void share_credit(const PeerId& newcomer);
  void send_acknowledgements(const PeerId& id, LinkPeer& peer);
  void keep_alive();
  void forget_silent();
  std::optional<ReceivedEnvelope> handle(std::vector<Payload> parts, bool too_many);
  std::optional<ReceivedEnvelope> take_record(const PeerId& id, LinkPeer& peer,
                                              const foreframe::wire::RecordId& record, Payload envelope);
};

}  // namespace ff::transport
