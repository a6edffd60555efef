// SPDX-License-Identifier: Apache-2.0
//
// The link: agent (ZeroMQ DEALER) to collector (ROUTER), both ends side by side.
//
// Data path  spool > [LinkSender] ~~~ [LinkReceiver] > admit
// Dialogue   docs/formats/link.md: HELLO, WELCOME with credit, envelopes, acknowledgements when the log has
//            them, heartbeats both ways; and on the way back what the log says about records: the agent
//            watches streams, the collector tells. Nothing is freed at the agent before it is acknowledged.
// Each end belongs to one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/payload.hpp"
#include "common/base/result.hpp"
#include "common/wire/link.pb.h"

namespace ff::transport {

struct LinkSenderOptions {
  std::string agent;                    ///< name, unique at the facility
  std::vector<std::string> collectors;  ///< "tcp://127.0.0.1:5555"; tried in turn
  std::chrono::nanoseconds heartbeat = std::chrono::seconds(1);
  std::chrono::nanoseconds collector_timeout = std::chrono::seconds(5);  ///< silence, then the next collector
};

class LinkSender {
 public:
  [[nodiscard]] static Result<std::unique_ptr<LinkSender>> open(const LinkSenderOptions& options);
  ~LinkSender();

  /// Positions named in HELLO; called at every (re)connection.
  std::function<std::vector<foreframe::wire::StreamPosition>()> positions;
  std::function<void(const foreframe::wire::RecordId&)> on_acknowledged;
  std::function<void(const foreframe::wire::Refuse&)> on_refused;
  /// A collector took over: everything unacknowledged must be sent again.
  std::function<void(const foreframe::wire::Welcome&)> on_welcome;
  /// Receipts, replay requests, abilities: answers to watch(), then what comes. Checked (check_receipt and its
  /// kin); the same news may come more than once, and a receipt before its record's acknowledgement.
  std::function<void(const foreframe::wire::ReceiptNews&)> on_news;
  /// The collector misses these: what is still there and not acknowledged should be sent again.
  std::function<void(const foreframe::wire::SequenceRange&)> on_missing;
  /// A piece of news that breaks the rules: dropped, the connection stays.
  std::function<void(const Error&)> on_malformed;

  /// Asks for all that is known about these records, and for all news of their streams from now on. A collector
  /// keeps no memory of it beyond the connection: call again after every on_welcome, and from time to time for
  /// records whose receipt is overdue (news may be lost when the agent is slow). An empty RecordSet of a
  /// stream (no windows, start or end) asks for news only. Any length: sent as several messages.
  /// Errors: disconnected, queue_full (half may be sent; call again), malformed (a set breaks the rules; nothing sent).
  [[nodiscard]] Status watch(const std::vector<foreframe::wire::RecordSet>& records);

  /// True when connected and credit allows `bytes` more under way (one envelope always fits).
  [[nodiscard]] bool can_send(std::size_t bytes) const;
  /// Sends without copying. Errors: queue_full (no credit), disconnected.
  [[nodiscard]] Status send(const foreframe::wire::RecordId& id, const Payload& envelope);
  /// Receives what has come, keeps heartbeats and time-outs; waits at most `timeout`.
  void poll(std::chrono::nanoseconds timeout);
  [[nodiscard]] bool connected() const;
  [[nodiscard]] std::string peer() const;  ///< address of the collector in use
  void say_bye(const std::string& reason);

 private:
  LinkSender();
  struct Body;
  std::unique_ptr<Body> body_;
};

struct LinkReceiverOptions {
  std::string collector;
  std::string listen = "tcp://127.0.0.1:5555";
  std::uint64_t credit_bytes = 64ull << 20;  ///< per agent, at most
  /// For all agents together: each gets at most an equal share of it, so that a slow log and many agents don't
  /// fill the memory. One envelope of each may always be under way.
  std::uint64_t credit_total_bytes = 1ull << 30;
  std::uint64_t envelope_bytes_max = 256ull << 20;
  std::uint32_t agents_max = 1024;
  std::chrono::nanoseconds heartbeat = std::chrono::seconds(1);
  std::chrono::nanoseconds agent_timeout = std::chrono::seconds(10);
};

/// An agent as the collector knows it; opaque and short-lived.
using PeerId = std::string;

struct ReceivedEnvelope {
  PeerId peer;
  foreframe::wire::RecordId id;
  Payload envelope;  ///< lives in the ZeroMQ message
};

class LinkReceiver {
 public:
  [[nodiscard]] static Result<std::unique_ptr<LinkReceiver>> open(const LinkReceiverOptions& options);
  ~LinkReceiver();

  std::function<void(const PeerId&, const foreframe::wire::Hello&)> on_hello;
  std::function<void(const PeerId&, const std::string& reason)> on_gone;  ///< bye or time-out
  /// Each set is checked.
  std::function<void(const PeerId&, const foreframe::wire::Watch&)> on_watch;
  std::function<void(const PeerId&, const Error&)>
      on_malformed;  ///< hostile or broken bytes: counted, dropped

  /// Told to agents in WELCOME.
  void set_partition_count(std::uint32_t partitions);
  /// The next envelope, or nothing after `timeout`; keeps heartbeats and time-outs.
  [[nodiscard]] std::optional<ReceivedEnvelope> poll(std::chrono::nanoseconds timeout);
  /// Sends gathered acknowledgements and heartbeats without reading: for a collector that must not take more
  /// at the moment, so that its agents don't think it dead.
  void keep_alive();
  void acknowledge(const PeerId& peer, const foreframe::wire::RecordId& id);
  void refuse(const PeerId& peer, const foreframe::wire::RecordId& id, const Error& why);
  /// Any length: sent as several messages. False when the peer is gone or reads too slowly; what was not sent is
  /// dropped, the agent asks again.
  bool send_news(const PeerId& peer, const foreframe::wire::ReceiptNews& news);
  /// Asks for records that should have come. False as with send_news().
  bool send_missing(const PeerId& peer, const foreframe::wire::Missing& missing);
  [[nodiscard]] std::size_t peer_count() const;
  /// The address really bound (a port of 0 or * was replaced).
  [[nodiscard]] std::string address() const;

 private:
  LinkReceiver();
  struct Body;
  std::unique_ptr<Body> body_;
};

}  // namespace ff::transport
