// SPDX-License-Identifier: Apache-2.0
//
// Archive to frames.
//
//   this thread     read a group's first block into a free slot ....... hand out the oldest slot's frames
//   any thread                                  read and decode tile 0, 1, 2 ... of it
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

std::vector<std::uint32_t> crop(const std::vector<std::uint32_t>& mask, const FrameShape& shape,
                                const TileRect& region) {
  std::vector<std::uint32_t> part;
  if (mask.empty()) return part;
  part.reserve(std::size_t{region.rows} * region.cols);
  for (std::uint32_t row = region.row; row < region.row + region.rows; ++row) {
    const auto first = mask.begin() + static_cast<std::ptrdiff_t>(std::size_t{row} * shape.cols + region.col);
    part.insert(part.end(), first, first + region.cols);
  }
  return part;
}

TileRect intersect(const TileRect& a, const TileRect& b) noexcept {
  const std::uint32_t row = std::max(a.row, b.row), col = std::max(a.col, b.col);
  const std::uint32_t row_end = std::min(a.row + a.rows, b.row + b.rows);
  const std::uint32_t col_end = std::min(a.col + a.cols, b.col + b.cols);
  if (row >= row_end || col >= col_end) return {};
  return {row, col, row_end - row, col_end - col};
}

/// `rect` as seen from the corner of `from`, which it lies in.
TileRect relative(const TileRect& rect, const TileRect& from) noexcept {
  return {rect.row - from.row, rect.col - from.col, rect.rows, rect.cols};
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
                                                                 const ArchiveDecodeOptions& options) {
  FF_ASSIGN(ArchiveReader archive, ArchiveReader::open(path));
  FF_ASSIGN(SeriesFacts facts, read_facts(archive));
  FF_ASSIGN(const SelectedPart part,
            resolve(options.selection, facts.info, facts.geometry, facts.window_frames));
  facts.info.source = path;
  facts.info.pixel_mask = crop(facts.info.pixel_mask, facts.info.shape, part.region);
  facts.info.frames = part.frames;
  facts.info.shape.rows = part.region.rows;
  facts.info.shape.cols = part.region.cols;
  std::unique_ptr<ArchiveRecording> recording(new ArchiveRecording(
      std::move(facts.info), std::move(archive), facts.geometry, facts.window_frames, part, options));
  FF_TRY(recording->arrange());
  FF_TRY(recording->plan_memory());
  return recording;
}

ArchiveRecording::ArchiveRecording(RecordingInfo info, ArchiveReader archive,
                                   const pb::StreamGeometry& geometry, std::uint32_t window_frames,
                                   const SelectedPart& part, const ArchiveDecodeOptions& options)
    : FrameReader(std::move(info)),
      archive_(std::move(archive)),
      grid_(geometry),
      window_frames_(window_frames),
      part_(part),
      options_(options) {
  for (std::uint32_t tile = 0; tile < grid_.count(); ++tile) {
    const TileRect rect = grid_.rect(tile), shared = intersect(rect, part.region);
    if (shared.rows > 0) tiles_.push_back({tile, rect, shared == rect});
  }
}

/// Sorts the index into groups with one block for each tile; what is missing is named now, not in the middle.
Status ArchiveRecording::arrange() {
  std::vector<const ArchiveEntry*> blocks;
  for (const ArchiveEntry& entry : archive_.entries()) {
    if (entry.kind == ArchiveRecord::block) blocks.push_back(&entry);
  }
  blocks_in_file_ = blocks.size();
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

/// The first group of a window is its largest, in archives that `foreframe encode` wrote; a spool's segment has
/// groups as they came, up to a window.
Status ArchiveRecording::plan_memory() {
  layout_.frame = info_.shape;
  layout_.tile = grid_.tile_shape(0);
  layout_.tiles = static_cast<std::uint32_t>(tiles_.size());
  layout_.window_frames = layout_.group_frames = window_frames_;
  const std::uint64_t last_frame = part_.first_frame + part_.frames - 1;
  layout_.windows = last_frame / window_frames_ - part_.first_frame / window_frames_ + 1;
  if (restart(part_.first_frame / window_frames_).ok()) {
    auto first = read_block(*groups_[next_group_].tiles[tiles_[0].index], tiles_[0].index);
    if (first.ok() && archive_.has_index())
      layout_.group_frames = first->envelope.header.block().frame_count();
    if (first.ok()) peeked_ = std::move(*first);
  }
  layout_.source_bytes = info_.pixel_mask.size() * sizeof(std::uint32_t) +
                         options_.frames_beside * std::uint64_t{info_.shape.bytes()} +
                         2 * archive_.entries().size() * sizeof(ArchiveEntry);
  layout_.threads = threads_for(options_.threads, layout_);
  FF_TRY(check_memory(layout_.decode_bound(), options_.memory_max,
                      "lower --threads, or decode a part (--region, --tile)"));
  slots_ = std::vector<Slot>(layout_.slots());
  states_.resize(layout_.decode_lanes() * tiles_.size());
  scratch_.resize(layout_.threads);
  pool_ = std::make_unique<TaskPool>(layout_.threads);
  chains_ = std::make_unique<TaskChains>(*pool_, states_.size());
  return {};
}

Status ArchiveRecording::read(std::uint64_t index, MutableByteSpan pixels) {
  FF_TRY(check_read(index, pixels));
  const std::uint64_t frame = part_.first_frame + index;
  if (!within_reach(frame)) FF_TRY(restart(frame / window_frames_));
  while (true) {
    fill_slots();
    if (taken_ == submitted_) break;
    const Slot& oldest = slots_[taken_ % slots_.size()];
    pool_->run_until([&] { return oldest.undecoded.load(std::memory_order_acquire) == 0; });
    Status decoded = status_of(oldest);  // not const: it may be what is returned
    if (!decoded.ok() && oldest.group->window == frame / window_frames_) {
      FF_TRY(restart(frame / window_frames_));  // whoever asks again gets the same answer
      return decoded;
    }
    if (decoded.ok() && frame >= oldest.first_frame && frame < oldest.first_frame + oldest.frames) {
      std::memcpy(pixels.data(), oldest.pixels.data() + (frame - oldest.first_frame) * info_.shape.bytes(),
                  pixels.size());
      return {};
    }
    if (oldest.group->window > frame / window_frames_ || oldest.first_frame > frame) break;
    ++taken_;
  }
  return fail(Errc::malformed, info_.source + ": frame " + std::to_string(frame) + " is in no block");
}

/// Whether going on will come to `frame`, without decoding more than a window that nobody asked for.
bool ArchiveRecording::within_reach(std::uint64_t frame) const {
  if (taken_ == submitted_) return false;
  const Slot& oldest = slots_[taken_ % slots_.size()];
  const Slot& newest = slots_[(submitted_ - 1) % slots_.size()];
  return frame >= oldest.first_frame && frame / window_frames_ <= newest.group->window + 1;
}

Status ArchiveRecording::restart(std::uint64_t window) {
  if (chains_ != nullptr) chains_->drain();
  taken_ = submitted_ = 0;
  const auto first = std::lower_bound(groups_.begin(), groups_.end(), window,
                                      [](const Group& group, std::uint64_t w) { return group.window < w; });
  if (first == groups_.end() || first->window != window) {
    ended_ = true;
    return fail(Errc::malformed, info_.source + ": window " + std::to_string(window) + " has no block");
  }
  next_group_ = static_cast<std::size_t>(first - groups_.begin());
  ended_ = false;
  return {};
}

void ArchiveRecording::fill_slots() {
  const std::uint64_t end = part_.first_frame + part_.frames;
  while (submitted_ - taken_ < slots_.size() && !ended_) {
    Slot& slot = slots_[submitted_++ % slots_.size()];
    slot.group = &groups_[next_group_++];
    submit_group(slot);
    ended_ = next_group_ == groups_.size() || groups_[next_group_].window * window_frames_ >= end ||
             slot.first_frame + slot.frames >= end;
  }
}

/// Gives a group's tiles to the pool. Its first block is read here: it says which frames the group has.
void ArchiveRecording::submit_group(Slot& slot) {
  slot.tiles.assign(tiles_.size(), {});
  slot.undecoded.store(0, std::memory_order_relaxed);
  auto first = std::make_shared<Block>();
  if (Status prepared = prepare_slot(slot, *first); !prepared.ok()) {
    slot.tiles[0] = std::move(prepared);
    return;
  }
  const bool opens = slot.group == groups_.data() || (slot.group - 1)->window != slot.group->window;
  slot.undecoded.store(layout_.tiles, std::memory_order_relaxed);
  const std::size_t lane = slot.group->window % (states_.size() / tiles_.size());
  for (std::size_t t = 0; t < tiles_.size(); ++t) {
    const std::size_t chain = lane * tiles_.size() + t;
    auto known = t == 0 ? std::move(first) : nullptr;
    chains_->submit(chain, [this, &slot, t, opens, chain, known](std::size_t worker) {
      slot.tiles[t] = [&]() -> Status {
        if (opens) {
          FF_ASSIGN(kernels::TileState fresh, kernels::TileState::create(grid_.tile_shape(tiles_[t].index)));
          states_[chain].emplace(std::move(fresh));
        }
        if (!states_[chain]) return fail(Errc::state_mismatch, "follows a block that can't be read");
        if (known != nullptr) return decode_tile(slot, t, *known, *states_[chain], scratch_[worker]);
        FF_ASSIGN(const Block block, read_block(*slot.group->tiles[tiles_[t].index], tiles_[t].index));
        return decode_tile(slot, t, block, *states_[chain], scratch_[worker]);
      }();
      slot.undecoded.fetch_sub(1, std::memory_order_release);
    });
  }
}

Status ArchiveRecording::prepare_slot(Slot& slot, Block& first) {
  slot.first_frame = slot.group->window * window_frames_;
  slot.frames = 0;
  const std::uint32_t tile = tiles_[0].index;
  if (peeked_ && peeked_->envelope.header.block().window() == slot.group->window &&
      peeked_->envelope.header.block().group() == slot.group->group) {
    first = std::move(*peeked_);
    peeked_.reset();
  } else {
    FF_ASSIGN(first, read_block(*slot.group->tiles[tile], tile));
  }
  const pb::Block& block = first.envelope.header.block();
  if (block.frame_count() > layout_.group_frames) {
    layout_.group_frames = block.frame_count();
    FF_TRY(check_memory(layout_.decode_bound(), options_.memory_max, "its groups grow; lower --threads"));
  }
  slot.first_frame += block.first_frame();
  slot.frames = block.frame_count();
  slot.pixels.resize(slot.frames * info_.shape.bytes());
  return {};
}

Result<ArchiveRecording::Block> ArchiveRecording::read_block(const ArchiveEntry& entry,
                                                             std::uint32_t tile) const {
  Block block;
  FF_ASSIGN(block.bytes, archive_.read(entry));
  blocks_read_.fetch_add(1, std::memory_order_relaxed);
  FF_ASSIGN(block.envelope, wire::parse_envelope(block.bytes));
  if (!block.envelope.header.has_block()) return fail(Errc::malformed, "is no block, the index says it is");
  const pb::Block& record = block.envelope.header.block();
  const std::uint32_t count = record.frame_count();
  const std::uint64_t all = count == 64 ? ~0ull : (1ull << count) - 1;
  const bool right_place = record.tile() == tile && record.window() == entry.window;
  if (!right_place || record.present() != all || record.first_frame() + count > window_frames_)
    return fail(Errc::malformed, "is not the block the index says, or lacks frames");
  return block;
}

Status ArchiveRecording::decode_tile(Slot& slot, std::size_t t, const Block& block, kernels::TileState& state,
                                     std::vector<std::byte>& scratch) const {
  const pb::Block& record = block.envelope.header.block();
  const Tile& tile = tiles_[t];
  if (slot.group->window * window_frames_ + record.first_frame() != slot.first_frame ||
      record.frame_count() != slot.frames)
    return fail(Errc::malformed, "covers other frames than the group's first tile");
  const FrameShape shape = grid_.tile_shape(tile.index);
  if (!tile.inside) scratch.resize(std::max(scratch.size(), slot.frames * shape.bytes()));
  const TileRect shared = intersect(tile.rect, part_.region);
  std::vector<MutableFrameView> views;
  for (std::uint32_t i = 0; i < slot.frames; ++i) {
    std::byte* const region = slot.pixels.data() + i * info_.shape.bytes();
    views.push_back(
        tile.inside ? dense_view(info_.shape, static_cast<void*>(region)).tile(relative(shared, part_.region))
                    : dense_view(shape, static_cast<void*>(scratch.data() + i * shape.bytes())));
  }
  FF_TRY(kernels::decode_group(options_.device, state, block.envelope.payload, views));
  for (std::uint32_t i = 0; i < slot.frames && !tile.inside; ++i) {
    const MutableFrameView from = views[i].tile(relative(shared, tile.rect));
    std::byte* const region = slot.pixels.data() + i * info_.shape.bytes();
    const MutableFrameView to =
        dense_view(info_.shape, static_cast<void*>(region)).tile(relative(shared, part_.region));
    for (std::uint32_t row = 0; row < shared.rows; ++row)
      std::memcpy(to.row(row), from.row(row), to.shape.row_bytes());
  }
  return {};
}

Status ArchiveRecording::status_of(const Slot& slot) const {
  for (std::size_t t = 0; t < slot.tiles.size(); ++t) {
    if (slot.tiles[t].ok()) continue;
    return fail(slot.tiles[t].error().code, info_.source + ": window " + std::to_string(slot.group->window) +
                                                " tile " + std::to_string(tiles_[t].index) + " group " +
                                                std::to_string(slot.group->group) + ": " +
                                                slot.tiles[t].error().message);
  }
  return {};
}

Result<FrameReaderPtr> open_archive_recording(const std::string& path) {
  ArchiveDecodeOptions options;
  if (!kernels::device_available(options.device)) options.device = kernels::Device::reference;
  FF_ASSIGN(auto archive, ArchiveRecording::open(path, options));
  return FrameReaderPtr(std::move(archive));
}

}  // namespace ff::tools
