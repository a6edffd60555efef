// SPDX-License-Identifier: Apache-2.0
//
// The grid of windows.
#include "agent/window/window_builder.hpp"

#include <algorithm>

#include "common/base/check.hpp"

namespace ff::agent {

using foreframe::wire::LOST;
using foreframe::wire::NOT_ACQUIRED;
using foreframe::wire::SENT;

WindowBuilder::WindowBuilder(const WindowBuilderOptions& options)
    : options_(options),
      group_frames_(options.group_frames),
      next_(options.first_window * options.window_frames) {
  FF_CHECK(options.window_frames >= 1 && options.window_frames <= 64);
  FF_CHECK(options.group_frames >= 1 && options.group_frames <= options.window_frames);
  open_.window = options.first_window;
}

std::uint64_t WindowBuilder::window_end() const noexcept {
  return (next_ / options_.window_frames + 1) * options_.window_frames;
}

void WindowBuilder::add(FrameNote note, const WindowSink& out) {
  const std::int64_t now = note.received_monotonic_ns;
  seen_end_ = std::max(seen_end_, note.frame + 1);
  if (note.frame < next_) {
    ++frames_late_;
    const std::uint64_t open_begin = next_ - open_.frames.size();
    if (note.frame < open_begin) return;
    FrameNote& decided_note = open_.frames[note.frame - open_begin];
    if (decided_note.state != LOST) return;
    decided_note.stage = foreframe::wire::STAGE_INGEST;  // it did arrive: not lost on the way to us
    return;
  }
  const auto waiting = waiting_.find(note.frame);
  if (waiting == waiting_.end())
    waiting_.emplace(note.frame, std::move(note));
  else if (waiting->second.state != SENT && note.state == SENT)
    waiting->second = std::move(note);
  advance(now, false, out);
}

void WindowBuilder::set_group_frames(std::uint32_t frames) {
  FF_CHECK(frames >= 1 && frames <= options_.window_frames);
  options_.group_frames = frames;
  if (open_.frames.empty()) group_frames_ = frames;
}

void WindowBuilder::tick(std::int64_t now_monotonic_ns, const WindowSink& out) {
  advance(now_monotonic_ns, true, out);
}

bool WindowBuilder::decided(std::uint64_t frame, std::int64_t now) const {
  const auto following = waiting_.lower_bound(frame);
  if (following == waiting_.end()) return false;
  return following->first == frame || frame + options_.reorder_frames < seen_end_ ||
         now - following->second.received_monotonic_ns >= options_.reorder_time_ns;
}

void WindowBuilder::advance(std::int64_t now, bool latency_counts, const WindowSink& out) {
  while (true) {
    const std::uint64_t group_end = std::min(next_ + group_frames_, window_end());
    std::uint64_t end = next_;
    while (end < group_end && decided(end, now)) ++end;
    if (end == next_) return;
    const bool waited = latency_counts && !waiting_.empty() && waiting_.begin()->first < end &&
                        now - waiting_.begin()->second.received_monotonic_ns >= options_.group_latency_ns;
    if (end < group_end && !waited) return;
    close_group(end, UINT64_MAX, out);
  }
}

void WindowBuilder::finish(std::uint64_t frames_expected, const WindowSink& out) {
  const std::uint64_t end = std::max(frames_expected, seen_end_);
  while (next_ < end) close_group(std::min({next_ + group_frames_, window_end(), end}), seen_end_, out);
  if (!open_.frames.empty()) close_window(out);
}

/// Numbers [next_, end) become a group. Those that are not there are lost if below `present_end`, which a
/// later frame proves, else not acquired.
void WindowBuilder::close_group(std::uint64_t end, std::uint64_t present_end, const WindowSink& out) {
  FrameGroup group;
  group.window = open_.window;
  group.group = open_.groups;
  group.first_frame = static_cast<std::uint32_t>(open_.frames.size());
  group.frame_count = static_cast<std::uint32_t>(end - next_);
  group.key = open_.groups == 0;
  for (std::uint64_t frame = next_; frame < end; ++frame) {
    FrameNote note;
    note.frame = frame;
    auto found = waiting_.extract(frame);
    if (!found.empty()) {
      note = std::move(found.mapped());
    } else {
      note.state = frame < present_end ? LOST : NOT_ACQUIRED;
      note.stage = frame < present_end ? foreframe::wire::STAGE_RECEIVE : foreframe::wire::STAGE_NONE;
      if (frame < present_end) ++frames_missing_;
    }
    if (note.pixels) {
      group.present |= std::uint64_t{1} << (frame - next_);
      group.frames.push_back(std::move(note.pixels));
      note.pixels.reset();
    }
    open_.frames.push_back(std::move(note));
  }
  next_ = end;
  if (group.present != 0) {
    ++open_.groups;
    out(std::move(group));
  }
  if (open_.frames.size() == options_.window_frames) close_window(out);
}

void WindowBuilder::close_window(const WindowSink& out) {
  FinishedWindow finished = std::exchange(open_, {});
  open_.window = finished.window + 1;
  group_frames_ = options_.group_frames;
  out(std::move(finished));
}

}  // namespace ff::agent
