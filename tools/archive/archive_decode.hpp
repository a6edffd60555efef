// SPDX-License-Identifier: Apache-2.0
//
// ArchiveRecording: an archive file, or a part of it, as a recording: whoever reads recordings reads archives.
//
// Only the blocks that the wanted frames and pixels need are read: of each tile that the region touches, from the
// last key group at or before the first wanted frame of a window to the group with the last one.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/task_pool.hpp"
#include "common/wire/tile_grid.hpp"
#include "kernels/codec.hpp"
#include "tools/archive/archive_file.hpp"
#include "tools/archive/archive_groups.hpp"
#include "tools/archive/archive_layout.hpp"
#include "tools/archive/archive_selection.hpp"
#include "tools/archive/archive_tile_decoder.hpp"
#include "tools/archive/frame_ring.hpp"
#include "tools/recording/recording.hpp"

namespace ff::tools {

struct ArchiveDecodeOptions {
  kernels::Device device = kernels::Device::cpu;
  ArchiveSelection selection;
  std::uint32_t threads = 1;        ///< 0: as many as there are cores
  std::uint64_t memory_max = 0;     ///< refused where the bound is above it; 0: no limit
  std::uint32_t frames_beside = 0;  ///< whole frames that the caller keeps itself; they count for the bound
};

/// Frames in ascending order are decoded once, and with several threads ahead of the reader; going back inside a
/// group is free, farther back decodes again from a key group. Memory: memory().
class ArchiveRecording final : public FrameReader {
 public:
  /// Errors: those of ArchiveReader::open and parse_envelope; malformed (no geometry, blocks missing);
  /// out_of_range (the selection); invalid_argument (memory).
  [[nodiscard]] static Result<std::unique_ptr<ArchiveRecording>> open(const std::string& path,
                                                                      const ArchiveDecodeOptions& options);

  /// `index` counts from the first wanted frame. Errors: those of decode_group; malformed (a frame that is in no
  /// block).
  [[nodiscard]] Status read(std::uint64_t index, MutableByteSpan pixels) override;

  /// Takes consecutive frames, the first of them `index`, counted as in read(). Called by every thread of the pool,
  /// in no order, at the same time; the bytes are gone after the call.
  using FrameSink = std::function<Status(std::uint64_t index, ByteSpan frames)>;
  /// Gives every wanted frame to `sink` once. `progress` hears, in this thread, how many frames are through.
  /// Errors: those of read and of `sink`.
  [[nodiscard]] Status write_to(const FrameSink& sink, const std::function<void(std::uint64_t)>& progress);
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept override { return memory().total(); }

  [[nodiscard]] MemoryBound memory() const noexcept { return layout_.decode_bound(); }
  [[nodiscard]] std::uint32_t threads() const noexcept { return layout_.threads; }
  [[nodiscard]] TaskPool& pool() noexcept { return *pool_; }
  [[nodiscard]] std::uint64_t blocks_read() const noexcept { return decoder_.blocks_read(); }
  [[nodiscard]] std::uint64_t blocks_in_file() const noexcept {
    return static_cast<std::uint64_t>(
        std::ranges::count(archive_.entries(), ArchiveRecord::block, &ArchiveEntry::kind));
  }
  /// Frames of tiles that were decoded, wanted or on the way to a wanted one.
  [[nodiscard]] std::uint64_t tile_frames_decoded() const noexcept { return decoder_.frames_decoded(); }
  [[nodiscard]] const SelectedPart& part() const noexcept { return part_; }

 private:
  /// Consecutive wanted frames of a slot, for the sink.
  struct Piece {
    std::uint32_t first = 0, frames = 0;  ///< in the slot
    Status written{};
  };
  /// One group on its way from the file to the reader.
  struct Slot {
    const ArchiveGroup* group = nullptr;
    std::uint64_t ring_place = 0;  ///< of its first frame
    std::vector<Status> tiles;
    std::vector<Piece> pieces;                  ///< empty without a sink
    std::atomic<std::uint32_t> undecoded{0};    ///< tiles
    std::atomic<std::uint32_t> outstanding{0};  ///< tiles and pieces
  };

  ArchiveRecording(RecordingInfo info, ArchiveReader archive, const foreframe::wire::StreamGeometry& geometry,
                   std::uint32_t window_frames, const SelectedPart& part,
                   const ArchiveDecodeOptions& options);

  [[nodiscard]] Status plan_memory();
  [[nodiscard]] Status restart(std::uint64_t frame);
  [[nodiscard]] bool within_reach(std::uint64_t frame) const;
  [[nodiscard]] Status write_slots(const std::function<void(std::uint64_t)>& progress);
  void wait_for(const Slot& slot);
  void wait_for_all();
  void fill_slots();
  void cut_pieces(Slot& slot) const;
  void submit_group(Slot& slot);
  void submit_pieces(Slot& slot);
  [[nodiscard]] Status status_of(const Slot& slot) const;

  ArchiveReader archive_;
  wire::TileGrid grid_;
  std::uint32_t window_frames_;
  SelectedPart part_;
  ArchiveDecodeOptions options_;
  std::vector<ArchiveGroup> groups_;  ///< by window, then group
  ArchiveLayout layout_;
  FrameRing ring_;  ///< of the region
  ArchiveTileDecoder decoder_;
  const FrameSink* sink_ = nullptr;

  std::size_t next_group_ = 0;
  std::vector<std::size_t> begins_;          ///< by tile: the group from which it is decoded after a restart
  bool ended_ = true;                        ///< no group that is wanted is left to submit
  std::uint64_t taken_ = 0, submitted_ = 0;  ///< slots are a ring: [taken, submitted) are in it
  std::uint64_t ring_end_ = 0;               ///< frames ever given a place in the ring
  std::vector<Slot> slots_;
  std::unique_ptr<TaskPool> pool_;
  std::unique_ptr<TaskChains> chains_;  ///< ends first: its tasks use all of the above
};

/// The whole archive in one thread, on the fastest device: what open_recording() gives for NAME.ffs.
[[nodiscard]] Result<FrameReaderPtr> open_archive_recording(const std::string& path);

}  // namespace ff::tools
