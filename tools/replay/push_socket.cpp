// SPDX-License-Identifier: Apache-2.0
//
// ZeroMQ PUSH.
#include "tools/replay/push_socket.hpp"

#include <cerrno>
#include <memory>
#include <utility>
#include <zmq.h>

namespace ff::tools {

namespace {

using Bytes = std::vector<std::byte>;

void free_bytes(void* /*data*/, void* owner) { std::unique_ptr<Bytes>(static_cast<Bytes*>(owner)).reset(); }

/// Hands the part over to ZeroMQ, which gives it back through free_bytes when it is on the wire.
bool send_part(void* socket, Bytes&& part, int flags) {
  auto owner = std::make_unique<Bytes>(std::move(part));
  zmq_msg_t message;
  Bytes* const bytes = owner.release();
  if (zmq_msg_init_data(&message, bytes->data(), bytes->size(), &free_bytes, bytes) != 0) {
    free_bytes(nullptr, bytes);
    return false;
  }
  if (zmq_msg_send(&message, socket, flags) >= 0) return true;
  zmq_msg_close(&message);
  return false;
}

}  // namespace

Result<PushSocket> PushSocket::open(const Options& options) {
  void* const context = zmq_ctx_new();
  PushSocket push(context, zmq_socket(context, ZMQ_PUSH), options.endpoint);
  const int queue = options.queue_messages, linger = static_cast<int>(options.linger.count()), immediate = 1;
  zmq_setsockopt(push.socket_, ZMQ_SNDHWM, &queue, sizeof queue);
  zmq_setsockopt(push.socket_, ZMQ_LINGER, &linger, sizeof linger);
  zmq_setsockopt(push.socket_, ZMQ_IMMEDIATE, &immediate,
                 sizeof immediate);  // no queue for peers that aren't there
  const int done = options.bind ? zmq_bind(push.socket_, options.endpoint.c_str())
                                : zmq_connect(push.socket_, options.endpoint.c_str());
  if (done != 0) {
    const bool no_endpoint = zmq_errno() == EINVAL || zmq_errno() == EPROTONOSUPPORT;
    return fail(no_endpoint ? Errc::invalid_argument : Errc::refused,
                options.endpoint + ": can't " + (options.bind ? "bind" : "connect") + ": " +
                    zmq_strerror(zmq_errno()) +
                    "; an endpoint looks like tcp://127.0.0.1:31001 and belongs to one program");
  }
  char endpoint[256] = {};
  std::size_t room = sizeof endpoint;
  if (zmq_getsockopt(push.socket_, ZMQ_LAST_ENDPOINT, endpoint, &room) == 0) push.endpoint_ = endpoint;
  return push;
}

PushSocket::PushSocket(PushSocket&& other) noexcept
    : context_(std::exchange(other.context_, nullptr)),
      socket_(std::exchange(other.socket_, nullptr)),
      endpoint_(std::move(other.endpoint_)) {}

PushSocket::~PushSocket() {
  if (socket_ != nullptr) zmq_close(socket_);
  if (context_ != nullptr) zmq_ctx_term(context_);
}

bool PushSocket::writable_within(std::chrono::milliseconds timeout) const {
  zmq_pollitem_t item{socket_, 0, ZMQ_POLLOUT, 0};
  return zmq_poll(&item, 1, static_cast<long>(timeout.count())) > 0;
}

Status PushSocket::wait_for_puller(std::chrono::milliseconds timeout) {
  if (writable_within(timeout)) return {};  // a PUSH socket without a peer can't be written
  return fail(Errc::timed_out, endpoint_ + ": nobody pulled within " +
                                   std::to_string(timeout.count() / 1000) +
                                   " s; start the receiver, or wait longer with --wait");
}

Result<bool> PushSocket::send(MessageParts& parts, std::chrono::milliseconds timeout) {
  if (!writable_within(timeout)) return false;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const int flags = i + 1 < parts.size() ? ZMQ_SNDMORE : 0;
    if (!send_part(socket_, std::move(parts[i]), flags)) {
      return fail(Errc::io_error, endpoint_ + ": can't send: " + std::string(zmq_strerror(zmq_errno())));
    }
  }
  return true;
}

std::string PushSocket::endpoint() const { return endpoint_; }

}  // namespace ff::tools
