// SPDX-License-Identifier: Apache-2.0
//
// ZmqPull: receives whole multipart messages without copying them.
#include "agent/ingest/zmq_pull.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <zmq.h>

#include "common/base/clock.hpp"

namespace ff::agent {
namespace {

constexpr std::size_t kPartsMax = 65;  // a header and 64 channels
/// A connection that breaks is tried again at once, and ZeroMQ says so; one that it has cut itself is not.
constexpr std::int64_t kCutAfterNs = 200'000'000;
constexpr const char* kMonitorAddress = "inproc://connection";

Error zmq_error(const std::string& what) {
  const bool bad_address = errno == EINVAL || errno == EPROTONOSUPPORT || errno == ENODEV;
  return fail(bad_address ? Errc::invalid_argument : Errc::io_error, what + ": " + zmq_strerror(errno));
}

/// A received part: closes its zmq_msg_t when the last Payload on it is gone.
struct OwnedMessage {
  OwnedMessage() { zmq_msg_init(&message); }
  OwnedMessage(const OwnedMessage&) = delete;
  OwnedMessage& operator=(const OwnedMessage&) = delete;
  ~OwnedMessage() { zmq_msg_close(&message); }
  zmq_msg_t message;
};

}  // namespace

Result<std::unique_ptr<ZmqPull>> ZmqPull::open(const ZmqPullOptions& options) {
  std::unique_ptr<ZmqPull> pull(new ZmqPull(options));
  pull->context_ = zmq_ctx_new();
  pull->socket_ = zmq_socket(pull->context_, ZMQ_PULL);
  if (pull->socket_ == nullptr) return zmq_error("detector socket");
  const int hwm = static_cast<int>(std::clamp<std::uint64_t>(options.queue_messages, 1, 1 << 20)),
            no_linger = 0;
  // Up to twice the limit a message is read and named in a counter; what is larger never enters memory.
  const auto bytes_max =
      static_cast<std::int64_t>(std::min<std::uint64_t>(options.message_bytes_max, 1ull << 40) * 2);
  zmq_setsockopt(pull->socket_, ZMQ_RCVHWM, &hwm, sizeof hwm);
  zmq_setsockopt(pull->socket_, ZMQ_MAXMSGSIZE, &bytes_max, sizeof bytes_max);
  zmq_setsockopt(pull->socket_, ZMQ_LINGER, &no_linger, sizeof no_linger);
  if (!options.bind) FF_TRY(pull->watch_connection());
  const int done = options.bind ? zmq_bind(pull->socket_, options.address.c_str())
                                : zmq_connect(pull->socket_, options.address.c_str());
  if (done != 0)
    return zmq_error("source.address '" + options.address + "' can't be " +
                     (options.bind ? "bound" : "connected to"));
  return pull;
}

/// Bound, it need not be watched: the detector connects again by itself.
Status ZmqPull::watch_connection() {
  const int events =
      ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_CONNECT_DELAYED | ZMQ_EVENT_CONNECTED;
  if (zmq_socket_monitor(socket_, kMonitorAddress, events) != 0) return zmq_error("watching the connection");
  monitor_ = zmq_socket(context_, ZMQ_PAIR);
  if (monitor_ == nullptr || zmq_connect(monitor_, kMonitorAddress) != 0)
    return zmq_error("watching the connection");
  return {};
}

void ZmqPull::read_events() {
  for (;;) {
    OwnedMessage head, address;
    if (zmq_msg_recv(&head.message, monitor_, ZMQ_DONTWAIT) < 0) return;
    zmq_msg_recv(&address.message, monitor_, 0);
    std::uint16_t event = 0;
    if (zmq_msg_size(&head.message) < sizeof event) continue;
    std::memcpy(&event, zmq_msg_data(&head.message), sizeof event);
    disconnected_ns_ = event == ZMQ_EVENT_DISCONNECTED ? monotonic_now_ns() : 0;
  }
}

bool ZmqPull::was_cut() const {
  return disconnected_ns_ != 0 && monotonic_now_ns() - disconnected_ns_ >= kCutAfterNs;
}

Error ZmqPull::connect_again() {
  disconnected_ns_ = 0;
  zmq_disconnect(socket_, options_.address.c_str());
  if (zmq_connect(socket_, options_.address.c_str()) != 0)
    return zmq_error("source.address '" + options_.address + "' can't be connected to again");
  return fail(Errc::too_large, "the connection to " + options_.address +
                                   " was cut: a message of more than twice source.message_max (" +
                                   std::to_string(options_.message_bytes_max) +
                                   " bytes), or bytes that are no ZeroMQ message; connected again");
}

ZmqPull::~ZmqPull() {
  if (monitor_ != nullptr) zmq_close(monitor_);
  if (socket_ != nullptr) zmq_close(socket_);
  if (context_ != nullptr) zmq_ctx_term(context_);
}

Result<std::optional<std::vector<Payload>>> ZmqPull::receive(std::chrono::nanoseconds timeout) {
  const auto timeout_ms = std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count();
  zmq_pollitem_t item{socket_, 0, ZMQ_POLLIN, 0};
  const int ready = zmq_poll(&item, 1, static_cast<long>(std::max<std::int64_t>(timeout_ms, 0)));
  if (ready < 0 && errno != EINTR) return zmq_error("detector socket");
  if (ready <= 0) {
    if (monitor_ != nullptr) read_events();
    if (was_cut()) return connect_again();
    return std::optional<std::vector<Payload>>{};
  }

  std::vector<Payload> parts;
  std::uint64_t bytes = 0;
  std::size_t part_count = 0;
  for (bool more = true; more;) {
    auto owner = std::make_shared<OwnedMessage>();
    if (zmq_msg_recv(&owner->message, socket_, 0) < 0) return zmq_error("detector socket");
    more = zmq_msg_more(&owner->message) != 0;
    bytes += zmq_msg_size(&owner->message);
    if (++part_count > kPartsMax || bytes > options_.message_bytes_max)
      continue;  // read on to the message's end
    const ByteSpan view(static_cast<const std::byte*>(zmq_msg_data(&owner->message)),
                        zmq_msg_size(&owner->message));
    parts.emplace_back(std::move(owner), view);
  }
  if (part_count > kPartsMax)
    return fail(Errc::malformed,
                "message of " + std::to_string(part_count) + " parts; at most 65 are accepted");
  if (bytes > options_.message_bytes_max)
    return fail(Errc::too_large, "message of " + std::to_string(bytes) +
                                     " bytes is above source.message_max of " +
                                     std::to_string(options_.message_bytes_max));
  return std::optional(std::move(parts));
}

}  // namespace ff::agent
