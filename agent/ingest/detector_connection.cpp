// SPDX-License-Identifier: Apache-2.0
//
// The detector's socket and its monitor.
#include "agent/ingest/detector_connection.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <zmq.h>

#include "common/base/clock.hpp"

namespace ff::agent {
namespace {

/// A connection that breaks is tried again at once, and ZeroMQ says so; one that it has cut itself is not.
constexpr std::int64_t kCutAfterNs = 200'000'000;
constexpr const char* kMonitorAddress = "inproc://connection";

// A PULL socket only listens: a detector's host that was switched off while the cable was out would never be missed.
// The kernel's probes find that out seconds after the cable's return, and leave a connection that is merely cut alone
// for five minutes: what its detector holds would be lost with it.
void probe_when_silent(void* socket) {
  constexpr int kOn = 1, kIdleS = 5, kIntervalS = 5, kProbes = 60;
  zmq_setsockopt(socket, ZMQ_TCP_KEEPALIVE, &kOn, sizeof kOn);
  zmq_setsockopt(socket, ZMQ_TCP_KEEPALIVE_IDLE, &kIdleS, sizeof kIdleS);
  zmq_setsockopt(socket, ZMQ_TCP_KEEPALIVE_INTVL, &kIntervalS, sizeof kIntervalS);
  zmq_setsockopt(socket, ZMQ_TCP_KEEPALIVE_CNT, &kProbes, sizeof kProbes);
}

}  // namespace

Error zmq_error(const std::string& what) {
  const bool bad_address = errno == EINVAL || errno == EPROTONOSUPPORT || errno == ENODEV;
  return fail(bad_address ? Errc::invalid_argument : Errc::io_error, what + ": " + zmq_strerror(errno));
}

Status DetectorConnection::open(void* context, const ZmqPullOptions& options) {
  options_ = options;
  socket_ = zmq_socket(context, ZMQ_PULL);
  if (socket_ == nullptr) return zmq_error("detector socket");
  const int hwm = static_cast<int>(std::clamp<std::uint64_t>(options.queue_messages, 1, 1 << 20)),
            no_linger = 0;
  // Up to twice the limit a message is read and named in a counter; what is larger never enters memory.
  const auto bytes_max =
      static_cast<std::int64_t>(std::min<std::uint64_t>(options.message_bytes_max, 1ull << 40) * 2);
  zmq_setsockopt(socket_, ZMQ_RCVHWM, &hwm, sizeof hwm);
  zmq_setsockopt(socket_, ZMQ_MAXMSGSIZE, &bytes_max, sizeof bytes_max);
  zmq_setsockopt(socket_, ZMQ_LINGER, &no_linger, sizeof no_linger);
  probe_when_silent(socket_);
  if (!options.bind && !options.address.starts_with("inproc:")) FF_TRY(watch(context));
  const int done = options.bind ? zmq_bind(socket_, options.address.c_str())
                                : zmq_connect(socket_, options.address.c_str());
  if (done == 0) return {};
  return zmq_error("source.address '" + options.address + "' can't be " +
                   (options.bind ? "bound" : "connected to"));
}

void DetectorConnection::close() noexcept {
  for (void** socket : {&monitor_, &socket_}) {
    if (*socket != nullptr) zmq_close(*socket);
    *socket = nullptr;
  }
}

Status DetectorConnection::watch(void* context) {
  const int events =
      ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_CONNECT_DELAYED | ZMQ_EVENT_CONNECTED;
  if (zmq_socket_monitor(socket_, kMonitorAddress, events) != 0) return zmq_error("watching the connection");
  monitor_ = zmq_socket(context, ZMQ_PAIR);
  if (monitor_ == nullptr || zmq_connect(monitor_, kMonitorAddress) != 0)
    return zmq_error("watching the connection");
  return {};
}

void DetectorConnection::read_events() {
  for (;;) {
    zmq_msg_t head, address;
    zmq_msg_init(&head);
    zmq_msg_init(&address);
    const bool got = zmq_msg_recv(&head, monitor_, ZMQ_DONTWAIT) >= 0;
    if (got) zmq_msg_recv(&address, monitor_, 0);
    std::uint16_t event = 0;
    if (got && zmq_msg_size(&head) >= sizeof event) {
      std::memcpy(&event, zmq_msg_data(&head), sizeof event);
      disconnected_ns_ = event == ZMQ_EVENT_DISCONNECTED ? monotonic_now_ns() : 0;
    }
    zmq_msg_close(&head);
    zmq_msg_close(&address);
    if (!got) return;
  }
}

std::optional<Error> DetectorConnection::look_after() {
  if (monitor_ == nullptr) return std::nullopt;
  read_events();
  if (disconnected_ns_ == 0 || monotonic_now_ns() - disconnected_ns_ < kCutAfterNs) return std::nullopt;
  disconnected_ns_ = 0;
  zmq_disconnect(socket_, options_.address.c_str());
  if (zmq_connect(socket_, options_.address.c_str()) != 0)
    return zmq_error("source.address '" + options_.address + "' can't be connected to again");
  return fail(Errc::too_large, "the connection to " + options_.address +
                                   " was cut: a message of more than twice source.message_max (" +
                                   std::to_string(options_.message_bytes_max) +
                                   " bytes), or bytes that are no ZeroMQ message; connected again");
}

}  // namespace ff::agent
