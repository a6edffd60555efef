// SPDX-License-Identifier: Apache-2.0
//
// The walk through the spool's end.
#include "agent/spool/spool_scan.hpp"

#include <algorithm>
#include <set>

#include "common/service/logging.hpp"
#include "common/wire/tile_grid.hpp"

namespace ff::agent {
namespace {

constexpr std::size_t kGlanceBytes = 4096;  // holds the header of nearly every record

/// Blocks of one (window, epoch): per tile how many groups lie there without a gap from the first on, and which
/// frames they hold.
struct TileBlocks {
  std::uint32_t groups = 0;
  std::uint64_t frames = 0;
};
using EpochBlocks = std::map<std::uint64_t, std::vector<TileBlocks>>;  // by epoch

struct WindowFind {
  std::uint64_t first_offset = 0;
  EpochBlocks epochs;
};

struct StreamFind {
  bool start_spooled = false;
  std::uint64_t first_window = 0;
  std::set<std::uint64_t> recorded;  ///< from first_window on
  std::map<std::uint64_t, WindowFind> windows;
};

using StreamKey = std::pair<std::string, std::uint32_t>;  // series uid on the wire, stream
using Finds = std::map<StreamKey, StreamFind>;

void note_block(const wire::EnvelopeHeader& header, std::uint64_t offset, StreamFind& stream) {
  const auto& block = header.block();
  if (block.window() < stream.first_window) return;
  auto [found, is_new] = stream.windows.try_emplace(block.window());
  if (is_new) found->second.first_offset = offset;
  auto& tiles = found->second.epochs[header.epoch()];
  if (tiles.empty()) tiles.resize(wire::TileGrid(block.geometry()).count());
  if (block.tile() >= tiles.size()) return;
  TileBlocks& tile = tiles[block.tile()];
  if (block.group() != tile.groups) return;  // twice, or behind a gap: nothing can be built on it
  ++tile.groups;
  tile.frames |= block.present() << block.first_frame();
}

void note_record(const SpooledHeader& record, Finds& finds) {
  if (!record.header.ok()) return;  // the sender names it
  const wire::EnvelopeHeader& header = *record.header;
  const auto found = finds.find({header.series_uid(), header.stream()});
  if (found == finds.end()) return;
  found->second.start_spooled = found->second.start_spooled || header.has_series_start();
  if (header.has_block()) note_block(header, record.offset, found->second);
  if (header.has_window() && header.window().window() >= found->second.first_window)
    found->second.recorded.insert(header.window().window());
}

SpooledWindow sum_up(const WindowFind& find) {
  SpooledWindow window;
  window.first_offset = find.first_offset;
  for (const auto& [epoch, tiles] : find.epochs) {
    EarlierBlocks blocks{epoch, {}};
    std::uint64_t in_all_tiles = ~std::uint64_t{0};
    for (const TileBlocks& tile : tiles) {
      blocks.groups_per_tile.push_back(tile.groups);
      in_all_tiles &= tile.frames;
    }
    window.frames |= in_all_tiles;
    window.blocks.push_back(std::move(blocks));
  }
  return window;
}

SpooledStream sum_up(const StreamFind& find) {
  SpooledStream stream;
  stream.start_spooled = find.start_spooled;
  stream.first_window = find.first_window;
  while (find.recorded.contains(stream.first_window)) ++stream.first_window;
  for (const auto& [window, found] : find.windows)
    if (window >= stream.first_window && !find.recorded.contains(window))
      stream.windows.emplace(window, sum_up(found));
  return stream;
}

bool is_spooled(const SpooledStream& stream, std::uint64_t frame, std::uint32_t window_frames) {
  const std::uint64_t window = frame / window_frames;
  if (window < stream.first_window) return true;
  const auto found = stream.windows.find(window);
  return found != stream.windows.end() && (found->second.frames >> frame % window_frames & 1) != 0;
}

RecoveredStream recover_stream(const SpooledStream& spooled, std::uint32_t window_frames) {
  RecoveredStream stream;
  stream.start_spooled = spooled.start_spooled;
  stream.first_window = spooled.first_window;
  for (const auto& [window, found] : spooled.windows) {
    stream.earlier[window] = found.blocks;
    for (std::uint32_t frame = 0; frame < window_frames; ++frame)
      if ((found.frames >> frame & 1) != 0) stream.frames_spooled.push_back(window * window_frames + frame);
  }
  return stream;
}

}  // namespace

Result<std::optional<SpooledHeader>> next_header(transport::SegmentReader& reader) {
  FF_ASSIGN(auto glance, reader.glance(kGlanceBytes));
  if (!glance) return std::optional<SpooledHeader>{};
  auto header = wire::peek_envelope(glance->beginning.bytes(), glance->value_bytes);
  if (!header.ok() && header.error().code == Errc::too_large && glance->value_bytes > kGlanceBytes) {
    reader.seek(glance->offset);
    FF_ASSIGN(auto again, reader.glance(wire::kEnvelopePrefixBytes + wire::kEnvelopeHeaderBytesMax));
    if (again) header = wire::peek_envelope(again->beginning.bytes(), again->value_bytes);
  }
  return std::optional(SpooledHeader{glance->offset, glance->value_bytes, std::move(header)});
}

Result<std::vector<SpooledSeries>> scan_spool(transport::SegmentReader& reader,
                                              const std::vector<AgentJournal::Unfinished>& unfinished,
                                              std::uint32_t first_stream) {
  Finds finds;
  std::uint64_t from = UINT64_MAX;
  for (const auto& [series, progress] : unfinished)
    for (std::uint32_t index = 0; index < progress.size(); ++index) {
      StreamFind& find = finds[{series.uid.to_wire(), first_stream + index}];
      find.first_window = progress[index].windows;
      find.start_spooled = progress[index].offset > 0;  // first noted behind the start record
      from = std::min(from, progress[index].offset);
    }
  if (from != UINT64_MAX) reader.seek(from);
  while (from != UINT64_MAX) {
    auto record = next_header(reader);
    if (!record.ok() && record.error().code == Errc::io_error) return std::move(record).error();
    if (!record.ok()) continue;  // damage or freed records: the sender names them
    if (!record->has_value()) break;
    note_record(**record, finds);
  }
  std::vector<SpooledSeries> spooled;
  for (const auto& [series, progress] : unfinished) {
    SpooledSeries& one = spooled.emplace_back();
    for (std::uint32_t index = 0; index < progress.size(); ++index)
      one.streams.push_back(sum_up(finds.at({series.uid.to_wire(), first_stream + index})));
  }
  return spooled;
}

std::vector<RecoveredSeries> recover_series(const std::vector<AgentJournal::Unfinished>& unfinished,
                                            const std::vector<SpooledSeries>& spooled,
                                            std::vector<std::shared_ptr<HeldFrame>> frames,
                                            std::uint32_t first_stream, std::uint64_t& forsaken) {
  std::vector<RecoveredSeries> recovered;
  for (std::size_t i = 0; i < unfinished.size(); ++i) {
    RecoveredSeries& series = recovered.emplace_back();
    series.series = unfinished[i].series;
    for (const SpooledStream& stream : spooled[i].streams)
      series.streams.push_back(recover_stream(stream, series.series.plan.window_frames));
  }
  std::map<std::string, std::uint64_t> strangers;  // by uid
  for (std::shared_ptr<HeldFrame>& held : frames) {
    const SlotHeader& header = held->frame.header();
    const Uuid uid = *Uuid::from_bytes(std::as_bytes(std::span(header.series_uid)));
    const auto series = std::ranges::find(recovered, uid, [](const auto& each) { return each.series.uid; });
    const std::size_t index = header.stream - first_stream;
    const bool ours = series != recovered.end() && index < series->streams.size() &&
                      header.pixel_bytes == series->series.streams[index].shape.bytes();
    if (!ours) {
      ++strangers[uid.to_string()];
      continue;
    }
    const SpooledStream& stream =
        spooled[static_cast<std::size_t>(series - recovered.begin())].streams[index];
    if (!is_spooled(stream, header.frame, series->series.plan.window_frames))
      series->frames.push_back(std::move(held));
  }
  for (const auto& [uid, count] : strangers) {
    forsaken += count;
    service::log_error("frames in the pool belong to no series that is open; they are lost",
                       {{"series", uid}, {"frames", count}});
  }
  for (RecoveredSeries& series : recovered)
    std::ranges::sort(series.frames, {}, [](const auto& held) {
      return std::pair(held->frame.header().frame, held->frame.header().stream);
    });
  return recovered;
}

}  // namespace ff::agent
