// SPDX-License-Identifier: Apache-2.0
//
// Archive to frames.
#include "tools/archive/archive_decode.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <zstd.h>

#include "common/wire/envelope.hpp"

namespace ff::tools {

namespace {

namespace pb = foreframe::wire;

constexpr std::uint64_t kFramesMax = 1ull << 40;

/// The mask as the encoder attached it; absent or unreadable masks change no pixel, so they are left out.
std::vector<std::uint32_t> read_mask(const pb::SeriesStart& start, ByteSpan payload,
                                     const FrameShape& shape) {
  for (const pb::Attachment& attachment : start.attachments()) {
    if (attachment.name() != "pixel_mask" || attachment.raw_bytes() != shape.pixels() * 4) continue;
    if (attachment.offset() > payload.size() || attachment.bytes() > payload.size() - attachment.offset())
      continue;
    std::vector<std::uint32_t> mask(shape.pixels());
    const ByteSpan coded = payload.subspan(attachment.offset(), attachment.bytes());
    const std::size_t bytes = ZSTD_decompress(mask.data(), mask.size() * 4, coded.data(), coded.size());
    if (!ZSTD_isError(bytes) && bytes == mask.size() * 4) return mask;
  }
  return {};
}

struct SeriesFacts {
  pb::StreamGeometry geometry;
  std::uint32_t window_frames = 0;
  RecordingInfo info;
};

/// From the start record; a spool's segment without one still has the geometry in every block.
Result<SeriesFacts> read_facts(const ArchiveReader& archive) {
  SeriesFacts facts;
  bool known = false;
  for (const ArchiveEntry& entry : archive.entries()) {
    if (entry.kind == ArchiveRecord::window || (entry.kind == ArchiveRecord::block && known)) continue;
    FF_ASSIGN(const std::vector<std::byte> bytes, archive.read(entry));
    FF_ASSIGN(const wire::ParsedEnvelope envelope, wire::parse_envelope(bytes));
    const pb::EnvelopeHeader& header = envelope.header;
    if (header.has_series_end()) facts.info.frames = header.series_end().frames_expected();
    if (known || header.has_series_end()) continue;
    facts.geometry = header.has_block() ? header.block().geometry() : header.series_start().geometry();
    facts.window_frames = header.window_frames();
    FF_TRY(wire::check_geometry(facts.geometry));
    facts.info.shape = {static_cast<Dtype>(facts.geometry.dtype()), facts.geometry.rows(),
                        facts.geometry.cols()};
    facts.info.sentinels.assign(facts.geometry.sentinels().begin(), facts.geometry.sentinels().end());
    if (header.has_series_start()) {
      facts.info.description = header.series_start().detector().description();
      if (header.series_start().detector().has_frame_time_s())
        facts.info.frame_time_s = header.series_start().detector().frame_time_s();
      facts.info.pixel_mask = read_mask(header.series_start(), envelope.payload, facts.info.shape);
    }
    known = true;
  }
  if (!known) return fail(Errc::malformed, archive.path() + ": holds neither a series nor a block");
  if (facts.info.frames == 0 || facts.info.frames > kFramesMax) {
    return fail(Errc::truncated,
                archive.path() + ": doesn't say how many frames it holds; its writer never finished it");
  }
  return facts;
}

}  // namespace

Result<std::unique_ptr<ArchiveRecording>> ArchiveRecording::open(const std::string& path,
                                                                 kernels::Device device) {
  FF_ASSIGN(ArchiveReader archive, ArchiveReader::open(path));
  FF_ASSIGN(SeriesFacts facts, read_facts(archive));
  facts.info.source = path;
  std::unique_ptr<ArchiveRecording> recording(new ArchiveRecording(
      std::move(facts.info), std::move(archive), facts.geometry, facts.window_frames, device));
  FF_TRY(recording->arrange());
  return recording;
}

/// Sorts the index into groups with one block for each tile; what is missing is named now, not in the middle.
Status ArchiveRecording::arrange() {
  std::vector<const ArchiveEntry*> blocks;
  for (const ArchiveEntry& entry : archive_.entries()) {
    if (entry.kind == ArchiveRecord::block) blocks.push_back(&entry);
  }
  const auto place = [](const ArchiveEntry* e) { return std::tuple(e->window, e->group, e->tile); };
  std::sort(blocks.begin(), blocks.end(), [&](const auto* a, const auto* b) { return place(a) < place(b); });
  for (const ArchiveEntry* entry : blocks) {
    if (groups_.empty() || groups_.back().window != entry->window || groups_.back().group != entry->group) {
      groups_.push_back({entry->window, entry->group, {}});
    }
    if (entry->tile == groups_.back().tiles.size()) groups_.back().tiles.push_back(entry);
  }
  for (const Group& group : groups_) {
    if (group.tiles.size() == grid_.count()) continue;
    return fail(Errc::malformed, info_.source + ": window " + std::to_string(group.window) + " group " +
                                     std::to_string(group.group) + " has " +
                                     std::to_string(group.tiles.size()) + " of " +
                                     std::to_string(grid_.count()) + " tiles");
  }
  return {};
}

Status ArchiveRecording::read(std::uint64_t index, MutableByteSpan pixels) {
  FF_TRY(check_read(index, pixels));
  const std::uint64_t window = index / window_frames_;
  const bool behind = next_group_ > 0 && groups_[next_group_ - 1].window == window && index < first_frame_;
  if (states_.empty() || groups_[next_group_ - 1].window != window || behind) FF_TRY(load_window(window));
  while (index >= first_frame_ + decoded_frames_) {
    if (next_group_ >= groups_.size() || groups_[next_group_].window != window) break;
    FF_TRY(decode_next_group());
  }
  if (index < first_frame_ || index >= first_frame_ + decoded_frames_) {
    return fail(Errc::malformed, info_.source + ": frame " + std::to_string(index) + " is in no block");
  }
  std::memcpy(pixels.data(), frames_.data() + (index - first_frame_) * info_.shape.bytes(), pixels.size());
  return {};
}

Status ArchiveRecording::load_window(std::uint64_t window) {
  const auto first = std::lower_bound(groups_.begin(), groups_.end(), window,
                                      [](const Group& group, std::uint64_t w) { return group.window < w; });
  if (first == groups_.end() || first->window != window) {
    return fail(Errc::malformed, info_.source + ": window " + std::to_string(window) + " has no block");
  }
  states_.clear();
  for (std::uint32_t tile = 0; tile < grid_.count(); ++tile) {
    FF_ASSIGN(kernels::TileState state, kernels::TileState::create(grid_.tile_shape(tile)));
    states_.push_back(std::move(state));
  }
  next_group_ = static_cast<std::size_t>(first - groups_.begin());
  return decode_next_group();
}

Status ArchiveRecording::decode_next_group() {
  const Group& group = groups_[next_group_++];
  decoded_frames_ = 0;  // until all tiles are there
  first_frame_ = group.window * window_frames_;
  for (std::uint32_t tile = 0; tile < grid_.count(); ++tile) {
    const Status decoded = decode_block(*group.tiles[tile], tile);
    if (decoded.ok()) continue;
    decoded_frames_ = 0;
    return fail(decoded.error().code, info_.source + ": window " + std::to_string(group.window) + " tile " +
                                          std::to_string(tile) + " group " + std::to_string(group.group) +
                                          ": " + decoded.error().message);
  }
  return {};
}

Status ArchiveRecording::decode_block(const ArchiveEntry& entry, std::uint32_t tile) {
  FF_ASSIGN(const std::vector<std::byte> bytes, archive_.read(entry));
  FF_ASSIGN(const wire::ParsedEnvelope envelope, wire::parse_envelope(bytes));
  if (!envelope.header.has_block()) return fail(Errc::malformed, "is no block, the index says it is");
  const pb::Block& block = envelope.header.block();
  const std::uint32_t count = block.frame_count();
  const std::uint64_t all = count == 64 ? ~0ull : (1ull << count) - 1;
  if (block.tile() != tile || block.window() != entry.window || block.present() != all) {
    return fail(Errc::malformed, "is not the block the index says, or lacks frames");
  }
  const std::uint64_t first = entry.window * window_frames_ + block.first_frame();
  if (tile == 0) {
    first_frame_ = first;
    decoded_frames_ = count;
    frames_.resize(count * info_.shape.bytes());
  }
  if (first != first_frame_ || count != decoded_frames_)
    return fail(Errc::malformed, "covers other frames than tile 0");
  std::vector<MutableFrameView> views;
  for (std::uint32_t i = 0; i < count; ++i) {
    views.push_back(dense_view(info_.shape, static_cast<void*>(frames_.data() + i * info_.shape.bytes()))
                        .tile(grid_.rect(tile)));
  }
  return kernels::decode_group(device_, states_[tile], envelope.payload, views);
}

}  // namespace ff::tools
