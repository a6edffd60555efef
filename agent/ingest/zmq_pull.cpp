// SPDX-License-Identifier: Apache-2.0
//
// ZmqPull: receives whole multipart messages without copying them.
#include "agent/ingest/zmq_pull.hpp"

#include <algorithm>
#include <cerrno>
#include <zmq.h>

namespace ff::agent {
namespace {

constexpr std::size_t kPartsMax = 65;  // a header and 64 channels

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
  if (options.context == nullptr) pull->context_ = zmq_ctx_new();
  FF_TRY(pull->connection_.open(options.context != nullptr ? options.context : pull->context_, options));
  return pull;
}

ZmqPull::~ZmqPull() {
  connection_.close();
  if (context_ != nullptr) zmq_ctx_term(context_);
}

Result<std::optional<std::vector<Payload>>> ZmqPull::receive(std::chrono::nanoseconds timeout) {
  const auto timeout_ms = std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count();
  zmq_pollitem_t item{connection_.socket(), 0, ZMQ_POLLIN, 0};
  const int ready = zmq_poll(&item, 1, static_cast<long>(std::max<std::int64_t>(timeout_ms, 0)));
  if (ready < 0 && errno != EINTR) return zmq_error("detector socket");
  if (ready <= 0) {
    if (auto cut = connection_.look_after()) return *std::move(cut);
    return std::optional<std::vector<Payload>>{};
  }

  std::vector<Payload> parts;
  std::uint64_t bytes = 0;
  std::size_t part_count = 0;
  for (bool more = true; more;) {
    auto owner = std::make_shared<OwnedMessage>();
    if (zmq_msg_recv(&owner->message, connection_.socket(), 0) < 0) return zmq_error("detector socket");
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
