// SPDX-License-Identifier: Apache-2.0
//
// Recording to archive: windows > groups > tiles, one block each.
//
//   this thread     give a group to a free slot ....................... write the oldest slot's blocks
//   any thread                read its frames, then code tile 0, 1, 2 ... of it
//
// Length of groups, where the user has not said it: every group costs the end of each stream and a header, so
// groups of small blocks are long, up to kBlockBytesWanted. How large blocks come is taken from the first group
// of a window some windows before, as many as can be under way at a time with any number of threads: the length
// of a group must not depend on which thread was faster. For the first of them, that is window 0, which begins
// with groups of 4 MiB of pixels a tile (archive_encode_layout.cpp).
#include "tools/archive/archive_encode.hpp"

#include <algorithm>
#include <atomic>
#include <optional>

#include "common/base/clock.hpp"
#include "common/base/task_pool.hpp"
#include "common/wire/tile_grid.hpp"
#include "tools/archive/archive_encode_layout.hpp"
#include "tools/archive/archive_file.hpp"
#include "tools/archive/archive_tile_coder.hpp"

namespace ff::tools {

namespace {

namespace pb = foreframe::wire;

constexpr std::uint64_t kBlockBytesWanted = 600'000;  // with room to 900 kB for what the next windows bring

/// A group under way.
struct Slot : FrameGroup {
  std::vector<CodedTile> tiles;
  std::atomic<std::uint32_t> unread{0}, uncoded{0};
};

class ArchiveEncoder {
 public:
  ArchiveEncoder(FrameReader& reader, ArchiveWriter writer, const ArchiveEncodeOptions& options,
                 const pb::StreamGeometry& geometry, const ArchiveLayout& layout, FrameRing ring,
                 const ArchiveStamp& stamp)
      : reader_(reader),
        info_(reader.info()),
        writer_(std::move(writer)),
        options_(options),
        layout_(layout),
        grid_(geometry),
        records_(info_, geometry, grid_.count(), layout.window_frames, options.profile, stamp),
        ring_(std::move(ring)),
        coder_(info_, options_, layout_, grid_, records_, ring_),
        slots_(layout.slots()),
        pool_(layout.threads),
        chains_(pool_, coder_.chains()) {}

  Result<ArchiveEncodeReport> run(const std::function<void(std::uint64_t)>& progress) {
    const std::int64_t begin_ns = monotonic_now_ns();
    begin();
    FF_TRY(encode_groups(progress));
    FF_ASSIGN(const Payload end, records_.end(report_.windows.size(), report_.blocks));
    FF_TRY(writer_.append({0, 0, 0, 0, 0, ArchiveRecord::series_end}, end.bytes()));
    FF_TRY(writer_.finish());
    report_.frames = info_.frames;
    report_.file_bytes = writer_.bytes_written();
    report_.threads = layout_.threads;
    report_.memory = layout_.encode_bound();
    report_.seconds = static_cast<double>(monotonic_now_ns() - begin_ns) * 1e-9;
    return std::move(report_);
  }

 private:
  /// What every block needs and no thread should do alone: mask hash, start record, the mask of each tile. It is
  /// done beside the reading of the first group.
  void begin() {
    const auto submit = [this](auto prepare) {
      unprepared_.fetch_add(1, std::memory_order_relaxed);
      pool_.submit([this, prepare](std::size_t) {
        prepare();
        unprepared_.fetch_sub(1, std::memory_order_release);
      });
    };
    submit([this] { records_.hash_mask(); });
    submit([this] { start_ = records_.start(); });
    for (std::uint32_t tile = 0; tile < grid_.count(); ++tile)
      submit([this, tile] { coder_.cut_mask(tile); });
  }

  Status write_start() {
    pool_.run_until([&] { return unprepared_.load(std::memory_order_acquire) == 0; });
    if (!start_.ok()) return start_.error();
    return writer_.append({0, 0, 0, 0, 0, ArchiveRecord::series_start}, start_->bytes());
  }

  /// Slots are a ring: groups [written_, read_) are in them.
  Status encode_groups(const std::function<void(std::uint64_t)>& progress) {
    take_group();
    FF_TRY(write_start());
    while (next_frame_ < info_.frames || written_ < read_) {
      Slot& oldest = slots_[written_ % slots_.size()];
      const auto coded = [&] { return oldest.uncoded.load(std::memory_order_acquire) == 0; };
      if (written_ < read_ && coded()) {
        FF_TRY(write_slot(oldest));
        progress(oldest.first_frame + oldest.count);
        ++written_;
      } else if (!take_group()) {
        pool_.run_until(coded);
      }
    }
    return {};
  }

  /// Length of the groups of a window; nothing while the window that it follows from is not coded.
  std::optional<std::uint32_t> group_frames(std::uint64_t window) const {
    if (layout_.group_frames == layout_.group_frames_least || window == 0) return layout_.group_frames_least;
    const std::uint64_t back = layout_.lanes() + 2;
    const std::uint64_t seen = window > back ? window - back : 0;
    if (seen >= frame_bytes_.size()) return std::nullopt;
    const std::uint64_t frames = kBlockBytesWanted / std::max<std::uint64_t>(1, frame_bytes_[seen]);
    const std::uint64_t most =
        std::clamp<std::uint64_t>(frames, layout_.group_frames_least, layout_.group_frames);
    const std::uint64_t groups = (layout_.window_frames + most - 1) / most;
    return static_cast<std::uint32_t>((layout_.window_frames + groups - 1) / groups);
  }

  /// Takes the next group, gives its frames to be read and its tiles to be coded; false while there is no room.
  bool take_group() {
    const std::uint64_t w = layout_.window_frames;
    const auto wanted = group_frames(next_frame_ / w);
    if (next_frame_ == info_.frames || read_ - written_ == slots_.size() || !wanted) return false;
    const std::uint64_t window_end = std::min((next_frame_ / w + 1) * w, info_.frames);
    const std::uint64_t count = std::min<std::uint64_t>(*wanted, window_end - next_frame_);
    const std::uint64_t held =
        written_ == read_ ? 0 : next_frame_ - slots_[written_ % slots_.size()].first_frame;
    if (held + count > ring_.frames()) return false;
    Slot& slot = slots_[read_ % slots_.size()];
    const bool opens = next_frame_ % w == 0;
    group_in_window_ = opens ? 0 : group_in_window_ + 1;
    slot.place = {next_frame_ / w, group_in_window_, 0, read_++};
    slot.first_frame = next_frame_;
    slot.first = static_cast<std::uint32_t>(next_frame_ % w);
    slot.count = static_cast<std::uint32_t>(count);
    next_frame_ += count;
    read_frames(slot);
    pool_.run_until([&] { return unprepared_.load(std::memory_order_acquire) == 0; });
    submit_tiles(slot);
    return true;
  }

  void read_frames(Slot& slot) {
    slot.reads.assign(slot.count, {});
    const auto read = [this, &slot](std::uint32_t i) {
      const std::uint64_t frame = slot.first_frame + i;
      slot.reads[i] = reader_.read(frame, {ring_.frame(frame), info_.shape.bytes()});
    };
    if (!reader_.reads_side_by_side() || layout_.threads == 1) {
      for (std::uint32_t i = 0; i < slot.count; ++i) read(i);
      return;
    }
    slot.unread.store(slot.count, std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < slot.count; ++i) {
      pool_.submit([&slot, i, read](std::size_t) {
        read(i);
        slot.unread.fetch_sub(1, std::memory_order_release);
      });
    }
    pool_.run_until([&] { return slot.unread.load(std::memory_order_acquire) == 0; });
  }

  void submit_tiles(Slot& slot) {
    slot.tiles.assign(grid_.count(), {});
    slot.uncoded.store(grid_.count(), std::memory_order_relaxed);
    for (std::uint32_t tile = 0; tile < grid_.count(); ++tile) {
      chains_.submit(coder_.chain_of(slot, tile), [this, &slot, tile](std::size_t worker) {
        slot.tiles[tile] = coder_.code(slot, tile, worker);
        slot.uncoded.fetch_sub(1, std::memory_order_release);
      });
    }
  }

  Status write_slot(Slot& slot) {
    if (slot.place.group == 0) {
      report_.windows.push_back({slot.place.window, 0, 0});
      frame_bytes_.push_back(0);
      digests_.clear();
    }
    ++report_.groups;
    WindowSize& size = report_.windows.back();
    size.raw_bytes += slot.count * info_.shape.bytes();
    report_.raw_bytes += slot.count * info_.shape.bytes();
    for (std::uint32_t tile = 0; tile < grid_.count(); ++tile) FF_TRY(write_tile(slot, tile, size));
    const std::uint32_t done = slot.first + slot.count;
    if (done < layout_.window_frames && slot.first_frame + slot.count < info_.frames) return {};
    FF_ASSIGN(const Payload envelope, records_.window(size, done, slot.place, digests_));
    return writer_.append({0, 0, slot.place.window, 0, 0, ArchiveRecord::window}, envelope.bytes());
  }

  Status write_tile(Slot& slot, std::uint32_t tile, WindowSize& size) {
    CodedTile& result = slot.tiles[tile];
    FF_TRY(std::move(result.status));
    size.coded_bytes += result.bytes;
    count(slot, result);
    digests_.push_back(result.digest);
    ArchiveEntry entry{
        0, 0, slot.place.window, tile, static_cast<std::uint16_t>(slot.place.group), ArchiveRecord::block};
    entry.frames = static_cast<std::uint8_t>(slot.count);
    entry.key = result.key;
    FF_TRY(writer_.append(entry, result.envelope.bytes()));
    result.envelope = {};
    if (slot.place.group == 0)
      frame_bytes_.back() =
          std::max(frame_bytes_.back(), static_cast<std::uint32_t>(result.bytes / slot.count));
    return {};
  }

  void count(const Slot& slot, const CodedTile& result) {
    ++report_.blocks;
    report_.coded_bytes += result.bytes;
    report_.key_blocks += result.key && slot.place.group > 0 ? 1 : 0;
    report_.reference_blocks += result.by_reference ? 1 : 0;
    report_.encode_seconds += static_cast<double>(result.time_ns) * 1e-9;
  }

  FrameReader& reader_;
  const RecordingInfo& info_;
  ArchiveWriter writer_;
  const ArchiveEncodeOptions& options_;
  const ArchiveLayout layout_;
  wire::TileGrid grid_;
  ArchiveRecords records_;
  std::vector<Digest> digests_;             ///< of the window's blocks
  std::vector<std::uint32_t> frame_bytes_;  ///< by window: of its first group's largest tile, for one frame
  ArchiveEncodeReport report_;
  Result<Payload> start_ = Payload{};
  std::atomic<std::uint32_t> unprepared_{0};
  std::uint64_t next_frame_ = 0;          ///< lowest that is in no slot yet
  std::uint32_t group_in_window_ = 0;     ///< the last one taken
  std::uint64_t read_ = 0, written_ = 0;  ///< groups
  FrameRing ring_;                        ///< of whole frames, by their index in the recording
  ArchiveTileCoder coder_;
  std::vector<Slot> slots_;
  TaskPool pool_;
  TaskChains chains_;  ///< ends first: its tasks use all of the above
};

}  // namespace

Result<MemoryBound> encode_memory(const FrameReader& reader, const ArchiveEncodeOptions& options) {
  FF_TRY(check_options(reader, options));
  return layout_of(reader, wire::TileGrid(geometry_of(reader.info(), options)), options).encode_bound();
}

Result<ArchiveEncodeReport> encode_archive(FrameReader& reader, const std::string& target,
                                           const ArchiveEncodeOptions& options,
                                           const std::function<void(std::uint64_t)>& progress) {
  FF_TRY(check_options(reader, options));
  const pb::StreamGeometry geometry = geometry_of(reader.info(), options);
  const ArchiveLayout layout = layout_of(reader, wire::TileGrid(geometry), options);
  const MemoryBound bound = layout.encode_bound();
  if (options.memory_max != 0 && bound.total() > options.memory_max)
    FF_TRY(check_memory(bound, options.memory_max, memory_advice(layout, options.memory_max)));
  const ArchiveStamp stamp = options.stamp ? *options.stamp : ArchiveStamp::mint();
  FF_ASSIGN(ArchiveWriter writer, ArchiveWriter::create(target, options.force, stamp.log_id, stamp.utc_ns));
  FF_ASSIGN(FrameRing ring, FrameRing::allocate(std::min(layout.ring_frames(), reader.info().frames),
                                                reader.info().shape.bytes()));
  ArchiveEncoder encoder(reader, std::move(writer), options, geometry, layout, std::move(ring), stamp);
  return encoder.run(progress);
}

}  // namespace ff::tools
