// SPDX-License-Identifier: Apache-2.0
#include "common/transport/link_socket.hpp"

#include <algorithm>
#include <array>
#include <memory>

#include "common/base/check.hpp"
#include "common/wire/protobuf_bytes.hpp"

namespace ff::transport {
namespace {

void release_payload(void* /*bytes*/, void* hint) { delete static_cast<Payload*>(hint); }

/// Owns a received ZeroMQ message; a Payload points into it.
struct ReceivedPart {
  zmq_msg_t message;
  ReceivedPart() { zmq_msg_init(&message); }
  ReceivedPart(const ReceivedPart&) = delete;
  ReceivedPart& operator=(const ReceivedPart&) = delete;
  ~ReceivedPart() { zmq_msg_close(&message); }
};

Payload payload_of(const std::shared_ptr<ReceivedPart>& part) {
  const auto* bytes = static_cast<const std::byte*>(zmq_msg_data(&part->message));
  return {part, ByteSpan(bytes, zmq_msg_size(&part->message))};
}

int milliseconds_of(std::chrono::nanoseconds duration) {
  return static_cast<int>(
      std::max<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(duration).count(), 0));
}

}  // namespace

Error zmq_error(const std::string& what) { return {Errc::io_error, what + ": " + zmq_strerror(zmq_errno())}; }

std::uint32_t milliseconds_u32(std::chrono::nanoseconds duration) noexcept {
  return static_cast<std::uint32_t>(milliseconds_of(duration));
}

std::chrono::nanoseconds silence_allowed(std::chrono::nanoseconds configured,
                                         std::uint32_t heartbeat_ms) noexcept {
  constexpr std::uint32_t kHeartbeatMsMax = 60'000;
  return std::max<std::chrono::nanoseconds>(
      configured, 3 * std::chrono::milliseconds(std::min(heartbeat_ms, kHeartbeatMsMax)));
}

std::string software_name() { return "foreframe 0.1.0"; }

LinkSocket::~LinkSocket() {
  close();
  if (context_ != nullptr) zmq_ctx_term(context_);
}

Status LinkSocket::open(int type) {
  close();
  if (context_ == nullptr) context_ = zmq_ctx_new();
  if (context_ == nullptr) return zmq_error("cannot make a ZeroMQ context");
  socket_ = zmq_socket(context_, type);
  if (socket_ == nullptr) return zmq_error("cannot make a ZeroMQ socket");
  return set(ZMQ_LINGER, 0);
}

void LinkSocket::close(std::chrono::nanoseconds linger) {
  if (socket_ == nullptr) return;
  const int milliseconds = milliseconds_of(linger);
  zmq_setsockopt(socket_, ZMQ_LINGER, &milliseconds, sizeof milliseconds);
  zmq_close(socket_);
  socket_ = nullptr;
}

Status LinkSocket::set(int option, int value) {
  if (zmq_setsockopt(socket_, option, &value, sizeof value) == 0) return {};
  return zmq_error("ZeroMQ option " + std::to_string(option));
}

Status LinkSocket::set_i64(int option, std::int64_t value) {
  if (zmq_setsockopt(socket_, option, &value, sizeof value) == 0) return {};
  return zmq_error("ZeroMQ option " + std::to_string(option));
}

Status LinkSocket::bind(const std::string& address) {
  if (zmq_bind(socket_, address.c_str()) == 0) return {};
  return zmq_error("cannot listen on " + address);
}

Status LinkSocket::connect(const std::string& address) {
  if (zmq_connect(socket_, address.c_str()) == 0) return {};
  return zmq_error("cannot connect to " + address);
}

std::string LinkSocket::bound_address() const {
  std::array<char, 512> text{};
  std::size_t bytes = text.size();
  return zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, text.data(), &bytes) == 0 ? std::string(text.data()) : "";
}

bool LinkSocket::send_copy(ByteSpan bytes, bool more) {
  return zmq_send(socket_, bytes.data(), bytes.size(), ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) >= 0;
}

bool LinkSocket::send_payload(const Payload& payload, bool more) {
  auto owner = std::make_unique<Payload>(payload);
  zmq_msg_t message;
  if (zmq_msg_init_data(&message, const_cast<std::byte*>(payload.bytes().data()), payload.size(),
                        &release_payload, owner.get()) != 0)
    return false;
  static_cast<void>(owner.release());  // release_payload() deletes it, on ZeroMQ's thread
  if (zmq_msg_send(&message, socket_, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) >= 0) return true;
  zmq_msg_close(&message);
  return false;
}

bool LinkSocket::send_message(const foreframe::wire::LinkMessage& message, bool more) {
  const std::string bytes = message.SerializeAsString();
  return send_copy(as_bytes(bytes), more);
}

void LinkSocket::wait(std::chrono::nanoseconds timeout) {
  zmq_pollitem_t item{socket_, 0, ZMQ_POLLIN, 0};
  zmq_poll(&item, 1, milliseconds_of(timeout));
}

std::optional<std::vector<Payload>> LinkSocket::receive(std::size_t parts_max, bool& too_many) {
  std::vector<Payload> parts;
  too_many = false;
  for (bool more = true; more;) {
    auto part = std::make_shared<ReceivedPart>();
    if (zmq_msg_recv(&part->message, socket_, ZMQ_DONTWAIT) < 0) {
      // All parts of a message come at once: this can only be the first.
      if (parts.empty()) return std::nullopt;
      return parts;
    }
    more = zmq_msg_more(&part->message) != 0;
    if (parts.size() < parts_max) {
      parts.push_back(payload_of(part));
    } else {
      too_many = true;
    }
  }
  return parts;
}

Result<foreframe::wire::LinkMessage> parse_link_message(ByteSpan bytes) {
  if (bytes.size() > kLinkMessageBytesMax)
    return fail(Errc::too_large, "link message of " + std::to_string(bytes.size()) + " bytes");
  foreframe::wire::LinkMessage message;
  if (!ff::wire::parse_message(message, bytes) ||
      message.message_case() == foreframe::wire::LinkMessage::MESSAGE_NOT_SET)
    return fail(Errc::malformed, "link message of " + std::to_string(bytes.size()) + " bytes can't be read");
  return message;
}

}  // namespace ff::transport
