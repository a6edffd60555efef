// SPDX-License-Identifier: Apache-2.0
//
// Received messages as events.
#include "agent/ingest/source_event.hpp"

#include "common/base/clock.hpp"
#include "common/service/logging.hpp"

namespace ff::agent {

Result<std::optional<SourceEvent>> receive_event(ZmqPull& socket, std::chrono::nanoseconds timeout,
                                                 const ReadParts& read) {
  auto received = socket.receive(timeout);
  if (!received.ok() && received.error().code == Errc::io_error) return std::move(received).error();
  if (received.ok() && !received->has_value()) return std::optional<SourceEvent>{};

  SourceEvent event;
  event.received_utc_ns = utc_now_ns();
  event.received_monotonic_ns = monotonic_now_ns();
  if (!received.ok()) {
    event.what = Unreadable{std::move(received).error(), std::nullopt, std::nullopt};
    return std::optional(std::move(event));
  }
  event.message = std::move(**received);
  for (const Payload& part : event.message) event.message_bytes += part.size();
  event.what = read(event.message);
  return std::optional(std::move(event));
}

void note_left_out(std::string_view array, std::string_view channel, const Error& why) {
  service::log_warning("array of the start message left out",
                       {{"array", array}, {"channel", channel}, {"why", std::string_view(why.message)}});
}

}  // namespace ff::agent
