// SPDX-License-Identifier: Apache-2.0
//
// Recording to archive: windows > groups > tiles, one block each.
//
//   this thread     read a group into a free slot ........ write the oldest slot's blocks
//   any thread                       code tile 0, 1, 2 ... of it
#include "tools/archive/archive_encode.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#include "common/base/clock.hpp"
#include "common/base/task_pool.hpp"
#include "common/base/units.hpp"
#include "common/wire/tile_grid.hpp"
#include "tools/archive/archive_file.hpp"

namespace ff::tools {

namespace {

namespace pb = foreframe::wire;

constexpr std::size_t kRawBlockBytesWanted = 4u << 20;
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

ArchiveLayout layout_of(const FrameReader& reader, const wire::TileGrid& grid,
                        const ArchiveEncodeOptions& options) {
  const RecordingInfo& info = reader.info();
  ArchiveLayout layout;
  layout.frame = info.shape;
  layout.tile = grid.tile_shape(0);
  layout.tiles = grid.count();
  layout.window_frames = options.window_frames;
  const auto wanted =
      static_cast<std::uint32_t>(std::max<std::size_t>(1, kRawBlockBytesWanted / layout.tile.bytes()));
  layout.group_frames = options.group_frames > 0 ? options.group_frames : wanted;
  layout.group_frames = std::min(layout.group_frames, options.window_frames);
  layout.windows = (info.frames + options.window_frames - 1) / options.window_frames;
  layout.coded_twice = options.windowing.factor_per_mille > 0;
  layout.source_bytes = reader.memory_bytes() + info.pixel_mask.size();  // and the tiles' masks
  layout.threads = threads_for(options.threads, layout);
  return layout;
}

/// What to change, and to what, so that the bound keeps to the limit.
std::string memory_advice(ArchiveLayout layout, std::uint64_t memory_max) {
  for (const std::uint32_t threads : {layout.threads, 1u}) {
    layout.threads = threads;
    for (std::uint32_t group = layout.group_frames; group > 0; group /= 2) {
      ArchiveLayout other = layout;
      other.group_frames = group;
      const std::uint64_t bytes = other.encode_bound().total();
      if (bytes > memory_max) continue;
      return "--group " + std::to_string(group) + " --threads " + std::to_string(threads) + " needs " +
             human_bytes(static_cast<double>(bytes));
    }
  }
  layout.group_frames = 1;
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
  std::uint64_t window = 0;
  std::uint32_t group = 0, first = 0, count = 0;
  std::vector<std::byte> frames;
  std::vector<TileResult> tiles;
  std::atomic<std::uint32_t> uncoded{0};
};

class ArchiveEncoder {
 public:
  ArchiveEncoder(FrameReader& reader, ArchiveWriter writer, const ArchiveEncodeOptions& options,
                 const pb::StreamGeometry& geometry, const ArchiveLayout& layout, const ArchiveStamp& stamp)
      : reader_(reader),
        info_(reader.info()),
        writer_(std::move(writer)),
        options_(options),
        layout_(layout),
        grid_(geometry),
        records_(info_, geometry, grid_.count(), layout.window_frames, layout.groups_per_window(),
                 options.profile, stamp),
        slots_(layout.slots()),
        scratch_(layout.threads),
        pool_(layout.threads),
        chains_(pool_, std::size_t{layout.lanes()} * grid_.count()) {}

  Result<ArchiveEncodeReport> run(const std::function<void(std::uint64_t)>& progress) {
    const std::int64_t begin_ns = monotonic_now_ns();
    FF_TRY(prepare_tiles());
    FF_ASSIGN(const Payload start, records_.start());
    FF_TRY(writer_.append({0, 0, 0, 0, 0, ArchiveRecord::series_start}, start.bytes()));
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
  /// Mask of each tile, and a coder for each tile of each lane.
  Status prepare_tiles() {
    tile_masks_.resize(grid_.count());
    for (std::uint32_t tile = 0; tile < grid_.count() && !info_.pixel_mask.empty(); ++tile) {
      const TileRect rect = grid_.rect(tile);
      for (std::uint32_t row = 0; row < rect.rows; ++row) {
        const auto* from =
            info_.pixel_mask.data() + std::size_t{rect.row + row} * info_.shape.cols + rect.col;
        for (std::uint32_t col = 0; col < rect.cols; ++col)
          tile_masks_[tile].push_back(from[col] != 0 ? 1 : 0);
      }
    }
    for (std::uint32_t lane = 0; lane < layout_.lanes(); ++lane) {
      for (std::uint32_t tile = 0; tile < grid_.count(); ++tile) {
        FF_ASSIGN(agent::TileCoder coder,
                  agent::TileCoder::create(grid_.tile_shape(tile), options_.windowing));
        coders_.push_back(std::move(coder));
      }
    }
    return {};
  }

  /// Slots are a ring: groups [written, read) are in them.
  Status encode_groups(const std::function<void(std::uint64_t)>& progress) {
    std::uint64_t read = 0, written = 0, frame = 0;
    while (frame < info_.frames || written < read) {
      Slot& oldest = slots_[written % slots_.size()];
      const auto coded = [&] { return oldest.uncoded.load(std::memory_order_acquire) == 0; };
      if (written < read && coded()) {
        FF_TRY(write_slot(oldest));
        progress(oldest.window * layout_.window_frames + oldest.first + oldest.count);
        ++written;
      } else if (frame < info_.frames && read - written < slots_.size()) {
        FF_TRY(read_slot(slots_[read++ % slots_.size()], frame));
      } else {
        pool_.run_until(coded);
      }
    }
    return {};
  }

  /// Takes the group that begins at `frame` and gives its tiles to the pool.
  Status read_slot(Slot& slot, std::uint64_t& frame) {
    const std::uint64_t w = layout_.window_frames;
    slot.window = frame / w;
    slot.first = static_cast<std::uint32_t>(frame % w);
    slot.group = slot.first / layout_.group_frames;
    const std::uint64_t window_end = std::min((slot.window + 1) * w, info_.frames);
    slot.count =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(layout_.group_frames, window_end - frame));
    const std::size_t frame_bytes = info_.shape.bytes();
    if (slot.frames.empty())
      slot.frames.resize(std::min<std::uint64_t>(layout_.group_frames, info_.frames) * frame_bytes);
    for (std::uint32_t i = 0; i < slot.count; ++i)
      FF_TRY(reader_.read(frame++, MutableByteSpan(slot.frames).subspan(i * frame_bytes, frame_bytes)));
    slot.tiles.assign(grid_.count(), {});
    slot.uncoded.store(grid_.count(), std::memory_order_relaxed);
    const std::size_t lane = slot.window % layout_.lanes();
    for (std::uint32_t tile = 0; tile < grid_.count(); ++tile) {
      const std::size_t chain = lane * grid_.count() + tile;
      chains_.submit(chain, [this, &slot, tile, chain](std::size_t worker) {
        slot.tiles[tile] = code_tile(slot, tile, coders_[chain], scratch_[worker]);
        slot.uncoded.fetch_sub(1, std::memory_order_release);
      });
    }
    return {};
  }

  TileResult code_tile(const Slot& slot, std::uint32_t tile, agent::TileCoder& coder,
                       std::vector<std::byte>& scratch) {
    const std::int64_t begin_ns = monotonic_now_ns();
    kernels::GroupPlace place;
    place.first_frame = static_cast<std::uint8_t>(slot.first);
    place.frame_count = static_cast<std::uint8_t>(slot.count);
    place.present = slot.count == 64 ? ~0ull : (1ull << slot.count) - 1;
    place.key = slot.group == 0;
    scratch.resize(std::max(scratch.size(), kernels::encoded_size_bound(layout_.tile, layout_.group_frames)));
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
    auto envelope = records_.block({slot.window, slot.group, tile}, place, *coded, std::move(buffer));
    if (envelope.ok())
      result.envelope = std::move(*envelope);
    else
      result.status = envelope.error();
    result.time_ns = monotonic_now_ns() - begin_ns;
    return result;
  }

  Result<agent::CodedGroup> code(const Slot& slot, std::uint32_t tile, const kernels::GroupPlace& place,
                                 agent::TileCoder& coder, MutableByteSpan out) const {
    std::vector<FrameView> views;
    for (std::uint32_t i = 0; i < slot.count; ++i) {
      const void* const pixels = slot.frames.data() + i * info_.shape.bytes();
      views.push_back(dense_view(info_.shape, pixels).tile(grid_.rect(tile)));
    }
    kernels::EncodeOptions codec;
    codec.profile = options_.profile;
    codec.mask = tile_masks_[tile];
    codec.sentinels = info_.sentinels;
    codec.bound = options_.bound;
    return coder.encode(options_.device, place, views, codec, out);
  }

  Status write_slot(Slot& slot) {
    if (slot.group == 0) {
      report_.windows.push_back({slot.window, 0, 0});
      digests_.clear();
    }
    WindowSize& size = report_.windows.back();
    size.raw_bytes += slot.count * info_.shape.bytes();
    report_.raw_bytes += slot.count * info_.shape.bytes();
    for (std::uint32_t tile = 0; tile < grid_.count(); ++tile) {
      TileResult& result = slot.tiles[tile];
      FF_TRY(std::move(result.status));
      size.coded_bytes += result.bytes;
      count(slot, result);
      digests_.push_back(result.digest);
      FF_TRY(writer_.append(
          {0, 0, slot.window, tile, static_cast<std::uint16_t>(slot.group), ArchiveRecord::block},
          result.envelope.bytes()));
      result.envelope = {};
    }
    const std::uint32_t done = slot.first + slot.count;
    const bool last = slot.window * layout_.window_frames + done == info_.frames;
    if (done < layout_.window_frames && !last) return {};
    FF_ASSIGN(const Payload envelope, records_.window(size, done, slot.group + 1, digests_));
    return writer_.append({0, 0, slot.window, 0, 0, ArchiveRecord::window}, envelope.bytes());
  }

  void count(const Slot& slot, const TileResult& result) {
    ++report_.blocks;
    report_.coded_bytes += result.bytes;
    report_.key_blocks += result.key && slot.group > 0 ? 1 : 0;
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
  std::vector<agent::TileCoder> coders_;  ///< by lane, then tile: one for each chain
  std::vector<Digest> digests_;           ///< of the window's blocks
  ArchiveEncodeReport report_;
  std::vector<Slot> slots_;
  std::vector<std::vector<std::byte>> scratch_;  ///< for each thread
  TaskPool pool_;
  TaskChains chains_;  ///< ends first: its tasks use all of the above
};

}  // namespace

Result<ArchiveEncodeReport> encode_archive(FrameReader& reader, const std::string& target,
                                           const ArchiveEncodeOptions& options,
                                           const std::function<void(std::uint64_t)>& progress) {
  if (options.window_frames < 1 || options.window_frames > kernels::kWindowFramesMax) {
    return fail(Errc::out_of_range, "--window takes 1 to 64 frames");
  }
  FF_TRY(kernels::check_loss_bound(options.bound, reader.info().shape.dtype));
  const pb::StreamGeometry geometry = geometry_of(reader.info(), options);
  if (const Status checked = wire::check_geometry(geometry); !checked.ok()) {
    return fail(Errc::invalid_argument, reader.info().source + ": " + checked.error().message);
  }
  const ArchiveLayout layout = layout_of(reader, wire::TileGrid(geometry), options);
  const MemoryBound bound = layout.encode_bound();
  if (options.memory_max != 0 && bound.total() > options.memory_max)
    FF_TRY(check_memory(bound, options.memory_max, memory_advice(layout, options.memory_max)));
  const ArchiveStamp stamp = options.stamp ? *options.stamp : ArchiveStamp::mint();
  FF_ASSIGN(ArchiveWriter writer, ArchiveWriter::create(target, options.force, stamp.log_id, stamp.utc_ns));
  ArchiveEncoder encoder(reader, std::move(writer), options, geometry, layout, stamp);
  return encoder.run(progress);
}

}  // namespace ff::tools
