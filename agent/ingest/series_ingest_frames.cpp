// SPDX-License-Identifier: Apache-2.0
//
// Images of the open series: their numbers, and their pixels' way into slots of the frame pool. Which series
// an image belongs to is decided in series_ingest.cpp.
#include <algorithm>
#include <thread>

#include "agent/ingest/pixel_unpack.hpp"
#include "agent/ingest/series_ingest.hpp"
#include "common/base/clock.hpp"

namespace ff::agent {

using foreframe::wire::DAMAGED;
using foreframe::wire::FrameState;
using foreframe::wire::LOST;
using foreframe::wire::SENT;

namespace {

const ChannelPixels* find_channel(const FrameArrived& frame, const SeriesInfo& series,
                                  const StreamInfo& stream) {
  // One stream, one array: whatever they call it, it is this one.
  if (series.streams.size() == 1 && frame.channels.size() == 1) return &frame.channels[0];
  for (const ChannelPixels& pixels : frame.channels)
    if (pixels.channel == stream.channel) return &pixels;
  return nullptr;
}

}  // namespace

// ---------------------------------------------------------------- number

/// Notes the number as seen. False, counted, for numbers that can't be and for numbers that were.
bool SeriesIngest::accept_number(std::uint64_t frame) {
  std::uint64_t first = 0;
  for (const StreamInfo& stream : current_.info->streams)
    first = std::max(first, stream.first_window * current_.info->plan.window_frames);
  const bool beyond = current_.images_expected ? frame >= *current_.images_expected : false;
  if (beyond || frame > std::max<std::uint64_t>(current_.seen.size(), first) + options_.frame_jump_max) {
    ++current_.unreadable;
    metrics_.report(Fault::frame_out_of_range, "frame number beyond its series; ignored",
                    {{"frame", frame}, {"images_expected", current_.images_expected.value_or(0)}});
    return false;
  }
  if (frame < current_.seen.size() && current_.seen[frame]) {
    ++current_.duplicated;
    metrics_.report(Fault::frame_duplicated, "frame came twice; the second is ignored", {{"frame", frame}});
    return false;
  }
  if (frame >= current_.seen.size()) current_.seen.resize(frame + 1);
  current_.seen[frame] = true;
  ++current_.received;
  return true;
}

/// A damaged frame's number is open again: a good copy may follow.
void SeriesIngest::forget_number(std::uint64_t frame) {
  current_.seen[frame] = false;
  --current_.received;
}

// ---------------------------------------------------------------- pixels

/// False when the frame's pixels could not be read.
bool SeriesIngest::take_channel(std::size_t stream_index, const FrameArrived& frame,
                                const SourceEvent& event) {
  const StreamInfo& stream = current_.info->streams[stream_index];
  const ChannelPixels* pixels = find_channel(frame, *current_.info, stream);
  if (pixels == nullptr) {
    metrics_.report(Fault::channel_missing, "image without one of its channels; recorded as damaged",
                    {{"frame", frame.frame}, {"channel", stream.channel}});
    mark(stream_index, frame.frame, event, DAMAGED);
    return false;
  }
  if (!pixels->problem && pixels->shape != stream.shape) {
    metrics_.report(Fault::frame_wrong_shape,
                    "image of another size or type than its series; recorded as damaged",
                    {{"frame", frame.frame},
                     {"rows", pixels->shape.rows},
                     {"cols", pixels->shape.cols},
                     {"dtype", dtype_name(pixels->shape.dtype)}});
    mark(stream_index, frame.frame, event, DAMAGED);
    return false;
  }
  auto held = wait_for_slot();
  if (!held) {
    const auto trouble = pool_.trouble();
    metrics_.report(
        Fault::pool_full,
        pool_.ready() ? "frame pool is full; frame lost" : "there is no frame pool yet; frame lost",
        {{"frame", frame.frame},
         {"slots", pool_.slots()},
         {"why", std::string_view(trouble ? trouble->message : "")}});
    mark(stream_index, frame.frame, event, LOST);
    return true;
  }
  const Status unpacked =
      pixels->problem ? Status(*pixels->problem) : unpack_into_slot(stream, *pixels, *held);
  if (!unpacked.ok()) {
    metrics_.report(Fault::frame_unreadable, "image's pixels can't be read; recorded as damaged",
                    {{"frame", frame.frame}, {"why", std::string_view(unpacked.error().message)}});
    mark(stream_index, frame.frame, event, DAMAGED);
    return false;
  }
  SlotHeader& header = held->frame.header();
  header.stream = stream.stream;
  std::copy(current_.info->uid.bytes.begin(), current_.info->uid.bytes.end(), header.series_uid);
  header.frame = frame.frame;
  header.detector_time_ns = frame.detector_time_ns;
  header.received_utc_ns = event.received_utc_ns;
  header.received_monotonic_ns = event.received_monotonic_ns;
  held->frame.keep_user_data(frame.user_data);
  held->frame.commit();
  metrics_.frames_received.add();
  metrics_.frames_raw_bytes.add(static_cast<double>(stream.shape.bytes()));

  FrameTaken taken{stream_index, {}};
  taken.note = {frame.frame,
                SENT,
                foreframe::wire::STAGE_NONE,
                frame.detector_time_ns,
                event.received_utc_ns,
                event.received_monotonic_ns,
                {frame.user_data.begin(), frame.user_data.end()},
                std::move(held)};
  out_(std::move(taken));
  return true;
}

Status SeriesIngest::unpack_into_slot(const StreamInfo& stream, const ChannelPixels& pixels,
                                      HeldFrame& held) {
  const std::int64_t begin = monotonic_now_ns();
  FF_TRY(unpack_pixels(pixels, held.frame.room().first(stream.shape.bytes())));
  held.frame.header().pixel_bytes = stream.shape.bytes();
  metrics_.unpack_seconds.observe(static_cast<double>(monotonic_now_ns() - begin) * 1e-9);
  return {};
}

/// While we wait, ZeroMQ stops reading and the detector's own buffer takes the load; only after
/// `pool_wait_max` (`pool_make_max` while there is no pool yet) is a frame given up. Once one was, the next ones
/// don't wait until a slot is free again.
std::shared_ptr<HeldFrame> SeriesIngest::wait_for_slot() {
  const auto patience = pool_.ready() ? options_.pool_wait_max : options_.pool_make_max;
  const std::int64_t deadline = monotonic_now_ns() + (pool_exhausted_ ? 0 : patience.count());
  while (true) {
    auto held = pool_.take();
    if (held) {
      pool_exhausted_ = false;
      return held;
    }
    if (monotonic_now_ns() >= deadline) break;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  pool_exhausted_ = true;
  return nullptr;
}

/// It came, and rule says that it is not kept: its times are, its pixels are not even unpacked.
void SeriesIngest::veto(const FrameArrived& frame, const SourceEvent& event) {
  for (std::size_t index = 0; index < current_.info->streams.size(); ++index) {
    FrameTaken taken{index, {}};
    taken.note.frame = frame.frame;
    taken.note.state = foreframe::wire::VETOED;
    taken.note.detector_time_ns = frame.detector_time_ns;
    taken.note.received_utc_ns = event.received_utc_ns;
    taken.note.received_monotonic_ns = event.received_monotonic_ns;
    out_(std::move(taken));
    metrics_.frames_vetoed.add();
  }
}

void SeriesIngest::mark(std::size_t stream_index, std::uint64_t frame, const SourceEvent& event,
                        FrameState state) {
  FrameTaken taken{stream_index, {}};
  taken.note.frame = frame;
  taken.note.state = state;
  taken.note.stage = foreframe::wire::STAGE_INGEST;
  taken.note.received_utc_ns = event.received_utc_ns;
  taken.note.received_monotonic_ns = event.received_monotonic_ns;
  taken.note.detector_time_ns = kNoTime;
  out_(std::move(taken));
}

}  // namespace ff::agent
