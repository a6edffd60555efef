// SPDX-License-Identifier: Apache-2.0
//
// Series that the run before this one left open: taken up again under the same uid and a new epoch.
#include <algorithm>

#include "agent/ingest/series_ingest.hpp"
#include "common/base/clock.hpp"

namespace ff::agent {

using foreframe::wire::SENT;
using foreframe::wire::SeriesEnd;

namespace {

std::shared_ptr<SeriesInfo> info_from(const RecoveredSeries& left, const SeriesIngestOptions& options) {
  auto info = std::make_shared<SeriesInfo>();
  info->uid = left.series.uid;
  info->key = left.series.key;
  info->plan = left.series.plan;
  info->images_expected = left.series.images_expected;
  info->started_utc_ns = utc_now_ns();
  info->resumed = true;
  for (std::size_t index = 0; index < left.series.streams.size(); ++index) {
    const JournalledStream& journalled = left.series.streams[index];
    StreamInfo stream;
    stream.stream = options.first_stream + static_cast<std::uint32_t>(index);
    stream.channel = journalled.channel;
    stream.shape = journalled.shape;
    stream.sentinels =
        options.sentinels.empty() ? usual_sentinels(journalled.shape.dtype) : options.sentinels;
    stream.start_spooled = left.streams[index].start_spooled;
    info->start_missing =
        info->start_missing || !stream.start_spooled;  // what it said went with the last run
    stream.first_window = left.streams[index].first_window;
    stream.earlier = left.streams[index].earlier;
    info->streams.push_back(std::move(stream));
  }
  return info;
}

}  // namespace

void SeriesIngest::recover(std::vector<RecoveredSeries> left, std::int64_t now_monotonic_ns) {
  for (RecoveredSeries& series : left) {
    if (series_open()) close(SeriesEnd::NEWER_SERIES);
    recover_series(series, now_monotonic_ns);
  }
}

void SeriesIngest::recover_series(RecoveredSeries& left, std::int64_t now_monotonic_ns) {
  auto info = info_from(left, options_);
  metrics_.report(Fault::series_resumed,
                  "the last run left a series open; going on with it under the same uid",
                  {{"series", info->uid.to_string()},
                   {"detector_series", info->key.id},
                   {"windows_done", info->streams[0].first_window},
                   {"frames_from_pool", left.frames.size()},
                   {"epoch", journal_.epoch()}});
  current_ = {};
  current_.images_expected = info->images_expected.value_or(0) > 0 ? info->images_expected : std::nullopt;
  current_.last_event_ns = now_monotonic_ns;
  current_.confirmed = false;
  current_.info = info;
  out_(SeriesOpened{info});
  hand_on_spooled(left, now_monotonic_ns);
  hand_on_pooled(left);
  const std::uint64_t slots = options_.pool_frames != 0 ? options_.pool_frames * info->streams.size()
                                                        : pool_slots_for(info->plan, info->streams.size());
  std::size_t frame_bytes = 0;
  for (const StreamInfo& stream : info->streams) frame_bytes = std::max(frame_bytes, stream.shape.bytes());
  // A pool of another size may have to wait until the frames that were handed on are coded.
  const Status ready = pool_.prepare(slots, frame_bytes + kUserDataRoomBytes);
  if (!ready.ok())
    service::log_error("no frame pool for the series of the last run", {{"why", ready.error().message}});
}

/// Frames whose blocks are safe already, and those whose blocks the spool has lost: their numbers are known, their
/// times went with the last run. Ascending, as frames come.
void SeriesIngest::hand_on_spooled(const RecoveredSeries& left, std::int64_t now_monotonic_ns) {
  for (std::size_t index = 0; index < left.streams.size(); ++index) {
    const RecoveredStream& stream = left.streams[index];
    std::set<std::uint64_t> numbers = stream.frames_lost;
    numbers.insert(stream.frames_spooled.begin(), stream.frames_spooled.end());
    for (const std::uint64_t frame : numbers) {
      if (index == 0 && !accept_number(frame)) continue;
      const bool lost = stream.frames_lost.contains(frame);
      FrameTaken taken{index, {}};
      taken.note.frame = frame;
      taken.note.state = lost ? foreframe::wire::LOST : SENT;
      taken.note.stage = lost ? foreframe::wire::STAGE_SPOOL : foreframe::wire::STAGE_NONE;
      taken.note.detector_time_ns = kNoTime;
      taken.note.received_monotonic_ns = now_monotonic_ns;
      out_(std::move(taken));
    }
  }
}

void SeriesIngest::hand_on_pooled(RecoveredSeries& left) {
  for (std::shared_ptr<HeldFrame>& held : left.frames) {
    const SlotHeader& header = held->frame.header();
    const std::size_t index = header.stream - options_.first_stream;
    if (header.frame >= current_.seen.size() || !current_.seen[header.frame])
      if (!accept_number(header.frame)) continue;
    const ByteSpan user_data = held->frame.user_data();
    FrameTaken taken{index, {}};
    taken.note = {header.frame,
                  SENT,
                  foreframe::wire::STAGE_NONE,
                  header.detector_time_ns,
                  header.received_utc_ns,
                  header.received_monotonic_ns,
                  {user_data.begin(), user_data.end()},
                  std::move(held)};
    metrics_.frames_recovered.add();
    out_(std::move(taken));
  }
}

/// A recovered series and the image that seems to go on with it, but has other pixels: the detector has begun to
/// count its series anew.
bool SeriesIngest::contradicts_recovered(const FrameArrived& frame) const {
  if (current_.confirmed || !current_.info->key.matches(frame.key)) return false;
  for (const ChannelPixels& pixels : frame.channels)
    if (!pixels.problem && pixels.shape != current_.info->streams[0].shape) return true;
  return false;
}

}  // namespace ff::agent
