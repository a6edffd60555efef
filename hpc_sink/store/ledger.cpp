// SPDX-License-Identifier: Apache-2.0
//
// Ledger: one fate per frame from the windows, then counts, ranges, JSON and text.
#include "hpc_sink/store/ledger.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "common/base/clock.hpp"
#include "common/wire/envelope.hpp"

namespace ff::sink {
namespace {

namespace pb = foreframe::wire;
using Json = nlohmann::ordered_json;

constexpr std::array<FrameState, 7> kTerminalStates{pb::STORED_EXACT, pb::STORED_BOUNDED, pb::SUMMARISED,
                                                    pb::VETOED,       pb::DAMAGED,        pb::LOST,
                                                    pb::NOT_ACQUIRED};

std::uint64_t frames_known(const StreamRow& stream, const std::vector<WindowFates>& windows) {
  if (windows.empty()) return 0;
  return windows.back().window * stream.window_frames + windows.back().fates.size();
}

std::optional<std::uint64_t> frames_expected(const StreamRow& stream) {
  wire::EnvelopeHeader end;
  if (stream.end_header.empty() || !end.ParseFromString(stream.end_header)) return std::nullopt;
  return end.series_end().frames_expected();
}

void place_windows(const StreamRow& stream, const std::vector<WindowFates>& windows, StreamLedger& ledger) {
  std::uint64_t beyond = 0;
  for (const WindowFates& window : windows) {
    for (std::size_t i = 0; i < window.fates.size(); ++i) {
      const std::uint64_t frame = window.window * stream.window_frames + i;
      if (frame < ledger.expected)
        ledger.fates[frame] = window.fates[i];
      else
        beyond += is_stored(window.fates[i]) ? 1 : 0;
    }
  }
  if (beyond > 0) ledger.open.push_back(std::to_string(beyond) + " frames are stored beyond the series' end");
}

void settle_unknown(bool closed, StreamLedger& ledger) {
  std::uint64_t unknown = 0;
  for (FrameFate& fate : ledger.fates) {
    if (fate.state != pb::FRAME_STATE_UNSPECIFIED) continue;
    if (closed)
      fate = make_fate(pb::LOST, pb::STAGE_LOG);
    else
      ++unknown;
  }
  if (unknown > 0) ledger.open.push_back(std::to_string(unknown) + " frames have no record yet");
}

// The streams of a detector have one frame numbering: where one's end never came, another's says how many frames there
// were.
std::optional<std::uint64_t> detector_end(const std::vector<StreamRow>& streams) {
  std::optional<std::uint64_t> end;
  for (const StreamRow& stream : streams)
    if (const auto own = frames_expected(stream)) end = std::max(end.value_or(0), *own);
  return end;
}

// Streams that a start record names and of which nothing else came.
std::vector<StreamRow> absent_streams(const std::vector<StreamRow>& streams) {
  std::map<std::uint32_t, StreamRow> absent;
  for (const StreamRow& stream : streams) {
    wire::EnvelopeHeader start;
    if (stream.start_header.empty() || !start.ParseFromString(stream.start_header)) continue;
    for (const std::uint32_t named : start.series_start().streams())
      absent[named] = {.key = {stream.key.series, named}, .window_frames = stream.window_frames};
  }
  for (const StreamRow& stream : streams) absent.erase(stream.key.stream);
  std::vector<StreamRow> rows;
  rows.reserve(absent.size());
  for (auto& [stream, row] : absent) rows.push_back(std::move(row));
  return rows;
}

Result<StreamLedger> build_stream(const Catalogue& catalogue, const SeriesRow& series,
                                  const StreamRow& stream, std::optional<std::uint64_t> end_of_others) {
  FF_ASSIGN(const std::vector<WindowFates> windows, catalogue.windows(stream.key));
  const auto expected = frames_expected(stream);
  StreamLedger ledger;
  ledger.stream = stream.key.stream;
  ledger.channel = stream.geometry.channel();
  ledger.window_frames = stream.window_frames;
  ledger.end_known = expected.has_value();
  ledger.expected = expected.value_or(std::max(frames_known(stream, windows), end_of_others.value_or(0)));
  if (ledger.expected > kLedgerFramesMax)
    return fail(Errc::out_of_range, "series " + series.uid.to_string() + " expects " +
                                        std::to_string(ledger.expected) +
                                        " frames, more than a ledger holds");
  ledger.fates.resize(ledger.expected);
  if (!expected && !(end_of_others && series.closed_utc_ns != 0))
    ledger.open.emplace_back("its end is not known");
  place_windows(stream, windows, ledger);
  settle_unknown(series.closed_utc_ns != 0, ledger);
  return ledger;
}

Json range_list(const std::vector<FrameRange>& ranges) {
  Json list = Json::array();
  for (const FrameRange& range : ranges) list.push_back({range.first, range.last});
  return list;
}

Json stream_json(const StreamLedger& ledger) {
  Json json{{"stream", ledger.stream},
            {"channel", ledger.channel},
            {"expected", ledger.expected},
            {"end_known", ledger.end_known}};
  Json counts;
  for (const FrameState state : kTerminalStates)
    counts[std::string(state_word(static_cast<std::uint8_t>(state)))] = ledger.count(state);
  json["counts"] = counts;
  json["closes"] = ledger.closes();
  json["open"] = ledger.open;
  for (const auto& [fate, ranges] : ledger.ranges()) {
    const std::string word(state_word(fate.first));
    const bool has_stage = fate.first == pb::LOST || fate.first == pb::DAMAGED;
    Json entry;
    if (has_stage) entry["stage"] = stage_word(fate.second);
    entry["frames"] = range_list(ranges);
    json["frames"][word].push_back(entry);
  }
  return json;
}

std::string range_text(const std::vector<FrameRange>& ranges) {
  constexpr std::size_t kShown = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(ranges.size(), kShown); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(ranges[i].first);
    if (ranges[i].last != ranges[i].first) text += "-" + std::to_string(ranges[i].last);
  }
  if (ranges.size() > kShown) text += ", ... (" + std::to_string(ranges.size()) + " ranges; --json has all)";
  return text;
}

std::string stream_text(const StreamLedger& ledger) {
  std::string text = "  stream " + std::to_string(ledger.stream);
  if (!ledger.channel.empty()) text += " (" + ledger.channel + ")";
  text += ": expected " + std::to_string(ledger.expected) + " =";
  bool first = true;
  for (const FrameState state : kTerminalStates) {
    if (ledger.count(state) == 0) continue;
    text += (first ? " " : " + ") + std::to_string(ledger.count(state)) + " " +
            std::string(state_word(static_cast<std::uint8_t>(state)));
    first = false;
  }
  if (first) text += " 0";
  text += ledger.closes() ? "; closes\n" : "; open\n";
  for (const std::string& reason : ledger.open) text += "    open: " + reason + "\n";
  for (const auto& [fate, ranges] : ledger.ranges())
    if (fate.first != pb::STORED_EXACT)
      text += "    " + std::string(state_word(fate.first)) +
              (fate.second == pb::STAGE_NONE ? "" : " (" + std::string(stage_word(fate.second)) + ")") +
              ": " + range_text(ranges) + "\n";
  return text;
}

}  // namespace

std::uint64_t StreamLedger::count(FrameState state) const noexcept {
  return static_cast<std::uint64_t>(std::count_if(fates.begin(), fates.end(), [&](FrameFate fate) {
    return fate.state == static_cast<std::uint8_t>(state);
  }));
}

std::map<std::pair<std::uint8_t, std::uint8_t>, std::vector<FrameRange>> StreamLedger::ranges() const {
  std::map<std::pair<std::uint8_t, std::uint8_t>, std::vector<FrameRange>> found;
  for (std::uint64_t frame = 0; frame < fates.size(); ++frame) {
    std::vector<FrameRange>& ranges = found[{fates[frame].state, fates[frame].stage}];
    if (!ranges.empty() && ranges.back().last + 1 == frame)
      ranges.back().last = frame;
    else
      ranges.push_back({frame, frame});
  }
  return found;
}

bool SeriesLedger::closes() const noexcept {
  return !streams.empty() &&
         std::all_of(streams.begin(), streams.end(), [](const auto& s) { return s.closes(); });
}

Result<SeriesLedger> build_ledger(const Catalogue& catalogue, const SeriesRow& series) {
  FF_ASSIGN(std::vector<StreamRow> streams, catalogue.streams(series.uid));
  const auto end = detector_end(streams);
  for (StreamRow& absent : absent_streams(streams)) streams.push_back(std::move(absent));
  std::ranges::sort(streams, {}, &StreamRow::key);
  SeriesLedger ledger{series, {}};
  for (const StreamRow& stream : streams) {
    FF_ASSIGN(StreamLedger counted, build_stream(catalogue, series, stream, end));
    ledger.streams.push_back(std::move(counted));
  }
  return ledger;
}

std::string ledger_json(const SeriesLedger& ledger, int indent) {
  Json json{{"ledger_version", 1},
            {"series_uid", ledger.series.uid.to_string()},
            {"detector", ledger.series.detector},
            {"closed", ledger.series.closed_utc_ns != 0},
            {"close_reason", ledger.series.close_reason},
            {"closes", ledger.closes()},
            {"streams", Json::array()}};
  for (const StreamLedger& stream : ledger.streams) json["streams"].push_back(stream_json(stream));
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string ledger_text(const SeriesLedger& ledger) {
  std::string text =
      "series " + ledger.series.uid.to_string() + "  detector " + ledger.series.detector + "  " +
      (ledger.series.closed_utc_ns == 0
           ? std::string("open")
           : "closed " + format_utc(ledger.series.closed_utc_ns) + " (" + ledger.series.close_reason + ")") +
      "\n";
  if (!ledger.series.master.empty()) text += "  master " + ledger.series.master + "\n";
  for (const StreamLedger& stream : ledger.streams) text += stream_text(stream);
  return text;
}

}  // namespace ff::sink
