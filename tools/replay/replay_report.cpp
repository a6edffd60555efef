// SPDX-License-Identifier: Apache-2.0
//
// The replay's report as JSON.
#include <nlohmann/json.hpp>

#include "common/base/clock.hpp"
#include "tools/replay/replay.hpp"

namespace ff::tools {

namespace {

using nlohmann::ordered_json;

ordered_json series_json(const SeriesReport& series) {
  ordered_json out = {{"series_id", series.name.id},
                      {"series_unique_id", series.name.unique_id},
                      {"series_date", format_utc(series.name.date_utc_ns)},
                      {"frames_planned", series.frames_planned},
                      {"start_sent", series.start_sent},
                      {"end_sent", series.end_sent},
                      {"image_messages", series.image_messages}};
  // Every kind is there, also when empty: a test that expects nothing must be able to see nothing.
  for (const FrameFault fault : {FrameFault::drop, FrameFault::truncate, FrameFault::corrupt,
                                 FrameFault::twice, FrameFault::reorder}) {
    out[to_string(fault)] = ordered_json::array();
  }
  ordered_json details = ordered_json::object();
  for (const FrameIncident& incident : series.incidents) {
    out[to_string(incident.fault)].push_back(incident.frame);
    details[std::to_string(incident.frame)] = incident.detail;
  }
  out["not_sent"] = series.not_sent;
  out["aborted_after"] = series.aborted_after ? ordered_json(*series.aborted_after) : ordered_json(nullptr);
  out["stray_images"] = series.stray_images;
  if (series.stray_images > 0) out["stray_series_id"] = series.stray_of.id;
  out["details"] = std::move(details);
  return out;
}

}  // namespace

std::string to_json(const ReplayReport& report, const RecordingInfo& info, const FaultPlan& faults,
                    const ReplayOptions& options) {
  ordered_json out = {{"source", info.source},
                      {"endpoint", options.socket.endpoint},
                      {"format", options.messages.format == WireFormat::plain ? "plain" : "stream_v2"},
                      {"rows", info.shape.rows},
                      {"cols", info.shape.cols},
                      {"dtype", std::string(dtype_name(info.shape.dtype))},
                      {"channels", options.messages.channels},
                      {"source_frames", info.frames},
                      {"fault_seed", faults.seed()},
                      {"frame_time_s", report.frame_time_s},
                      {"messages", report.messages},
                      {"bytes", report.bytes},
                      {"seconds", report.seconds},
                      {"late_frames", report.late_frames},
                      {"latest_s", report.latest_s},
                      {"series", ordered_json::array()}};
  for (const SeriesReport& series : report.series) out["series"].push_back(series_json(series));
  return out.dump(1) + "\n";
}

}  // namespace ff::tools
