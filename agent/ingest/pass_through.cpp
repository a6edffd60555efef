// SPDX-License-Identifier: Apache-2.0
//
// Messages twice.
#include "agent/ingest/pass_through.hpp"

#include <algorithm>
#include <cerrno>
#include <pthread.h>
#include <zmq.h>

namespace ff::agent {
namespace {

constexpr const char* kInner = "inproc://passthrough";
constexpr int kPollMs = 50;
constexpr int kLingerMs = 1000;  // what a consumer may take to fetch the last messages at our stop

int clamp_hwm(std::uint64_t messages) {
  return static_cast<int>(std::clamp<std::uint64_t>(messages, 1, 1 << 20));
}

void set_option(void* socket, int option, int value) { zmq_setsockopt(socket, option, &value, sizeof value); }

Status attach(void* socket, bool bind, const std::string& address, const char* key) {
  if ((bind ? zmq_bind(socket, address.c_str()) : zmq_connect(socket, address.c_str())) == 0) return {};
  const bool bad_address = errno == EINVAL || errno == EPROTONOSUPPORT || errno == ENODEV;
  return fail(bad_address ? Errc::invalid_argument : Errc::io_error,
              std::string(key) + " '" + address + "' can't be " + (bind ? "bound: " : "connected to: ") +
                  zmq_strerror(errno));
}

}  // namespace

Result<std::unique_ptr<PassThrough>> PassThrough::open(const PassThroughOptions& options,
                                                       AgentMetrics& metrics) {
  std::unique_ptr<PassThrough> tap(new PassThrough(options, metrics));
  FF_TRY(tap->open_sockets());
  tap->thread_ = std::thread([raw = tap.get()] { raw->run(); });
  return tap;
}

Status PassThrough::open_sockets() {
  context_ = zmq_ctx_new();
  consumer_ = zmq_socket(context_, options_.publish ? ZMQ_PUB : ZMQ_PUSH);
  inner_ = zmq_socket(context_, ZMQ_PUSH);
  if (consumer_ == nullptr || inner_ == nullptr)
    return fail(Errc::io_error, std::string("passthrough: sockets: ") + zmq_strerror(errno));
  set_option(consumer_, ZMQ_SNDHWM, clamp_hwm(options_.queue_messages));
  set_option(consumer_, ZMQ_LINGER, kLingerMs);
  if (options_.publish) set_option(consumer_, ZMQ_XPUB_NODROP, 1);            // or drops could not be counted
  set_option(inner_, ZMQ_SNDHWM, clamp_hwm(options_.source.queue_messages));  // a burst is not yet a stall
  set_option(inner_, ZMQ_LINGER, 0);
  FF_TRY(attach(inner_, true, kInner, "passthrough"));
  FF_TRY(attach(consumer_, options_.bind, options_.address, "passthrough.address"));
  return source_.open(context_, options_.source);
}

PassThrough::~PassThrough() {
  finishing_.store(true);
  abandoned_.store(true);
  if (thread_.joinable()) thread_.join();
  source_.close();
  for (void* socket : {consumer_, inner_})
    if (socket != nullptr) zmq_close(socket);
  if (context_ != nullptr) zmq_ctx_term(context_);
}

ZmqPullOptions PassThrough::inner() const {
  ZmqPullOptions options = options_.source;
  options.address = kInner;
  options.bind = false;
  options.queue_messages = 1;
  options.context = context_;
  return options;
}

void PassThrough::run() {
  pthread_setname_np(pthread_self(), "passthrough");
  while (!abandoned_.load(std::memory_order_relaxed)) {
    const bool finishing = finishing_.load(std::memory_order_relaxed);
    zmq_pollitem_t item{source_.socket(), 0, ZMQ_POLLIN, 0};
    const int ready = zmq_poll(&item, 1, finishing ? 0 : kPollMs);
    if (ready > 0) forward_message();
    if (ready > 0) continue;
    if (finishing) break;
    if (const auto cut = source_.look_after())
      metrics_.report(Fault::message_too_large, "message can't be read; ignored", {{"why", cut->message}});
  }
  finished_.store(true, std::memory_order_release);
}

/// One message, part by part: the consumer first, then we. A side that can't take it is left out as a whole.
void PassThrough::forward_message() {
  bool to_consumer = wait_until_writable(consumer_, !options_.wait_when_stalled || finishing_.load());
  bool to_us = true, first = true;
  std::uint64_t bytes = 0;
  for (bool more = true; more; first = false) {
    zmq_msg_t part, shared;
    zmq_msg_init(&part);
    if (zmq_msg_recv(&part, source_.socket(), 0) < 0) {
      zmq_msg_close(&part);
      return;
    }
    more = zmq_msg_more(&part) != 0;
    bytes += zmq_msg_size(&part);
    const int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
    if (to_consumer) {
      zmq_msg_init(&shared);
      zmq_msg_copy(&shared, &part);
      if (zmq_msg_send(&shared, consumer_, flags) < 0) {
        zmq_msg_close(&shared);
        to_consumer = false;
      }
    }
    if (first) to_us = wait_until_writable(inner_, options_.observe);
    if (!to_us || zmq_msg_send(&part, inner_, flags) < 0) {
      to_us = false;
      zmq_msg_close(&part);
    }
  }
  if (to_consumer) {
    metrics_.passthrough_messages.add();
    metrics_.passthrough_bytes.add(static_cast<double>(bytes));
  } else {
    metrics_.report(Fault::passthrough_dropped,
                    "message not passed through: its consumer is stalled or away");
  }
  if (!to_us) metrics_.report(Fault::observe_skipped, "message passed by: we are behind, and only observe");
}

/// False when there is no room and nobody waits for it.
bool PassThrough::wait_until_writable(void* socket, bool may_give_up) {
  while (true) {
    zmq_pollitem_t item{socket, 0, ZMQ_POLLOUT, 0};
    if (zmq_poll(&item, 1, may_give_up ? 0 : kPollMs) > 0) return true;
    if (may_give_up || abandoned_.load(std::memory_order_relaxed)) return false;
    if (socket == consumer_ && finishing_.load(std::memory_order_relaxed)) return false;
  }
}

}  // namespace ff::agent
