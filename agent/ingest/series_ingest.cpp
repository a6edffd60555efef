// SPDX-License-Identifier: Apache-2.0
//
// Messages to their series, and the faults of both. A series' opening and closing is in
// series_ingest_lifecycle.cpp, its images' way into slots in series_ingest_frames.cpp.
#include "agent/ingest/series_ingest.hpp"

namespace ff::agent {

using foreframe::wire::DAMAGED;
using foreframe::wire::SeriesEnd;

namespace {

constexpr std::chrono::seconds kLookedAway(1);  ///< between two ticks: this thread was not there

bool same_unique_id(const SeriesKey& a, const SeriesKey& b) {
  return a.id == b.id && !a.unique_id.empty() && a.unique_id == b.unique_id;
}

}  // namespace

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

// ---------------------------------------------------------------- image

/// True for an image that belongs to a series known to be over. A detector counts its series upwards: a lower
/// id than that of the open series is an old one's.
bool SeriesIngest::is_stray(const SeriesKey& key) const {
  if (announced_ && announced_->key.matches(key)) return false;
  for (const SeriesKey& over : over_)
    if (over.matches(key)) return true;
  const bool known = series_open() && current_.confirmed;
  const SeriesKey* current = known ? &current_.info->key : announced_ ? &announced_->key : nullptr;
  return current != nullptr && key.id < current->id;
}

void SeriesIngest::on_frame(const FrameArrived& frame, const SourceEvent& event) {
  if (series_open() && contradicts_recovered(frame)) {
    close(SeriesEnd::NEWER_SERIES);
    over_.pop_back();  // the same name, another series
  }
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
  current_.confirmed = true;
  if (!accept_number(frame.frame)) return;
  if (options_.vetoes && options_.vetoes(frame.frame)) {
    veto(frame, event);
    return close_if_complete(event.received_monotonic_ns);
  }
  bool readable = true;
  for (std::size_t stream = 0; stream < current_.info->streams.size(); ++stream)
    readable = take_channel(stream, frame, event) && readable;
  if (!readable) forget_number(frame.frame);
  close_if_complete(event.received_monotonic_ns);
}

// ---------------------------------------------------------------- end and faults

void SeriesIngest::on_end(const SeriesEnded& end, const SourceEvent& event) {
  announced_.reset();
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
  const std::int64_t since_last_ns = last_tick_ns_ == 0 ? 0 : now_monotonic_ns - last_tick_ns_;
  last_tick_ns_ = now_monotonic_ns;
  metrics_.pool_slots.set(pool_.ready() ? pool_.slots() : 0);
  metrics_.pool_slots_used.set(pool_.in_use());
  if (!series_open()) return;
  // While this process was stopped or waited for the pool nobody looked: that is no silence of the detector's.
  if (since_last_ns > std::chrono::nanoseconds(kLookedAway).count())
    current_.last_event_ns = std::min(now_monotonic_ns, current_.last_event_ns + since_last_ns);
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

void SeriesIngest::stop() {
  if (series_open()) close(current_.ending_since_ns != 0 ? SeriesEnd::DETECTOR_END : SeriesEnd::AGENT_STOP);
}

}  // namespace ff::agent
