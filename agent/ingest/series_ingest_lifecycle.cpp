// SPDX-License-Identifier: Apache-2.0
//
// A series from its first message to its last: opened, amended, closed. Which message does which is decided in
// series_ingest.cpp; what an earlier run left behind is taken up in series_ingest_recover.cpp.
#include <algorithm>

#include "agent/ingest/series_ingest.hpp"
#include "common/base/clock.hpp"

namespace ff::agent {

using foreframe::wire::SeriesEnd;

namespace {

constexpr std::size_t kSeriesRemembered = 16;

template <typename Map>
auto value_for(const Map& map, const std::string& channel, bool only_one) -> typename Map::mapped_type {
  if (const auto found = map.find(channel); found != map.end()) return found->second;
  return only_one && map.size() == 1 ? map.begin()->second : typename Map::mapped_type{};
}

/// What a missing start message would have said, from the first image.
SeriesStarted start_from(const FrameArrived& frame) {
  SeriesStarted start;
  start.key = frame.key;
  for (const ChannelPixels& pixels : frame.channels) {
    start.channels.push_back(pixels.channel);
    if (!pixels.problem && !start.shape) start.shape = pixels.shape;
  }
  return start;
}

Status check_shape(const FrameShape& shape, std::size_t channels, std::uint64_t frame_bytes_max) {
  if (shape.rows == 0 || shape.cols == 0 || shape.rows > 65536 || shape.cols > 65536)
    return fail(Errc::shape_mismatch, "frames of " + std::to_string(shape.rows) + " x " +
                                          std::to_string(shape.cols) +
                                          " pixels; 1 ... 65536 rows and columns can be carried");
  if (shape.bytes() * channels > frame_bytes_max)
    return fail(Errc::too_large, "frames of " + std::to_string(shape.bytes()) + " bytes and " +
                                     std::to_string(channels) + " channels are above detector.frame_max of " +
                                     std::to_string(frame_bytes_max) + "; raise it in the configuration");
  return {};
}

}  // namespace

std::vector<std::int64_t> usual_sentinels(Dtype dtype) {
  switch (dtype) {
    case Dtype::u16: return {65535};
    case Dtype::u32: return {4294967295};
    case Dtype::i32: return {-1, -2};
    default: return {};
  }
}

// ---------------------------------------------------------------- open

Status SeriesIngest::open(const SeriesStarted& start, const FrameShape& shape, bool start_missing,
                          const SourceEvent& event) {
  const std::vector<std::string> channels =
      start.channels.empty() ? std::vector<std::string>{""} : start.channels;
  FF_TRY(check_shape(shape, channels.size(), options_.frame_bytes_max));
  auto info = std::make_shared<SeriesInfo>();
  FF_ASSIGN(info->plan, plan_windows(options_.limits, shape, channels.size(), start.frame_time_s,
                                     start.said.detector().description()));
  info->uid = Uuid::mint();
  info->key = start.key;
  info->images_expected = start.images_expected;
  info->start_missing = start_missing;
  info->started_utc_ns = event.received_utc_ns;
  info->said = start.said;
  JournalledSeries journalled{info->uid, info->key, info->plan, {}, info->images_expected};
  for (const std::string& channel : channels) {
    StreamInfo stream;
    stream.stream = options_.first_stream + static_cast<std::uint32_t>(info->streams.size());
    stream.channel = channel;
    stream.shape = shape;
    stream.sentinels = options_.sentinels.empty() ? usual_sentinels(shape.dtype) : options_.sentinels;
    const bool only_one = channels.size() == 1;
    if (auto mask = value_for(start.pixel_mask, channel, only_one); mask.size() == shape.pixels())
      stream.pixel_mask = std::move(mask);
    if (auto flat = value_for(start.flatfield, channel, only_one); flat.size() == shape.pixels())
      stream.flatfield = std::move(flat);
    if (const auto found = start.threshold_energy_ev.find(channel); found != start.threshold_energy_ev.end())
      stream.threshold_energy_ev = found->second;
    journalled.streams.push_back({shape, channel});
    info->streams.push_back(std::move(stream));
  }
  const std::uint64_t slots = options_.pool_frames != 0 ? options_.pool_frames * channels.size()
                                                        : pool_slots_for(info->plan, channels.size());
  FF_TRY(pool_.check(slots, shape.bytes() + kUserDataRoomBytes));
  // The uid is written down before the first frame is taken: there are no slots before.
  journal_.begin_series(journalled);
  FF_TRY(pool_.prepare(slots, shape.bytes() + kUserDataRoomBytes,
                       [&journal = journal_] { return journal.write_down(); }));

  current_ = {};
  current_.images_expected = start.images_expected.value_or(0) > 0 ? start.images_expected : std::nullopt;
  current_.last_event_ns = event.received_monotonic_ns;
  current_.info = info;
  pool_exhausted_ = false;
  metrics_.series_started.add();
  service::log_info("series started", {{"series", info->uid.to_string()},
                                       {"detector_series", info->key.id},
                                       {"streams", info->streams.size()},
                                       {"rows", shape.rows},
                                       {"cols", shape.cols},
                                       {"dtype", dtype_name(shape.dtype)},
                                       {"window_frames", info->plan.window_frames},
                                       {"group_frames", info->plan.group_frames},
                                       {"pool_slots", slots},
                                       {"images_expected", info->images_expected.value_or(0)}});
  out_(SeriesOpened{info});
  return {};
}

void SeriesIngest::open_from_image(const FrameArrived& frame, const SourceEvent& event) {
  if (series_open()) {
    if (current_.ending_since_ns == 0)
      metrics_.report(Fault::end_missing,
                      "images of a new series came before the end of the last one; that one is closed",
                      {{"detector_series", current_.info->key.id}, {"next_detector_series", frame.key.id}});
    close(current_.ending_since_ns != 0 ? SeriesEnd::DETECTOR_END : SeriesEnd::NEWER_SERIES);
  }
  const bool announced = announced_ && announced_->key.matches(frame.key);
  SeriesStarted start = start_from(frame);
  const auto shape = announced && announced_->shape ? announced_->shape : start.shape;
  if (announced) {
    const std::vector<std::string> channels = start.channels;
    start = *announced_;
    if (start.channels.empty()) start.channels = channels;
  }
  Status opened =
      shape ? Status{} : Status(fail(Errc::dtype_unsupported, "its first image has no usable pixels"));
  if (shape) opened = open(start, *shape, !announced, event);
  if (!opened.ok()) {
    metrics_.report(Fault::frame_unreadable, "image of a series that can't be taken",
                    {{"detector_series", frame.key.id},
                     {"frame", frame.frame},
                     {"why", std::string_view(opened.error().message)}});
    return;
  }
  announced_.reset();
  if (!announced)
    metrics_.report(Fault::start_missing,
                    "images without a start message; geometry is taken from the first image",
                    {{"detector_series", frame.key.id}, {"series", current_.info->uid.to_string()}});
}

void SeriesIngest::amend(const SeriesStarted& start) {
  auto info = std::make_shared<SeriesInfo>(*current_.info);
  const bool only_one = info->streams.size() == 1;
  info->start_missing = false;
  info->said = start.said;
  info->key = start.key;
  info->images_expected = start.images_expected;
  for (StreamInfo& stream : info->streams) {
    const auto fits = [&](std::size_t values) { return values == stream.shape.pixels(); };
    // The mask that blocks were coded with so far stays; the record shows what the detector said.
    if (auto mask = value_for(start.pixel_mask, stream.channel, only_one); fits(mask.size()))
      stream.pixel_mask = mask;
    if (auto flat = value_for(start.flatfield, stream.channel, only_one); fits(flat.size()))
      stream.flatfield = flat;
  }
  current_.info = info;
  if (start.images_expected.value_or(0) >= current_.seen.size() && start.images_expected.value_or(0) > 0)
    current_.images_expected = start.images_expected;
  out_(SeriesAmended{info});
}

// ---------------------------------------------------------------- close

void SeriesIngest::close(SeriesEnd::Reason reason) {
  over_.push_back(current_.info->key);
  if (over_.size() > kSeriesRemembered) over_.pop_front();
  metrics_.series_ended.add();
  service::log_info("series ended", {{"series", current_.info->uid.to_string()},
                                     {"reason", SeriesEnd::Reason_Name(reason)},
                                     {"frames_received", current_.received},
                                     {"frames_duplicated", current_.duplicated},
                                     {"messages_stray", current_.stray},
                                     {"messages_unreadable", current_.unreadable}});
  out_(SeriesClosed{reason, current_.received, current_.duplicated, current_.stray, current_.unreadable,
                    current_.images_expected});
  const std::int64_t last_event_ns = current_.last_event_ns;
  current_ = {};
  current_.last_event_ns = last_event_ns;
}

}  // namespace ff::agent
