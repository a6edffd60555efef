// SPDX-License-Identifier: Apache-2.0
//
// StreamV2Source: a DECTRIS detector (or whoever speaks like one) as a FrameSource.
//
// Data path  detector ~ZeroMQ, CBOR~> [StreamV2Source] > series ingest
// Format     docs/formats/stream_v2.md, common/wire/stream_v2.hpp.
#pragma once

#include <memory>

#include "agent/ingest/frame_source.hpp"
#include "agent/ingest/zmq_pull.hpp"

namespace ff::agent {

/// One message as an event's content; needs no socket. Unreadable for whatever is no Stream V2.
[[nodiscard]] std::variant<SeriesStarted, FrameArrived, SeriesEnded, Unreadable> read_stream_v2(
    ByteSpan message);

class StreamV2Source final : public FrameSource {
 public:
  [[nodiscard]] static Result<std::unique_ptr<FrameSource>> open(const ZmqPullOptions& options);

  [[nodiscard]] Result<std::optional<SourceEvent>> poll(std::chrono::nanoseconds timeout) override;
  [[nodiscard]] std::string_view name() const override { return "stream_v2"; }

 private:
  explicit StreamV2Source(std::unique_ptr<ZmqPull> socket) : socket_(std::move(socket)) {}
  std::unique_ptr<ZmqPull> socket_;
};

}  // namespace ff::agent
