// SPDX-License-Identifier: Apache-2.0
//
// Archive to frames.
//
//   this thread     give a group to a free slot ............................... hand out the oldest slot's frames
//   any thread                read and decode tile 0, 1, 2 ... of it, then give its frames to the sink, if any
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
constexpr std::size_t kPieceBytesWanted = 4u << 20;

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

std::vector<std::uint32_t> crop(std::vector<std::uint32_t> mask, const FrameShape& shape,
                                const TileRect& region) {
  std::vector<std::uint32_t> part;
  if (mask.empty()) return part;
  if (region == TileRect{0, 0, shape.rows, shape.cols}) return mask;
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
  facts.info.pixel_mask = crop(std::move(facts.info.pixel_mask), facts.info.shape, part.region);
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
    const bool opens = groups_.empty() || groups_.back().window != entry->window;
    if (opens || groups_.back().group != entry->group) {
      // An index has no first frames: there, a window's groups follow each other.
      const std::uint64_t first = opens || !archive_.has_index()
                                      ? entry->window * std::uint64_t{window_frames_} + entry->first_frame
                                      : groups_.back().first_frame + groups_.back().frames;
      groups_.push_back({entry->window, entry->group, entry->frames, first, {}});
    }
    if (entry->tile == groups_.back().tiles.size()) groups_.back().tiles.push_back(entry);
  }
  for (const Group& group : groups_) {
    if (group.first_frame + group.frames > (group.window + 1) * window_frames_)
      return fail(Errc::malformed, where(group) + " reaches beyond its window");
    if (group.tiles.size() == grid_.count()) continue;
    return fail(Errc::malformed, where(group) + " has " + std::to_string(group.tiles.size()) + " of " +
                                     std::to_string(grid_.count()) + " tiles");
  }
  return {};
}

Status ArchiveRecording::plan_memory() {
  layout_.frame = info_.shape;
  layout_.tile = grid_.tile_shape(0);
  layout_.tiles = static_cast<std::uint32_t>(tiles_.size());
  layout_.window_frames = window_frames_;
  const std::uint64_t end = part_.first_frame + part_.frames;
  layout_.windows = (end - 1) / window_frames_ - part_.first_frame / window_frames_ + 1;
  layout_.group_frames = 1;
  layout_.group_frames_least = 1;
  for (const Group& group : groups_) {
    if (group.window < part_.first_frame / window_frames_ || group.first_frame >= end) continue;
    layout_.group_frames = std::max(layout_.group_frames, group.frames);
  }
  layout_.source_bytes = info_.pixel_mask.size() * sizeof(std::uint32_t) +
                         options_.frames_beside * std::uint64_t{info_.shape.bytes()} +
                         2 * archive_.entries().size() * sizeof(ArchiveEntry);
  layout_.threads = threads_for(options_.threads, layout_);
  FF_TRY(check_memory(layout_.decode_bound(), options_.memory_max,
                      "lower --threads, or decode a part (--region, --tile)"));
  FF_ASSIGN(ring_, FrameRing::allocate(layout_.ring_frames(), info_.shape.bytes()));
  slots_ = std::vector<Slot>(layout_.slots());
  states_.resize(layout_.decode_lanes() * tiles_.size());
  scratch_.resize(layout_.threads);
  begins_.resize(tiles_.size());
  pool_ = std::make_unique<TaskPool>(layout_.threads);
  chains_ = std::make_unique<TaskChains>(*pool_, states_.size());
  return {};
}

std::string ArchiveRecording::where(const Group& group) const {
  return info_.source + ": window " + std::to_string(group.window) + " group " + std::to_string(group.group);
}

Status ArchiveRecording::read(std::uint64_t index, MutableByteSpan pixels) {
  FF_TRY(check_read(index, pixels));
  const std::uint64_t frame = part_.first_frame + index;
  if (!within_reach(frame)) FF_TRY(restart(frame));
  while (true) {
    fill_slots();
    if (taken_ == submitted_) break;
    const Slot& oldest = slots_[taken_ % slots_.size()];
    const Group& group = *oldest.group;
    wait_for(oldest);
    Status decoded = status_of(oldest);  // not const: it may be what is returned
    if (!decoded.ok() && group.window == frame / window_frames_) {
      FF_TRY(restart(frame));  // whoever asks again gets the same answer
      return decoded;
    }
    if (decoded.ok() && frame >= group.first_frame && frame < group.first_frame + group.frames) {
      std::memcpy(pixels.data(), ring_.frame(oldest.ring_place + frame - group.first_frame), pixels.size());
      return {};
    }
    if (group.window > frame / window_frames_ || group.first_frame > frame) break;
    ++taken_;
  }
  return fail(Errc::malformed, info_.source + ": frame " + std::to_string(frame) + " is in no block");
}

Status ArchiveRecording::write_to(const FrameSink& sink, const std::function<void(std::uint64_t)>& progress) {
  wait_for_all();
  sink_ = &sink;
  Status written = write_slots(progress);  // not const: it is what is returned
  wait_for_all();
  taken_ = submitted_ = 0;
  sink_ = nullptr;
  return written;
}

Status ArchiveRecording::write_slots(const std::function<void(std::uint64_t)>& progress) {
  const std::uint64_t end = part_.first_frame + part_.frames;
  std::uint64_t next = part_.first_frame;
  FF_TRY(restart(next));
  for (fill_slots(); taken_ < submitted_; ++taken_, fill_slots()) {
    const Slot& oldest = slots_[taken_ % slots_.size()];
    wait_for(oldest);
    FF_TRY(status_of(oldest));
    const std::uint64_t group_end = oldest.group->first_frame + oldest.group->frames;
    if (group_end <= next) continue;
    if (oldest.group->first_frame > next) break;
    next = std::min(group_end, end);
    progress(next - part_.first_frame);
  }
  if (next == end) return {};
  return fail(Errc::malformed, info_.source + ": frame " + std::to_string(next) + " is in no block");
}

void ArchiveRecording::wait_for(const Slot& slot) {
  pool_->run_until([&] { return slot.outstanding.load(std::memory_order_acquire) == 0; });
}

void ArchiveRecording::wait_for_all() {
  for (std::uint64_t n = taken_; n < submitted_; ++n) wait_for(slots_[n % slots_.size()]);
}

/// Whether going on will come to `frame`, without decoding more than a window that nobody asked for.
bool ArchiveRecording::within_reach(std::uint64_t frame) const {
  if (taken_ == submitted_) return false;
  const Group& oldest = *slots_[taken_ % slots_.size()].group;
  const Group& newest = *slots_[(submitted_ - 1) % slots_.size()].group;
  return frame >= oldest.first_frame && frame / window_frames_ <= newest.window + 1;
}

/// Each tile begins at its last key group at or before `frame`; the window's first group is one for all.
Status ArchiveRecording::restart(std::uint64_t frame) {
  wait_for_all();
  taken_ = submitted_ = 0;
  const std::uint64_t window = frame / window_frames_;
  const auto first = std::lower_bound(groups_.begin(), groups_.end(), window,
                                      [](const Group& group, std::uint64_t w) { return group.window < w; });
  if (first == groups_.end() || first->window != window) {
    ended_ = true;
    return fail(Errc::malformed, info_.source + ": window " + std::to_string(window) + " has no block");
  }
  next_group_ = static_cast<std::size_t>(first - groups_.begin());
  std::ranges::fill(begins_, next_group_);
  for (std::size_t g = next_group_ + 1; g < groups_.size(); ++g) {
    if (groups_[g].window != window || groups_[g].first_frame > frame) break;
    for (std::size_t t = 0; t < tiles_.size(); ++t)
      if (groups_[g].tiles[tiles_[t].index]->key) begins_[t] = g;
  }
  next_group_ = *std::ranges::min_element(begins_);
  ended_ = false;
  return {};
}

void ArchiveRecording::fill_slots() {
  const std::uint64_t end = part_.first_frame + part_.frames;
  while (submitted_ - taken_ < slots_.size() && !ended_) {
    const Group& group = groups_[next_group_];
    const bool empty = taken_ == submitted_;
    const std::uint64_t held = empty ? 0 : ring_end_ - slots_[taken_ % slots_.size()].ring_place;
    if (!empty && held + group.frames > ring_.frames()) return;
    Slot& slot = slots_[submitted_++ % slots_.size()];
    slot.group = &group;
    slot.ring_place = ring_end_;
    ring_end_ += group.frames;
    submit_group(slot);
    ++next_group_;
    ended_ = next_group_ == groups_.size() || groups_[next_group_].window * window_frames_ >= end ||
             group.first_frame + group.frames >= end;
  }
}

/// What the sink gets of a slot: wanted frames that lie behind each other, in portions that spread over threads.
void ArchiveRecording::cut_pieces(Slot& slot) const {
  slot.pieces.clear();
  if (sink_ == nullptr) return;
  const Group& group = *slot.group;
  const std::uint64_t begin = std::max(group.first_frame, part_.first_frame);
  const std::uint64_t end = std::min(group.first_frame + group.frames, part_.first_frame + part_.frames);
  const std::uint64_t wanted = std::max<std::uint64_t>(1, kPieceBytesWanted / info_.shape.bytes());
  for (std::uint64_t frame = begin; frame < end;) {
    const std::uint64_t first = frame - group.first_frame;
    const std::uint64_t count = std::min({wanted, end - frame, ring_.in_a_row(slot.ring_place + first)});
    slot.pieces.push_back({static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(count)});
    frame += count;
  }
}

void ArchiveRecording::submit_group(Slot& slot) {
  const auto g = static_cast<std::size_t>(slot.group - groups_.data());
  const std::size_t lane = slot.group->window % (states_.size() / tiles_.size());
  const auto wanted =
      static_cast<std::uint32_t>(std::ranges::count_if(begins_, [&](auto b) { return b <= g; }));
  slot.tiles.assign(tiles_.size(), {});
  cut_pieces(slot);
  slot.undecoded.store(wanted, std::memory_order_relaxed);
  slot.outstanding.store(wanted + static_cast<std::uint32_t>(slot.pieces.size()), std::memory_order_relaxed);
  for (std::size_t t = 0; t < tiles_.size(); ++t) {
    if (begins_[t] > g) continue;
    const std::size_t chain = lane * tiles_.size() + t;
    chains_->submit(chain, [this, &slot, t, chain](std::size_t worker) {
      slot.tiles[t] = next_tile(slot, t, chain, worker);
      if (slot.undecoded.fetch_sub(1, std::memory_order_acq_rel) == 1) submit_pieces(slot);
      slot.outstanding.fetch_sub(1, std::memory_order_release);
    });
  }
}

/// By the thread that decoded the slot's last tile.
void ArchiveRecording::submit_pieces(Slot& slot) {
  const auto count = static_cast<std::uint32_t>(slot.pieces.size());
  if (!std::ranges::all_of(slot.tiles, [](const Status& tile) { return tile.ok(); })) {
    slot.outstanding.fetch_sub(count, std::memory_order_release);
    return;
  }
  for (std::size_t p = 0; p < count; ++p) {
    pool_->submit([this, &slot, p](std::size_t) {
      Piece& piece = slot.pieces[p];
      const ByteSpan frames(ring_.frame(slot.ring_place + piece.first), piece.frames * info_.shape.bytes());
      piece.written = (*sink_)(slot.group->first_frame + piece.first - part_.first_frame, frames);
      slot.outstanding.fetch_sub(1, std::memory_order_release);
    });
  }
}

Status ArchiveRecording::next_tile(Slot& slot, std::size_t t, std::size_t chain, std::size_t worker) {
  const ArchiveEntry& entry = *slot.group->tiles[tiles_[t].index];
  const auto g = static_cast<std::size_t>(slot.group - groups_.data());
  std::optional<kernels::TileState>& state = states_[chain];
  const bool opens = begins_[t] == g || g == 0 || groups_[g - 1].window != slot.group->window;
  if (opens || (!state && entry.key)) {
    FF_ASSIGN(kernels::TileState fresh, kernels::TileState::create(grid_.tile_shape(tiles_[t].index)));
    state.emplace(std::move(fresh));
  }
  if (!state) return fail(Errc::state_mismatch, "follows a block that can't be read");
  const auto decode = [&]() -> Status {
    FF_ASSIGN(const Block block, read_block(entry, tiles_[t].index));
    return decode_tile(slot, t, block, *state, scratch_[worker]);
  };
  return decode();
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

Status ArchiveRecording::decode_tile(const Slot& slot, std::size_t t, const Block& block,
                                     kernels::TileState& state, std::vector<std::byte>& scratch) const {
  const pb::Block& record = block.envelope.header.block();
  const Group& group = *slot.group;
  const Tile& tile = tiles_[t];
  if (group.window * window_frames_ + record.first_frame() != group.first_frame ||
      record.frame_count() != group.frames)
    return fail(Errc::malformed, "covers other frames than the index or the group's first tile says");
  const FrameShape shape = grid_.tile_shape(tile.index);
  if (!tile.inside) scratch.resize(std::max(scratch.size(), group.frames * shape.bytes()));
  const TileRect shared = intersect(tile.rect, part_.region);
  const auto region = [&](std::uint32_t i) {
    return dense_view(info_.shape, static_cast<void*>(ring_.frame(slot.ring_place + i)))
        .tile(relative(shared, part_.region));
  };
  std::vector<MutableFrameView> views;
  for (std::uint32_t i = 0; i < group.frames; ++i)
    views.push_back(tile.inside ? region(i)
                                : dense_view(shape, static_cast<void*>(scratch.data() + i * shape.bytes())));
  FF_TRY(kernels::decode_group(options_.device, state, block.envelope.payload, views));
  tile_frames_decoded_.fetch_add(group.frames, std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < group.frames && !tile.inside; ++i) {
    const MutableFrameView from = views[i].tile(relative(shared, tile.rect));
    const MutableFrameView to = region(i);
    for (std::uint32_t row = 0; row < shared.rows; ++row)
      std::memcpy(to.row(row), from.row(row), to.shape.row_bytes());
  }
  return {};
}

Status ArchiveRecording::status_of(const Slot& slot) const {
  for (std::size_t t = 0; t < slot.tiles.size(); ++t) {
    if (slot.tiles[t].ok()) continue;
    const Error& error = slot.tiles[t].error();
    return fail(error.code,
                where(*slot.group) + " tile " + std::to_string(tiles_[t].index) + ": " + error.message);
  }
  for (const Piece& piece : slot.pieces)
    if (!piece.written.ok()) return piece.written.error();
  return {};
}

Result<FrameReaderPtr> open_archive_recording(const std::string& path) {
  ArchiveDecodeOptions options;
  if (!kernels::device_available(options.device)) options.device = kernels::Device::reference;
  FF_ASSIGN(auto archive, ArchiveRecording::open(path, options));
  return FrameReaderPtr(std::move(archive));
}

}  // namespace ff::tools
