// SPDX-License-Identifier: Apache-2.0
//
// Windows of all streams of the series at hand.
#include "agent/window/window_stage.hpp"

#include <algorithm>

#include "common/service/logging.hpp"

namespace ff::agent {
namespace {

constexpr std::size_t kDecisionsKept = 64;  // windows between the fastest and the slowest channel

}  // namespace

WindowStage::WindowStage(WindowStageOptions options, const std::atomic<std::uint32_t>& partition_count,
                         EncodeStage& encode, SpoolQueue& out, AgentMetrics& metrics)
    : options_(std::move(options)),
      partition_count_(partition_count),
      encode_(encode),
      out_(out),
      metrics_(metrics) {}

void WindowStage::handle(IngestItem item) {
  if (auto* taken = std::get_if<FrameTaken>(&item)) {
    if (taken->stream_index >= streams_.size()) return;  // its series could not be opened; that was said then
    Stream& stream = streams_[taken->stream_index];
    stream.builder->add(std::move(taken->note),
                        [&](WindowOutput output) { take_output(stream, std::move(output)); });
    report_faults(stream);
  } else if (const auto* opened = std::get_if<SeriesOpened>(&item)) {
    open(*opened);
  } else if (const auto* amended = std::get_if<SeriesAmended>(&item)) {
    for (const Stream& stream : streams_) FF_CHECK(out_.push(stream.work->start_record(*amended->series)));
  } else if (const auto* closed = std::get_if<SeriesClosed>(&item)) {
    close(*closed);
  }
}

void WindowStage::open(const SeriesOpened& opened) {
  StreamIdentity identity = options_.identity;
  identity.partition_count = partition_count_.load(std::memory_order_relaxed);
  const SeriesInfo& series = *opened.series;
  for (std::size_t index = 0; index < series.streams.size(); ++index) {
    auto work = StreamWork::create(opened.series, index, identity, options_.windowing);
    if (!work.ok()) {
      service::log_error("series can't be coded", {{"series", series.uid.to_string()},
                                                   {"why", std::string_view(work.error().message)}});
      streams_.clear();
      return;
    }
    encode_.open(**work);
    WindowBuilderOptions options;
    options.window_frames = series.plan.window_frames;
    options.group_frames = series.plan.group_frames;
    options.reorder_frames = series.plan.reorder_frames;
    options.group_latency_ns = options_.group_latency_ns;
    options.reorder_time_ns = options_.reorder_time_ns;
    options.first_window = series.streams[index].first_window;
    Stream stream;
    stream.work = std::move(*work);
    stream.builder = std::make_unique<WindowBuilder>(options);
    // A series continued from an earlier run has its start record in that run's epoch.
    if (!stream.work->info().start_spooled) FF_CHECK(out_.push(stream.work->start_record(series)));
    streams_.push_back(std::move(stream));
  }
}

void WindowStage::tick(std::int64_t now_monotonic_ns) {
  for (Stream& stream : streams_) {
    stream.builder->tick(now_monotonic_ns,
                         [&](WindowOutput output) { take_output(stream, std::move(output)); });
    report_faults(stream);
  }
}

void WindowStage::close(const SeriesClosed& closed) {
  for (Stream& stream : streams_) {
    const std::uint64_t seen = stream.builder->seen_end();
    const std::uint64_t announced =
        std::min(closed.images_expected.value_or(0), seen + options_.frames_beyond_max);
    const std::uint64_t begun = stream.work->info().first_window * stream.work->series().plan.window_frames;
    const std::uint64_t frames_expected = std::max({announced, seen, begun});
    stream.builder->finish(frames_expected,
                           [&](WindowOutput output) { take_output(stream, std::move(output)); });
    report_faults(stream);
    FF_CHECK(stream.open_windows.empty());
    stream.work->set_end(stream.work->end_record(closed, frames_expected));
    stream.work->release(out_);
  }
  streams_.clear();
  degraded_.clear();
}

std::shared_ptr<WindowWork>& WindowStage::window_work(Stream& stream, std::uint64_t window) {
  auto& work = stream.open_windows[window];
  if (!work) work = std::make_shared<WindowWork>(stream.work, window, degrade(window));
  return work;
}

bool WindowStage::degrade(std::uint64_t window) {
  if (!options_.degrades) return false;
  const auto [decision, is_new] = degraded_.try_emplace(window, false);
  if (is_new) decision->second = options_.degrades();
  while (degraded_.size() > kDecisionsKept) degraded_.erase(degraded_.begin());
  return decision->second;
}

void WindowStage::take_output(Stream& stream, WindowOutput output) {
  if (auto* group = std::get_if<FrameGroup>(&output)) {
    auto& work = window_work(stream, group->window);
    encode_.submit(std::move(*group), work);
    return;
  }
  auto& finished = std::get<FinishedWindow>(output);
  const std::uint64_t window = finished.window;
  auto work = window_work(stream, window);
  stream.open_windows.erase(window);
  stream.builder->set_group_frames(group_frames_for(stream.work->series().plan, stream.work->frame_bytes()));
  work->set_finished(std::move(finished));
  work->release(out_);
  metrics_.windows.add();
}

void WindowStage::report_faults(Stream& stream) {
  const std::uint64_t late = stream.builder->frames_late(), missing = stream.builder->frames_missing();
  if (late > stream.late_reported)
    metrics_.report(Fault::frame_late, "frame came after its group was closed; lost",
                    {{"stream", stream.work->info().stream}, {"frames", late - stream.late_reported}},
                    late - stream.late_reported);
  if (missing > stream.missing_reported)
    metrics_.report(Fault::frame_missing,
                    "frame numbers are missing; the frames were lost before they reached us",
                    {{"stream", stream.work->info().stream}, {"frames", missing - stream.missing_reported}},
                    missing - stream.missing_reported);
  stream.late_reported = late;
  stream.missing_reported = missing;
}

}  // namespace ff::agent
