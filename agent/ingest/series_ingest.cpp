// SPDX-License-Identifier: Apache-2.0
//
// Series and their faults.
#include "agent/ingest/series_ingest.hpp"

#include <algorithm>
#include <thread>

#include "agent/ingest/pixel_unpack.hpp"
#include "common/base/clock.hpp"
#include "common/wire/tile_grid.hpp"

namespace ff::agent {

using foreframe::wire::DAMAGED;
using foreframe::wire::FrameState;
using foreframe::wire::LOST;
using foreframe::wire::SENT;
using foreframe::wire::SeriesEnd;

namespace {

constexpr std::size_t kSeriesRemembered = 16;
constexpr auto kPoolPatience = std::chrono::seconds(10);

const ChannelPixels* find_channel(const FrameArrived& frame, const SeriesInfo& series,
                                  const StreamInfo& stream) {
  // One stream, one array: whatever they call it, it is this one.
  if (series.streams.size() == 1 && frame.channels.size() == 1) return &frame.channels[0];
  for (const ChannelPixels& pixels : frame.channels)
    if (pixels.channel == stream.channel) return &pixels;
  return nullptr;
}

template <typename Map>
auto value_for(const Map& map, const std::string& channel, bool only_one) -> typename Map::mapped_type {
  if (const auto found = map.find(channel); found != map.end()) return found->second;
  return only_one && map.size() == 1 ? map.begin()->second : typename Map::mapped_type{};
}

bool same_unique_id(const SeriesKey& a, const SeriesKey& b) {
  return a.id == b.id && !a.unique_id.empty() && a.unique_id == b.unique_id;
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

SeriesIngest::SeriesIngest(SeriesIngestOptions options, PoolKeeper& pool, AgentJournal& journal,
                           AgentMetrics& metrics, Out out)
    : options_(std::move(options)), pool_(pool), journal_(journal), metrics_(metrics), out_(std::move(out)) {}

void SeriesIngest::handle(const SourceEvent& event) {
  metrics_.messages.add();
  metrics_.received_bytes.add(static_cast<double>(event.message_bytes));
  if (const auto* frame = std::get_if<FrameArrived>(&event.what)) on_frame(*frame, event);
  if (const auto* start = std::get_if<SeriesStarted>(&event.what)) on_start(*start, event);
  if (const auto* end = std::get_if<SeriesEnded>(&event.what)) on_end(*end, event);
  if (const auto* broken = std::get_if<Unreadable>(&event.what)) on_unreadable(*broken, event);
}

// ---------------------------------------------------------------- start

void SeriesIngest::on_start(const SeriesStarted& start, const SourceEvent& event) {
  if (series_open() && current_.info->start_missing && current_.info->key.matches(start.key)) {
    metrics_.report(Fault::start_late,
                    "start message came after its first image; the series record is completed",
                    {{"detector_series", start.key.id}});
    return amend(start);
  }
  if (series_open() && same_unique_id(current_.info->key, start.key)) {
    metrics_.report(Fault::start_repeated, "start message repeated; ignored",
                    {{"detector_series", start.key.id}});
    return;
  }
  if (series_open() && current_.ending_since_ns == 0)
    metrics_.report(Fault::end_missing,
                    "a new series began before the end of the last one; that one is closed",
                    {{"detector_series", current_.info->key.id}, {"next_detector_series", start.key.id}});
  if (series_open()) close(current_.ending_since_ns != 0 ? SeriesEnd::DETECTOR_END : SeriesEnd::NEWER_SERIES);

  announced_.reset();
  if (!start.shape || start.channels.empty()) {
    announced_ = start;  // geometry comes with the first image
    return;
  }
  const Status opened = open(start, *start.shape, false, event);
  if (!opened.ok())
    metrics_.report(Fault::start_unusable, "series can't be taken",
                    {{"detector_series", start.key.id}, {"why", std::string_view(opened.error().message)}});
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

Status SeriesIngest::open(const SeriesStarted& start, const FrameShape& shape, bool start_missing,
                          const SourceEvent& event) {
  const std::vector<std::string> channels =
      start.channels.empty() ? std::vector<std::string>{""} : start.channels;
  FF_TRY(check_shape(shape, channels.size(), options_.frame_bytes_max));
  if (journal_.unfinished()) {
    resume_from_journal(event.received_monotonic_ns);
    if (series_open()) close(SeriesEnd::NEWER_SERIES);
  }
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
  FF_TRY(pool_.prepare(slots, shape.bytes(), kPoolPatience));
  // The uid is on disk before the first frame is in memory.
  FF_TRY(journal_.begin_series(journalled));

  current_ = {};
  current_.images_expected = start.images_expected.value_or(0) > 0 ? start.images_expected : std::nullopt;
  current_.last_event_ns = event.received_monotonic_ns;
  current_.info = info;
  pool_exhausted_ = false;
  metrics_.pool_slots.set(pool_.slots());
  metrics_.series_started.add();
  service::log_info("series started", {{"series", info->uid.to_string()},
                                       {"detector_series", info->key.id},
                                       {"streams", info->streams.size()},
                                       {"rows", shape.rows},
                                       {"cols", shape.cols},
                                       {"dtype", dtype_name(shape.dtype)},
                                       {"window_frames", info->plan.window_frames},
                                       {"group_frames", info->plan.group_frames},
                                       {"pool_slots", pool_.slots()},
                                       {"images_expected", info->images_expected.value_or(0)}});
  out_(SeriesOpened{info});
  return {};
}

/// Goes on with the series that the last run left open.
void SeriesIngest::resume_from_journal(std::int64_t now_monotonic_ns) {
  const auto unfinished = journal_.unfinished();
  journal_.forget_unfinished();
  auto info = std::make_shared<SeriesInfo>();
  info->uid = unfinished->series.uid;
  info->key = unfinished->series.key;
  info->plan = unfinished->series.plan;
  info->images_expected = unfinished->series.images_expected;
  info->started_utc_ns = utc_now_ns();
  info->first_window = unfinished->windows_spooled;
  info->resumed = true;
  std::size_t frame_bytes = 0;
  for (const JournalledStream& journalled : unfinished->series.streams) {
    StreamInfo stream;
    stream.stream = options_.first_stream + static_cast<std::uint32_t>(info->streams.size());
    stream.channel = journalled.channel;
    stream.shape = journalled.shape;
    stream.sentinels =
        options_.sentinels.empty() ? usual_sentinels(journalled.shape.dtype) : options_.sentinels;
    frame_bytes = std::max(frame_bytes, stream.shape.bytes());
    info->streams.push_back(std::move(stream));
  }
  const Status ready =
      pool_.prepare(pool_slots_for(info->plan, info->streams.size()), frame_bytes, kPoolPatience);
  if (!ready.ok()) {
    service::log_warning(
        "series of the last run can't be continued",
        {{"series", info->uid.to_string()}, {"why", std::string_view(ready.error().message)}});
    return;
  }
  metrics_.report(Fault::series_resumed,
                  "the last run left a series open; going on with it under the same uid",
                  {{"series", info->uid.to_string()},
                   {"detector_series", info->key.id},
                   {"windows_done", info->first_window},
                   {"epoch", journal_.epoch()}});
  current_ = {};
  current_.images_expected = info->images_expected.value_or(0) > 0 ? info->images_expected : std::nullopt;
  current_.last_event_ns = now_monotonic_ns;
  current_.info = info;
  metrics_.pool_slots.set(pool_.slots());
  out_(SeriesOpened{info});
}

bool SeriesIngest::resume(const SeriesKey& key, const FrameArrived& frame, const SourceEvent& event) {
  const auto unfinished = journal_.unfinished();
  if (!unfinished || !unfinished->series.key.matches(key)) return false;
  const auto shape = start_from(frame).shape;
  if (shape && *shape != unfinished->series.streams[0].shape) return false;
  resume_from_journal(event.received_monotonic_ns);
  return series_open();
}

// ---------------------------------------------------------------- image

/// True for an image that belongs to a series known to be over. A detector counts its series upwards: a lower
/// id than that of the open series is an old one's.
bool SeriesIngest::is_stray(const SeriesKey& key) const {
  if (announced_ && announced_->key.matches(key)) return false;
  for (const SeriesKey& over : over_)
    if (over.matches(key)) return true;
  const SeriesKey* current = series_open() ? &current_.info->key : announced_ ? &announced_->key : nullptr;
  return current != nullptr && key.id < current->id;
}

void SeriesIngest::on_frame(const FrameArrived& frame, const SourceEvent& event) {
  if (!series_open() || !current_.info->key.matches(frame.key)) {
    if (is_stray(frame.key)) {
      ++current_.stray;
      metrics_.report(Fault::stray_image, "image of a series that is over; ignored",
                      {{"detector_series", frame.key.id}, {"frame", frame.frame}});
      return;
    }
    open_from_image(frame, event);
    if (!series_open() || !current_.info->key.matches(frame.key)) return;
  }
  current_.last_event_ns = event.received_monotonic_ns;
  if (!accept_number(frame.frame)) return;
  bool readable = true;
  for (std::size_t stream = 0; stream < current_.info->streams.size(); ++stream)
    readable = take_channel(stream, frame, event) && readable;
  if (!readable) forget_number(frame.frame);
  metrics_.pool_slots_used.set(pool_.in_use());
  close_if_complete(event.received_monotonic_ns);
}

void SeriesIngest::open_from_image(const FrameArrived& frame, const SourceEvent& event) {
  if (!series_open() && resume(frame.key, frame, event)) return;
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

/// Notes the number as seen. False, counted, for numbers that can't be and for numbers that were.
bool SeriesIngest::accept_number(std::uint64_t frame) {
  const std::uint64_t first = current_.info->first_window * current_.info->plan.window_frames;
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
    metrics_.report(Fault::pool_full, "frame pool is full; frame lost",
                    {{"frame", frame.frame}, {"slots", pool_.slots()}});
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
/// `pool_wait_max` is a frame given up. Once one was, the next ones don't wait until a slot is free again.
std::shared_ptr<HeldFrame> SeriesIngest::wait_for_slot() {
  const std::int64_t deadline = monotonic_now_ns() + (pool_exhausted_ ? 0 : options_.pool_wait_max.count());
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

// ---------------------------------------------------------------- end and faults

void SeriesIngest::on_end(const SeriesEnded& end, const SourceEvent& event) {
  announced_.reset();
  if (!series_open() && journal_.unfinished() && journal_.unfinished()->series.key.matches(end.key))
    resume_from_journal(event.received_monotonic_ns);
  if (!series_open() || !current_.info->key.matches(end.key)) {
    ++current_.stray;
    metrics_.report(Fault::stray_end, "end of a series that is not open; ignored",
                    {{"detector_series", end.key.id}});
    return;
  }
  if (current_.ending_since_ns == 0) current_.ending_since_ns = event.received_monotonic_ns;
  close_if_complete(event.received_monotonic_ns);
}

void SeriesIngest::on_unreadable(const Unreadable& message, const SourceEvent& event) {
  const bool ours = series_open() && message.key && current_.info->key.matches(*message.key);
  if (ours && message.frame && accept_number(*message.frame)) {
    current_.last_event_ns = event.received_monotonic_ns;
    ++current_.unreadable;
    metrics_.report(Fault::frame_unreadable, "image can't be read; recorded as damaged",
                    {{"frame", *message.frame}, {"why", std::string_view(message.why.message)}});
    for (std::size_t stream = 0; stream < current_.info->streams.size(); ++stream)
      mark(stream, *message.frame, event, DAMAGED);
    return forget_number(*message.frame);
  }
  ++current_.unreadable;
  metrics_.report(message.why.code == Errc::too_large ? Fault::message_too_large : Fault::message_unreadable,
                  "message can't be read; ignored",
                  {{"code", to_string(message.why.code)},
                   {"bytes", event.message_bytes},
                   {"why", std::string_view(message.why.message)}});
}

void SeriesIngest::tick(std::int64_t now_monotonic_ns) {
  if (!series_open()) {
    // Nobody came back for the series of the last run.
    if (journal_.unfinished() && current_.last_event_ns == 0) current_.last_event_ns = now_monotonic_ns;
    if (journal_.unfinished() && now_monotonic_ns - current_.last_event_ns >= options_.idle_timeout.count()) {
      resume_from_journal(now_monotonic_ns);
      if (series_open()) close(SeriesEnd::IDLE);
    }
    return;
  }
  close_if_complete(now_monotonic_ns);
  if (series_open() && now_monotonic_ns - current_.last_event_ns >= options_.idle_timeout.count()) {
    metrics_.report(Fault::series_idle, "nothing came for series.idle_timeout; series closed",
                    {{"series", current_.info->uid.to_string()}, {"frames_received", current_.received}});
    close(SeriesEnd::IDLE);
  }
}

/// After the end message a series stays open for stragglers, unless everything announced is there.
void SeriesIngest::close_if_complete(std::int64_t now_monotonic_ns) {
  if (current_.ending_since_ns == 0) return;
  const std::uint64_t wanted = current_.images_expected.value_or(current_.seen.size());
  if (current_.received < wanted && now_monotonic_ns - current_.ending_since_ns < options_.end_grace.count())
    return;
  close(SeriesEnd::DETECTOR_END);
}

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

void SeriesIngest::stop() {
  if (series_open()) close(current_.ending_since_ns != 0 ? SeriesEnd::DETECTOR_END : SeriesEnd::AGENT_STOP);
}

}  // namespace ff::agent
