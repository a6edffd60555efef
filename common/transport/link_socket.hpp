// SPDX-License-Identifier: Apache-2.0
//
// ZeroMQ as the link needs it: a context and socket that close themselves, options with checked sizes, and
// messages sent from and received into Payloads without a copy. Private to common/transport.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>
#include <zmq.h>

#include "common/base/payload.hpp"
#include "common/base/result.hpp"
#include "common/wire/link.pb.h"

namespace ff::transport {

inline constexpr std::uint32_t kLinkProtocol = 1;
/// The most a LinkMessage may take: a HELLO with the positions of a large detector stays far below.
inline constexpr std::size_t kLinkMessageBytesMax = 1u << 20;

[[nodiscard]] std::uint32_t milliseconds_u32(std::chrono::nanoseconds duration) noexcept;
/// How long the other end may be silent: as configured, but never less than three of the heartbeats that it has
/// announced. Else two settings that don't fit make it look dead again and again.
[[nodiscard]] std::chrono::nanoseconds silence_allowed(std::chrono::nanoseconds configured,
                                                       std::uint32_t heartbeat_ms) noexcept;

/// "cannot bind tcp://…: Address already in use"
[[nodiscard]] Error zmq_error(const std::string& what);
[[nodiscard]] std::string software_name();

class LinkSocket {
 public:
  LinkSocket() = default;
  LinkSocket(const LinkSocket&) = delete;
  LinkSocket& operator=(const LinkSocket&) = delete;
  ~LinkSocket();

  /// A new socket of `type`; an old one is closed at once, its unsent messages dropped.
  [[nodiscard]] Status open(int type);
  void close(std::chrono::nanoseconds linger = std::chrono::nanoseconds(0));
  [[nodiscard]] bool is_open() const noexcept { return socket_ != nullptr; }

  [[nodiscard]] Status set(int option, int value);
  [[nodiscard]] Status set_i64(int option, std::int64_t value);
  [[nodiscard]] Status bind(const std::string& address);
  [[nodiscard]] Status connect(const std::string& address);
  /// What bind() really took.
  [[nodiscard]] std::string bound_address() const;

  /// Sends one part; never waits. False when the peer's queue is full or the peer is gone.
  [[nodiscard]] bool send_copy(ByteSpan bytes, bool more);
  /// As send_copy(), but ZeroMQ reads the payload's own bytes and holds its owner until they are out.
  [[nodiscard]] bool send_payload(const Payload& payload, bool more);
  [[nodiscard]] bool send_message(const foreframe::wire::LinkMessage& message, bool more);

  /// Waits until something can be received.
  void wait(std::chrono::nanoseconds timeout);
  /// All parts of the next message, at most `parts_max` of them; the rest is received and dropped.
  /// Nothing when none has come. `too_many` tells whether parts were dropped.
  [[nodiscard]] std::optional<std::vector<Payload>> receive(std::size_t parts_max, bool& too_many);

 private:
  void* context_ = nullptr;
  void* socket_ = nullptr;
};

/// Errors: malformed, too_large.
[[nodiscard]] Result<foreframe::wire::LinkMessage> parse_link_message(ByteSpan bytes);

}  // namespace ff::transport
