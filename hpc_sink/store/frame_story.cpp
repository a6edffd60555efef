// SPDX-License-Identifier: Apache-2.0
//
// Frame story: putting together what catalogue and data file know. As text and JSON: frame_story_text.cpp.
#include "hpc_sink/store/frame_story.hpp"

#include <algorithm>

#include "common/wire/envelope.hpp"
#include "common/wire/tile_grid.hpp"

namespace ff::sink {
namespace {

namespace pb = foreframe::wire;

std::string lost_in_log(const StreamStory& story) {
  if (!story.reported && story.groups.empty())
    return "no record of its window came to this sink: look for the window in the agent's spool, in the "
           "log's retention "
           "and in log_gaps of the sink's metrics";
  std::uint32_t blocks = 0;
  for (const auto& group : story.groups) blocks += group.blocks();
  return "the agent sent it, and " + std::to_string(blocks) + " of its " + std::to_string(story.tiles) +
         " blocks came before the window's patience was over";
}

std::string lost_in_spool(const pb::WindowFacts& facts) {
  if (facts.failures().empty()) return "the agent's spool could not take it, or lost it";
  const auto& last = *facts.failures().rbegin();
  return "it is not in the agent's spool any more: " + last.block() + " " + last.reason();
}

std::string ended_in(const StreamStory& story) {
  switch (story.fate.stage) {
    case pb::STAGE_RECEIVE:
      return "the detector counted it, the agent never received it: network or the detector's own queue";
    case pb::STAGE_INGEST:
      return "it reached the agent too late, could not be read there, or the frame pool was full";
    case pb::STAGE_ENCODE: return "the agent could not code it";
    case pb::STAGE_SPOOL: return lost_in_spool(story.facts);
    case pb::STAGE_LINK: return "it was given up between agent and collector";
    case pb::STAGE_LOG: return lost_in_log(story);
    case pb::STAGE_RETENTION: return "the log freed it before a sink had read it";
    case pb::STAGE_DECODE:
      return story.facts.failures().empty()
                 ? "a block of it could not be decoded"
                 : "a block could not be decoded: " + story.facts.failures(0).block() + ": " +
                       story.facts.failures(0).reason();
    case pb::STAGE_STORE:
      return "the store could not take it" +
             (story.facts.failures().empty() ? "" : ": " + story.facts.failures().rbegin()->reason());
    default: return "its stage is not known";
  }
}

std::string explain(const StreamStory& story, bool closed) {
  switch (story.fate.state) {
    case pb::STORED_EXACT:
      return "stored bit for bit in " + story.file + ", row " + std::to_string(story.row);
    case pb::STORED_BOUNDED:
      return "stored within its bound in " + story.file + ", row " + std::to_string(story.row);
    case pb::SUMMARISED: return "the transfer policy kept a summary only";
    case pb::VETOED: return "the transfer policy dropped it";
    case pb::DAMAGED: return "it came and could not be read: " + ended_in(story);
    case pb::LOST: return "lost: " + ended_in(story);
    case pb::NOT_ACQUIRED: return "nothing proves that the detector took it";
    default: return closed ? "lost: " + lost_in_log(story) : "no record of it has come yet";
  }
}

void place_in_file(const std::vector<FileRow>& files, std::uint64_t frame, StreamStory& story) {
  for (const FileRow& file : files) {
    if (file.stream.stream != story.stream) continue;
    const auto row =
        std::find(file.frame_numbers.begin(), file.frame_numbers.end(), static_cast<std::int64_t>(frame));
    if (row == file.frame_numbers.end()) continue;
    story.file = file.name;
    story.row = static_cast<std::uint64_t>(row - file.frame_numbers.begin());
  }
}

void place_in_window(const WindowFates& window, StreamStory& story) {
  story.reported = window.reported;
  story.complete = window.complete;
  if (story.position < window.fates.size()) story.fate = window.fates[story.position];
  if (is_stored(story.fate)) story.pixel_crc = pixel_crc_of(window, story.position);
  if (!story.facts.ParseFromString(window.facts)) story.facts.Clear();
  for (const auto& group : story.facts.groups())
    if (story.position >= group.first_frame() && story.position < group.first_frame() + group.frame_count())
      story.groups.push_back(group);
  for (const auto& seen : story.facts.not_stored())
    if (seen.frame() == story.position)
      story.times = {seen.detector_time_ns(), seen.received_utc_ns(), INT64_MIN};
}

// When the series was minted: a version-7 UUID begins with its UTC milliseconds.
std::int64_t minted_utc_ns(const Uuid& series) noexcept {
  std::int64_t milliseconds = 0;
  for (int i = 0; i < 6; ++i) milliseconds = milliseconds << 8 | series.bytes[static_cast<std::size_t>(i)];
  return milliseconds * 1'000'000;
}

// The partition of a window, from its records or as the agent computes it; nothing: not known.
std::optional<std::int32_t> partition_of(const StreamRow& stream, const StreamStory& story) {
  if (story.facts.first_offset() >= 0 && story.facts.read_utc_ns() != 0) return story.facts.partition();
  wire::EnvelopeHeader header;
  const std::string& known = stream.end_header.empty() ? stream.start_header : stream.end_header;
  if (known.empty() || !header.ParseFromString(known) || header.partition_count() == 0) return std::nullopt;
  return static_cast<std::int32_t>((header.partition_base() + story.window) % header.partition_count());
}

// A gap says which offsets are gone, not whose: each that was noticed since the series began may hold the window.
Status find_gaps(const Catalogue& catalogue, const SeriesRow& series, const StreamRow& stream,
                 StreamStory& story) {
  if (is_stored(story.fate)) return {};
  FF_ASSIGN(const std::vector<LogGapRow> gaps, catalogue.log_gaps());
  const auto partition = partition_of(stream, story);
  for (const LogGapRow& gap : gaps)
    if (gap.topic == "blocks" && gap.noticed_utc_ns >= minted_utc_ns(series.uid) &&
        (!partition || gap.partition == *partition))
      story.log_gaps.push_back(gap);
  return {};
}

Result<StreamStory> tell_stream(const Catalogue& catalogue, const SeriesRow& series, const StreamRow& stream,
                                std::uint64_t frame) {
  StreamStory story;
  story.stream = stream.key.stream;
  story.channel = stream.geometry.channel();
  story.window = frame / stream.window_frames;
  story.position = static_cast<std::uint32_t>(frame % stream.window_frames);
  story.tiles = wire::TileGrid(stream.geometry).count();
  FF_ASSIGN(const auto window, catalogue.window({stream.key, story.window}));
  if (window) place_in_window(*window, story);
  const bool unknown = story.fate.state == pb::FRAME_STATE_UNSPECIFIED;
  if (unknown && series.closed_utc_ns != 0) story.fate = make_fate(pb::LOST, pb::STAGE_LOG);
  FF_TRY(find_gaps(catalogue, series, stream, story));
  return story;
}

bool beyond_end(const StreamRow& stream, std::uint64_t frame) {
  wire::EnvelopeHeader end;
  return !stream.end_header.empty() && end.ParseFromString(stream.end_header) &&
         frame >= end.series_end().frames_expected();
}

}  // namespace

Result<FrameStory> tell_frame(const std::filesystem::path& store, const Catalogue& catalogue,
                              const SeriesRow& series, std::uint64_t frame) {
  FrameStory story{series, frame, {}, {}};
  FF_ASSIGN(const std::vector<StreamRow> streams, catalogue.streams(series.uid));
  FF_ASSIGN(const std::vector<FileRow> files, catalogue.files(series.uid));
  for (const StreamRow& stream : streams) {
    if (stream.window_frames == 0) return fail(Errc::malformed, "a stream without W in the catalogue");
    FF_ASSIGN(StreamStory own, tell_stream(catalogue, series, stream, frame));
    place_in_file(files, frame, own);
    if (beyond_end(stream, frame) && own.file.empty()) continue;
    if (!own.file.empty())
      if (const auto times = read_frame_times(store / own.file, own.row); times.ok()) own.times = *times;
    own.explanation = explain(own, series.closed_utc_ns != 0);
    story.streams.push_back(std::move(own));
  }
  if (story.streams.empty())
    return fail(Errc::not_found,
                "series " + series.uid.to_string() + " has no frame " + std::to_string(frame));
  FF_ASSIGN(const std::vector<SealRow> seals, catalogue.seals(series.uid));
  pb::SealBody body;
  if (!seals.empty() && body.ParseFromString(seals.back().seal.body())) story.seal = std::move(body);
  return story;
}

}  // namespace ff::sink
