// SPDX-License-Identifier: Apache-2.0
//
// What both sources do with a received message: stamp it, keep it alive, name what can't be read.
#pragma once

#include <chrono>
#include <functional>
#include <string_view>
#include <vector>

#include "agent/ingest/frame_source.hpp"
#include "agent/ingest/zmq_pull.hpp"

namespace ff::agent {

using ReadParts =
    std::function<std::variant<SeriesStarted, FrameArrived, SeriesEnded, Unreadable>(std::vector<Payload>&)>;

/// Receives one message, stamps it on arrival and reads it. A message above the limits becomes Unreadable.
[[nodiscard]] Result<std::optional<SourceEvent>> receive_event(ZmqPull& socket,
                                                               std::chrono::nanoseconds timeout,
                                                               const ReadParts& read);

/// Logs that an array of a start message was left out, and why.
void note_left_out(std::string_view array, std::string_view channel, const Error& why);

}  // namespace ff::agent
