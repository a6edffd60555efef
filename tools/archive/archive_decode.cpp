// SPDX-License-Identifier: Apache-2.0
//
// Archive to frames.
//
//   this thread     give a group to a free slot ............................... hand out the oldest slot's frames
//   any thread                read and decode tile 0, 1, 2 ... of it, then give its frames to the sink, if any
#include "tools/archive/archive_decode.hpp"

#include <algorithm>
#include <cstring>

#include "tools/archive/archive_facts.hpp"

namespace ff::tools {

namespace {

constexpr std::size_t kPieceBytesWanted = 4u << 20;

}  // namespace

Result<std::unique_ptr<ArchiveRecording>> ArchiveRecording::open(const std::string& path,
                                                                 const ArchiveDecodeOptions& options) {
  FF_ASSIGN(ArchiveReader archive, ArchiveReader::open(path));
  FF_ASSIGN(SeriesFacts facts, read_facts(archive));
  FF_ASSIGN(const SelectedPart part,
            resolve(options.selection, facts.info, facts.geometry, facts.window_frames));
  facts.info.source = path;
  facts.info.pixel_mask = crop_mask(std::move(facts.info.pixel_mask), facts.info.shape, part.region);
  facts.info.frames = part.frames;
  facts.info.shape.rows = part.region.rows;
  facts.info.shape.cols = part.region.cols;
  std::unique_ptr<ArchiveRecording> recording(new ArchiveRecording(
      std::move(facts.info), std::move(archive), facts.geometry, facts.window_frames, part, options));
  FF_ASSIGN(recording->groups_,
            sort_groups(recording->archive_, recording->window_frames_, recording->grid_.count()));
  FF_TRY(recording->plan_memory());
  return recording;
}

ArchiveRecording::ArchiveRecording(RecordingInfo info, ArchiveReader archive,
                                   const foreframe::wire::StreamGeometry& geometry,
                                   std::uint32_t window_frames, const SelectedPart& part,
                                   const ArchiveDecodeOptions& options)
    : FrameReader(std::move(info)),
      archive_(std::move(archive)),
      grid_(geometry),
      window_frames_(window_frames),
      part_(part),
      options_(options),
      decoder_(archive_, grid_, ring_, {info_.shape, part.region}, window_frames, options.device) {}

Status ArchiveRecording::plan_memory() {
  layout_.frame = info_.shape;
  layout_.tile = grid_.tile_shape(0);
  layout_.tiles = static_cast<std::uint32_t>(decoder_.tiles());
  layout_.window_frames = window_frames_;
  const std::uint64_t end = part_.first_frame + part_.frames;
  layout_.windows = (end - 1) / window_frames_ - part_.first_frame / window_frames_ + 1;
  layout_.group_frames = 1;
  layout_.group_frames_least = 1;
  for (const ArchiveGroup& group : groups_) {
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
  decoder_.prepare(layout_.decode_lanes() * decoder_.tiles(), layout_.threads);
  begins_.resize(decoder_.tiles());
  pool_ = std::make_unique<TaskPool>(layout_.threads);
  chains_ = std::make_unique<TaskChains>(*pool_, decoder_.chains());
  return {};
}

Status ArchiveRecording::read(std::uint64_t index, MutableByteSpan pixels) {
  FF_TRY(check_read(index, pixels));
  const std::uint64_t frame = part_.first_frame + index;
  if (!within_reach(frame)) FF_TRY(restart(frame));
  while (true) {
    fill_slots();
    if (taken_ == submitted_) break;
    const Slot& oldest = slots_[taken_ % slots_.size()];
    const ArchiveGroup& group = *oldest.group;
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
  const ArchiveGroup& oldest = *slots_[taken_ % slots_.size()].group;
  const ArchiveGroup& newest = *slots_[(submitted_ - 1) % slots_.size()].group;
  return frame >= oldest.first_frame && frame / window_frames_ <= newest.window + 1;
}

/// Each tile begins at its last key group at or before `frame`; the window's first group is one for all.
Status ArchiveRecording::restart(std::uint64_t frame) {
  wait_for_all();
  taken_ = submitted_ = 0;
  const std::uint64_t window = frame / window_frames_;
  next_group_ = first_of_window(groups_, window);
  if (next_group_ == groups_.size() || groups_[next_group_].window != window) {
    ended_ = true;
    return fail(Errc::malformed, info_.source + ": window " + std::to_string(window) + " has no block");
  }
  std::ranges::fill(begins_, next_group_);
  for (std::size_t g = next_group_ + 1; g < groups_.size(); ++g) {
    if (groups_[g].window != window || groups_[g].first_frame > frame) break;
    for (std::size_t t = 0; t < begins_.size(); ++t)
      if (groups_[g].tiles[decoder_.index(t)]->key) begins_[t] = g;
  }
  next_group_ = *std::ranges::min_element(begins_);
  ended_ = false;
  return {};
}

void ArchiveRecording::fill_slots() {
  const std::uint64_t end = part_.first_frame + part_.frames;
  while (submitted_ - taken_ < slots_.size() && !ended_) {
    const ArchiveGroup& group = groups_[next_group_];
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
  const ArchiveGroup& group = *slot.group;
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
  const std::size_t lane = slot.group->window % (decoder_.chains() / decoder_.tiles());
  const auto wanted =
      static_cast<std::uint32_t>(std::ranges::count_if(begins_, [&](auto b) { return b <= g; }));
  slot.tiles.assign(decoder_.tiles(), {});
  cut_pieces(slot);
  slot.undecoded.store(wanted, std::memory_order_relaxed);
  slot.outstanding.store(wanted + static_cast<std::uint32_t>(slot.pieces.size()), std::memory_order_relaxed);
  for (std::size_t t = 0; t < begins_.size(); ++t) {
    if (begins_[t] > g) continue;
    const bool opens = begins_[t] == g || g == 0 || groups_[g - 1].window != slot.group->window;
    const std::size_t chain = lane * decoder_.tiles() + t;
    chains_->submit(chain, [this, &slot, t, opens, chain](std::size_t worker) {
      slot.tiles[t] = decoder_.decode(*slot.group, t, opens, chain, worker, slot.ring_place);
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

Status ArchiveRecording::status_of(const Slot& slot) const {
  for (std::size_t t = 0; t < slot.tiles.size(); ++t) {
    if (slot.tiles[t].ok()) continue;
    const Error& error = slot.tiles[t].error();
    return fail(error.code, slot.group->name(info_.source) + " tile " + std::to_string(decoder_.index(t)) +
                                ": " + error.message);
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
