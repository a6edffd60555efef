// SPDX-License-Identifier: Apache-2.0
//
// Replay: sends a recording as a detector would, paced in real time, with faults on demand.
//
// Data path  recording or simulator > [replay] ~ZeroMQ PUSH~> agent
// What exactly went wrong is in the report, frame by frame, so that a test can hold the ledger against it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tools/recording/recording.hpp"
#include "tools/replay/fault_plan.hpp"
#include "tools/replay/push_socket.hpp"
#include "tools/replay/series_messages.hpp"

namespace ff::tools {

struct ReplayOptions {
  PushSocket::Options socket;
  MessageOptions messages;
  std::optional<double> rate_hz;  ///< nothing: the recording's own frame time, or 10 Hz
  bool as_fast_as_possible = false;
  std::uint64_t frames = 0;  ///< of each series; 0: the recording's. Longer ones begin again
  std::uint64_t series_count = 1;
  std::uint64_t first_series_id = 1;
  std::chrono::milliseconds wait{30'000};   ///< for the first puller
  std::chrono::milliseconds stall{30'000};  ///< for room in the queue, before giving up
  bool drop_when_full = false;  ///< as a detector whose buffer is full: the image is lost and counted
  bool preload = false;         ///< prepare all messages' pixels first
};

/// What happened to one frame other than being sent once, whole and in order.
struct FrameIncident {
  std::uint64_t frame = 0;
  FrameFault fault = FrameFault::none;
  std::string detail;  ///< "cut to 711 of 90210 bytes", "sent after frame 8"
};

struct SeriesReport {
  SeriesName name;
  std::uint64_t frames_planned = 0;
  bool start_sent = false, end_sent = false;
  std::uint64_t image_messages = 0;  ///< also doubled and damaged ones, not stray ones
  std::vector<FrameIncident> incidents;
  std::vector<std::uint64_t> not_sent;  ///< queue full, with drop_when_full
  std::uint64_t stray_images = 0;       ///< of series `stray_of`
  SeriesName stray_of;
  std::optional<std::uint64_t> aborted_after;
};

struct ReplayReport {
  std::vector<SeriesReport> series;
  std::uint64_t messages = 0, bytes = 0;
  std::uint64_t late_frames = 0;  ///< sent more than one frame time after their moment
  double latest_s = 0;
  double seconds = 0;       ///< from the first start message to the last end message
  double frame_time_s = 0;  ///< as the messages state it; 0 when as fast as possible with none known
};

/// Runs to the end. `progress` is called after every frame with the number of frames done and planned.
/// Errors: timed_out (nobody pulls), refused (endpoint), those of the recording.
[[nodiscard]] Result<ReplayReport> run_replay(
    FrameReader& reader, const FaultPlan& faults, const ReplayOptions& options,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress);

/// The whole report as JSON; docs/operations/replay.md explains it.
[[nodiscard]] std::string to_json(const ReplayReport& report, const RecordingInfo& info,
                                  const FaultPlan& faults, const ReplayOptions& options);

}  // namespace ff::tools
