// SPDX-License-Identifier: Apache-2.0
//
// WindowBuilder: puts one stream's frames on the fixed grid of windows and says what became of each number.
//
// Data path  series ingest > [WindowBuilder] > encode
// Pure logic: time comes in with every call, nothing is read from a clock. One thread.
//
//   frame numbers   0 ........ W-1 | W ........ 2W-1 | ...        windows
//                   [ group ][ gr ]|[ group ][group ]|            groups: closed by count, latency or series
//                   end
//
// A number is decided when its frame is there, when it is known to be damaged or lost, or when the frame is
// so late that nobody waits any more: `reorder_frames` later numbers came, or the next one has waited
// `reorder_time`. What is missing inside a group travels in the group's presence bitmap; it closes nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <variant>
#include <vector>

#include "agent/ingest/held_frame.hpp"
#include "common/wire/records.pb.h"

namespace ff::agent {

/// A frame number and what is known about it.
struct FrameNote {
  std::uint64_t frame = 0;
  foreframe::wire::FrameState state = foreframe::wire::SENT;  ///< SENT (pixels are there), DAMAGED or LOST
  foreframe::wire::Stage stage = foreframe::wire::STAGE_NONE;
  std::int64_t detector_time_ns = 0, received_utc_ns = 0, received_monotonic_ns = 0;
  std::vector<std::byte> user_data;  ///< CBOR
  FrameHandle pixels;                ///< empty unless SENT
};

/// Consecutive frames of one window, to be coded together, tile by tile.
struct FrameGroup {
  std::uint64_t window = 0;
  std::uint32_t group = 0;        ///< index in the window
  std::uint32_t first_frame = 0;  ///< in the window
  std::uint32_t frame_count = 0;
  std::uint64_t present = 0;
  bool key = false;
  std::vector<FrameHandle> frames;  ///< the present ones, ascending
};

/// A window whose every number is decided.
struct FinishedWindow {
  std::uint64_t window = 0;
  std::uint32_t groups = 0;
  std::vector<FrameNote> frames;  ///< one per grid position, without pixels
};

using WindowOutput = std::variant<FrameGroup, FinishedWindow>;
/// Takes what a builder puts out, one by one: a gap of a million frames must not be collected anywhere.
using WindowSink = std::function<void(WindowOutput)>;

struct WindowBuilderOptions {
  std::uint32_t window_frames = 16;
  std::uint32_t group_frames = 16;
  std::uint32_t reorder_frames = 16;
  std::int64_t group_latency_ns = 200'000'000;
  std::int64_t reorder_time_ns = 1'000'000'000;
  std::uint64_t first_window = 0;  ///< the windows before are somebody else's (an earlier run of the agent)
};

class WindowBuilder {
 public:
  explicit WindowBuilder(const WindowBuilderOptions& options);

  /// Takes a frame or a note about one. A number that was decided before is late: its window says
  /// lost(ingest) if it is still open. A good frame replaces an earlier damaged note of the same number while
  /// that is open.
  void add(FrameNote note, const WindowSink& out);
  /// Frames of a group, 1 ... W, in the windows that begin from now on.
  void set_group_frames(std::uint32_t frames);
  /// Closes what has waited long enough.
  void tick(std::int64_t now_monotonic_ns, const WindowSink& out);
  /// Decides all numbers below `frames_expected` (or below the last seen + 1, if that is more) and closes
  /// every window. Missing numbers before the last seen are lost(receive), those after it not acquired.
  void finish(std::uint64_t frames_expected, const WindowSink& out);

  [[nodiscard]] std::uint64_t frames_late() const noexcept { return frames_late_; }
  [[nodiscard]] std::uint64_t frames_missing() const noexcept { return frames_missing_; }
  /// One past the highest number seen.
  [[nodiscard]] std::uint64_t seen_end() const noexcept { return seen_end_; }
  /// Numbers that wait for their group, and the windows finished so far.
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size(); }
  [[nodiscard]] std::uint64_t windows_finished() const noexcept { return next_ / options_.window_frames; }

 private:
  [[nodiscard]] std::uint64_t window_end() const noexcept;
  [[nodiscard]] bool decided(std::uint64_t frame, std::int64_t now) const;
  void advance(std::int64_t now, bool latency_counts, const WindowSink& out);
  void close_group(std::uint64_t end, std::uint64_t present_end, const WindowSink& out);
  void close_window(const WindowSink& out);

  WindowBuilderOptions options_;
  std::uint32_t group_frames_;  ///< of the open window
  std::uint64_t next_;          ///< lowest number not yet put into a group
  std::uint64_t seen_end_ = 0;
  std::map<std::uint64_t, FrameNote> waiting_;  ///< numbers from next_ on
  FinishedWindow open_;                         ///< the window of next_, as far as decided
  std::uint64_t frames_late_ = 0, frames_missing_ = 0;
};

}  // namespace ff::agent
