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
// with groups of kRawBlockBytesWanted.
#include "tools/archive/archive_encode.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <optional>

#include "common/base/clock.hpp"
#include "common/base/task_pool.hpp"
#include "common/base/units.hpp"
#include "common/wire/tile_grid.hpp"
#include "tools/archive/archive_file.hpp"
#include "tools/archive/frame_ring.hpp"

namespace ff::tools {

namespace {

namespace pb = foreframe::wire;

constexpr std::size_t kRawBlockBytesWanted = 4u << 20, kRawBlockBytesMost = 16u << 20;
constexpr std::uint64_t kRawGroupBytesMost = 256u << 20;  // of a long group, all tiles: memory
constexpr std::uint64_t kBlockBytesWanted = 600'000;  // with room to 900 kB for what the next windows bring
constexpr std::uint32_t kTileSide = 512;

pb::StreamGeometry geometry_of(const RecordingInfo& info, const ArchiveEncodeOptions& options) {
  pb::StreamGeometry geometry;
  geometry.set_rows(info.shape.rows);
  geometry.set_cols(info.shape.cols);
  geometry.set_dtype(static_cast<std::uint32_t>(info.shape.dtype));
  geometry.set_tile_rows(options.tile_rows > 0 ? options.tile_rows : std::min(kTileSide, info.shape.rows));
  geometry.set_tile_cols(options.tile_cols > 0 ? options.tile_cols : std::min(kTileSide, info.shape.cols));
  geometry.set_detector_rows(info.shape.rows);
  geometry.set_detector_cols(info.shape.cols);
  for (const std::int64_t value : info.sentinels) geometry.add_sentinels(value);
  return geometry;
}

Status check_options(const FrameReader& reader, const ArchiveEncodeOptions& options) {
  if (options.window_frames < 1 || options.window_frames > kernels::kWindowFramesMax)
    return fail(Errc::out_of_range, "--window takes 1 to 64 frames");
  FF_TRY(kernels::check_loss_bound(options.bound, reader.info().shape.dtype));
  const Status possible = wire::check_geometry(geometry_of(reader.info(), options));
  if (possible.ok()) return {};
  return fail(Errc::invalid_argument, reader.info().source + ": " + possible.error().message);
}

ArchiveLayout layout_of(const FrameReader& reader, const wire::TileGrid& grid,
                        const ArchiveEncodeOptions& options) {
  const RecordingInfo& info = reader.info();
  ArchiveLayout layout;
  layout.frame = info.shape;
  layout.tile = grid.tile_shape(0);
  layout.tiles = grid.count();
  layout.window_frames = options.window_frames;
  const auto frames_of = [&](std::uint64_t bytes, std::size_t frame_bytes) {
    return static_cast<std::uint32_t>(
        std::clamp<std::uint64_t>(bytes / frame_bytes, 1, options.window_frames));
  };
  const std::uint32_t fixed = std::min(options.group_frames, options.window_frames);
  layout.group_frames_least = fixed > 0 ? fixed : frames_of(kRawBlockBytesWanted, layout.tile.bytes());
  const std::uint32_t most = std::min(frames_of(kRawBlockBytesMost, layout.tile.bytes()),
                                      frames_of(kRawGroupBytesMost, layout.frame.bytes()));
  layout.group_frames = fixed > 0 ? fixed : std::max(layout.group_frames_least, most);
  layout.windows = (info.frames + options.window_frames - 1) / options.window_frames;
  layout.coded_twice = options.windowing.factor_per_mille > 0;
  layout.source_bytes = reader.memory_bytes() + info.pixel_mask.size() +  // and the tiles' masks
                        kernels::loss_table_bytes(options.bound);
  layout.threads = threads_for(options.threads, layout);
  while (layout.group_frames > layout.group_frames_least && options.memory_max != 0 &&
         layout.encode_bound().total() > options.memory_max)
    --layout.group_frames;
  return layout;
}

/// What to change, and to what, so that the bound keeps to the limit.
std::string memory_advice(ArchiveLayout layout, std::uint64_t memory_max) {
  for (const std::uint32_t threads : {layout.threads, 1u}) {
    layout.threads = threads;
    for (std::uint32_t group = layout.group_frames; group > 0; group /= 2) {
      ArchiveLayout other = layout;
      other.group_frames = other.group_frames_least = group;
      const std::uint64_t bytes = other.encode_bound().total();
      if (bytes > memory_max) continue;
      return "--group " + std::to_string(group) + " --threads " + std::to_string(threads) + " needs " +
             human_bytes(static_cast<double>(bytes));
    }
  }
  layout.group_frames = layout.group_frames_least = 1;
  return "no --group or --threads is small enough; the least, with --group 1 --threads 1, is " +
         human_bytes(static_cast<double>(layout.encode_bound().total()));
}

/// One tile of a slot, as its coder left it.
struct TileResult {
  Status status;
  Payload envelope;
  Digest digest{};
  std::size_t bytes = 0;
  bool key = false, by_reference = false;
  std::int64_t time_ns = 0;
};

/// One group of frames on its way from the recording to the file.
struct Slot {
  BlockPlace place;               ///< of tile 0
  std::uint64_t first_frame = 0;  ///< in the recording
  std::uint32_t first = 0, count = 0;
  std::vector<Status> reads;  ///< of its frames
  std::vector<TileResult> tiles;
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
        tile_masks_(grid_.count()),
        coders_(std::size_t{layout.lanes()} * grid_.count()),
        ring_(std::move(ring)),
        slots_(layout.slots()),
        scratch_(layout.threads),
        pool_(layout.threads),
        chains_(pool_, coders_.size()) {}

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
    for (std::uint32_t tile = 0; tile < grid_.count(); ++tile) submit([this, tile] { cut_mask(tile); });
  }

  Status write_start() {
    pool_.run_until([&] { return unprepared_.load(std::memory_order_acquire) == 0; });
    if (!start_.ok()) return start_.error();
    return writer_.append({0, 0, 0, 0, 0, ArchiveRecord::series_start}, start_->bytes());
  }

  void cut_mask(std::uint32_t tile) {
    if (info_.pixel_mask.empty()) return;
    const TileRect rect = grid_.rect(tile);
    std::vector<std::uint8_t>& mask = tile_masks_[tile];
    mask.resize(std::size_t{rect.rows} * rect.cols);
    for (std::uint32_t row = 0; row < rect.rows; ++row) {
      const auto* from = info_.pixel_mask.data() + std::size_t{rect.row + row} * info_.shape.cols + rect.col;
      std::transform(from, from + rect.cols,
                     mask.begin() + static_cast<std::ptrdiff_t>(std::size_t{row} * rect.cols),
                     [](std::uint32_t bits) { return static_cast<std::uint8_t>(bits != 0); });
    }
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
    const std::size_t lane = slot.place.window % layout_.lanes();
    for (std::uint32_t tile = 0; tile < grid_.count(); ++tile) {
      const std::size_t chain = lane * grid_.count() + tile;
      chains_.submit(chain, [this, &slot, tile, chain](std::size_t worker) {
        slot.tiles[tile] = code_tile(slot, tile, coders_[chain], scratch_[worker]);
        slot.uncoded.fetch_sub(1, std::memory_order_release);
      });
    }
  }

  TileResult code_tile(const Slot& slot, std::uint32_t tile, std::optional<agent::TileCoder>& coder,
                       std::vector<std::byte>& scratch) {
    const std::int64_t begin_ns = monotonic_now_ns();
    kernels::GroupPlace place;
    place.first_frame = static_cast<std::uint8_t>(slot.first);
    place.frame_count = static_cast<std::uint8_t>(slot.count);
    place.present = slot.count == 64 ? ~0ull : (1ull << slot.count) - 1;
    place.key = slot.place.group == 0;
    scratch.resize(std::max(scratch.size(), kernels::encoded_size_bound(layout_.tile, slot.count)));
    TileResult result;
    const auto coded = code(slot, tile, place, coder, scratch);
    if (!coded.ok()) {
      result.status = coded.error();
      return result;
    }
    result.bytes = coded->bytes;
    result.key = coded->key;
    result.by_reference = coded->device != options_.device;
    const ByteSpan block = ByteSpan(scratch).first(coded->bytes);
    result.digest = sha256(block);
    std::vector<std::byte> buffer(wire::kBlockHeadroomBytes + block.size());
    std::memcpy(buffer.data() + wire::kBlockHeadroomBytes, block.data(), block.size());
    auto envelope = records_.block({slot.place.window, slot.place.group, tile, slot.place.groups_before},
                                   place, *coded, std::move(buffer));
    if (envelope.ok())
      result.envelope = std::move(*envelope);
    else
      result.status = envelope.error();
    result.time_ns = monotonic_now_ns() - begin_ns;
    return result;
  }

  Result<agent::CodedGroup> code(const Slot& slot, std::uint32_t tile, const kernels::GroupPlace& place,
                                 std::optional<agent::TileCoder>& coder, MutableByteSpan out) const {
    for (const Status& read : slot.reads)
      if (!read.ok()) return read.error();
    if (!coder) {
      FF_ASSIGN(agent::TileCoder fresh, agent::TileCoder::create(grid_.tile_shape(tile), options_.windowing));
      coder.emplace(std::move(fresh));
    }
    std::vector<FrameView> views;
    for (std::uint32_t i = 0; i < slot.count; ++i) {
      const void* const pixels = ring_.frame(slot.first_frame + i);
      views.push_back(dense_view(info_.shape, pixels).tile(grid_.rect(tile)));
    }
    kernels::EncodeOptions codec;
    codec.profile = options_.profile;
    codec.mask = tile_masks_[tile];
    codec.sentinels = info_.sentinels;
    codec.bound = options_.bound;
    return coder->encode(options_.device, place, views, codec, out);
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
    TileResult& result = slot.tiles[tile];
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

  void count(const Slot& slot, const TileResult& result) {
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
  std::vector<std::vector<std::uint8_t>> tile_masks_;
  std::vector<std::optional<agent::TileCoder>> coders_;  ///< by lane, then tile: one for each chain
  std::vector<Digest> digests_;                          ///< of the window's blocks
  std::vector<std::uint32_t> frame_bytes_;  ///< by window: of its first group's largest tile, for one frame
  ArchiveEncodeReport report_;
  Result<Payload> start_ = Payload{};
  std::atomic<std::uint32_t> unprepared_{0};
  std::uint64_t next_frame_ = 0;          ///< lowest that is in no slot yet
  std::uint32_t group_in_window_ = 0;     ///< the last one taken
  std::uint64_t read_ = 0, written_ = 0;  ///< groups
  FrameRing ring_;                        ///< of whole frames, by their index in the recording
  std::vector<Slot> slots_;
  std::vector<std::vector<std::byte>> scratch_;  ///< for each thread
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
