// SPDX-License-Identifier: Apache-2.0
//
// PlainSource: the format any detector group can send from ten lines of Python: a JSON header, then pixels.
//
// Data path  detector ~ZeroMQ, JSON + pixels~> [PlainSource] > series ingest
// Format     docs/formats/plain.md.
#pragma once

#include <memory>

#include "agent/ingest/frame_source.hpp"
#include "agent/ingest/zmq_pull.hpp"

namespace ff::agent {

inline constexpr std::size_t kPlainHeaderBytesMax = 64u << 10;
inline constexpr std::uint32_t kPlainHeaderDepthMax = 32;

/// One multipart message as an event's content; needs no socket. Unreadable for whatever breaks plain.md.
/// user_data is turned into CBOR and appended to `parts` (the event's spans point into `parts`).
[[nodiscard]] std::variant<SeriesStarted, FrameArrived, SeriesEnded, Unreadable> read_plain(
    std::vector<Payload>& parts);

class PlainSource final : public FrameSource {
 public:
  [[nodiscard]] static Result<std::unique_ptr<FrameSource>> open(const ZmqPullOptions& options);

  [[nodiscard]] Result<std::optional<SourceEvent>> poll(std::chrono::nanoseconds timeout) override;
  [[nodiscard]] std::string_view name() const override { return "plain"; }

 private:
  explicit PlainSource(std::unique_ptr<ZmqPull> socket) : socket_(std::move(socket)) {}
  std::unique_ptr<ZmqPull> socket_;
};

}  // namespace ff::agent
