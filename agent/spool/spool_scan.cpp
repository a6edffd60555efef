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
constexpr std::size_t kHeaderBytesAt = 8;   // in the envelope's prefix
constexpr std::size_t kDamagedRecordsMax = 1u << 20;

/// A block, by its header.
struct BlockFind {
  std::uint64_t offset = 0, epoch = 0;
  std::uint32_t tile = 0, group = 0;
  std::uint64_t frames = 0;  ///< bits of window positions
};

/// Blocks of one (window, epoch): per tile how many groups lie there without a gap from the first on, and which
/// frames they hold.
struct TileBlocks {
  std::uint32_t groups = 0;
  std::uint64_t frames = 0;
};
using EpochBlocks = std::map<std::uint64_t, std::vector<TileBlocks>>;  // by epoch

struct WindowFind {
  std::uint32_t tiles = 0;
  std::vector<BlockFind> blocks;  ///< in order of the spool
};

struct StreamFind {
  bool start_spooled = false;
  std::uint64_t first_window = 0;
  std::set<std::uint64_t> recorded;  ///< from first_window on
  std::map<std::uint64_t, WindowFind> windows;
};

using StreamKey = std::pair<std::string, std::uint32_t>;  // series uid on the wire, stream
using Finds = std::map<StreamKey, StreamFind>;
using Damage = std::set<std::uint64_t>;  // offsets of records whose bytes have changed

void note_block(const wire::EnvelopeHeader& header, std::uint64_t offset, StreamFind& stream) {
  const auto& block = header.block();
  if (block.window() < stream.first_window) return;
  auto [found, is_new] = stream.windows.try_emplace(block.window());
  if (is_new) found->second.tiles = wire::TileGrid(block.geometry()).count();
  if (block.tile() < found->second.tiles)
    found->second.blocks.push_back(
        {offset, header.epoch(), block.tile(), block.group(), block.present() << block.first_frame()});
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

bool is_open(const StreamFind& stream, std::uint64_t window) {
  return window >= stream.first_window && !stream.recorded.contains(window);
}

/// Where the records of windows that are not recorded begin; UINT64_MAX: there are none.
std::uint64_t open_since(const Finds& finds) {
  std::uint64_t since = UINT64_MAX;
  for (const auto& [key, stream] : finds)
    for (const auto& [window, find] : stream.windows)
      if (is_open(stream, window) && !find.blocks.empty())
        since = std::min(since, find.blocks.front().offset);
  return since;
}

SpooledWindow sum_up(const WindowFind& find, const Damage& damage) {
  EpochBlocks epochs;
  std::uint64_t frames_seen = 0;
  for (const BlockFind& block : find.blocks) {
    frames_seen |= block.frames;
    auto& tiles = epochs[block.epoch];
    if (tiles.empty()) tiles.resize(find.tiles);
    TileBlocks& tile = tiles[block.tile];
    // Twice, unreadable, or behind a gap: nothing can be built on it.
    if (block.group != tile.groups || damage.contains(block.offset)) continue;
    ++tile.groups;
    tile.frames |= block.frames;
  }
  SpooledWindow window;
  window.first_offset = find.blocks.empty() ? 0 : find.blocks.front().offset;
  for (const auto& [epoch, tiles] : epochs) {
    EarlierBlocks blocks{epoch, {}};
    std::uint64_t in_all_tiles = ~std::uint64_t{0};
    for (const TileBlocks& tile : tiles) {
      blocks.groups_per_tile.push_back(tile.groups);
      in_all_tiles &= tile.frames;
    }
    window.frames |= in_all_tiles;
    window.blocks.push_back(std::move(blocks));
  }
  window.frames_in_part = frames_seen & ~window.frames;
  return window;
}

SpooledStream sum_up(const StreamFind& find, const Damage& damage) {
  SpooledStream stream;
  stream.start_spooled = find.start_spooled;
  stream.first_window = find.first_window;
  while (find.recorded.contains(stream.first_window)) ++stream.first_window;
  for (const auto& [window, found] : find.windows)
    if (window >= stream.first_window && is_open(find, window))
      stream.windows.emplace(window, sum_up(found, damage));
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
      if ((found.frames >> frame & 1) != 0)
        stream.frames_spooled.push_back(window * window_frames + frame);
      else if ((found.frames_in_part >> frame & 1) != 0)
        stream.frames_lost.insert(window * window_frames + frame);
  }
  return stream;
}

Payload payload_beginning(const Payload& envelope) {
  if (envelope.size() < wire::kEnvelopePrefixBytes) return {};
  const std::size_t at =
      wire::kEnvelopePrefixBytes + load_le<std::uint32_t>(envelope.bytes().data() + kHeaderBytesAt);
  return at < envelope.size() ? envelope.part(at, envelope.size() - at) : Payload();
}

/// Reads the records of open windows whole: a header that can be read vouches for nothing behind it.
Result<Damage> find_damage(transport::SegmentReader& reader, std::uint64_t from) {
  Damage damage;
  if (from == UINT64_MAX) return damage;
  reader.seek(from);
  while (true) {
    const auto record = reader.next();
    if (record.ok() && !record->has_value()) return damage;
    if (record.ok()) continue;
    if (record.error().code == Errc::io_error) return record.error();
    const transport::SegmentGap gap = reader.last_gap();
    for (std::uint64_t offset = gap.first_offset;
         offset < gap.next_offset && damage.size() < kDamagedRecordsMax; ++offset)
      damage.insert(offset);
    service::log_error("the spool of the last run is damaged in a window that is not over",
                       {{"first_offset", gap.first_offset},
                        {"next_offset", gap.next_offset},
                        {"why", record.error().message}});
  }
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
  return std::optional(SpooledHeader{glance->offset, glance->value_bytes, std::move(header),
                                     payload_beginning(glance->beginning)});
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
  FF_ASSIGN(const Damage damage, find_damage(reader, open_since(finds)));
  std::vector<SpooledSeries> spooled;
  for (const auto& [series, progress] : unfinished) {
    SpooledSeries& one = spooled.emplace_back();
    for (std::uint32_t index = 0; index < progress.size(); ++index)
      one.streams.push_back(sum_up(finds.at({series.uid.to_wire(), first_stream + index}), damage));
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
    series->streams[index].frames_lost.erase(header.frame);
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
