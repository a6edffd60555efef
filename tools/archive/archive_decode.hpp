// SPDX-License-Identifier: Apache-2.0
//
// ArchiveRecording: an archive file, or a part of it, as a recording: whoever reads recordings reads archives.
//
// Only the blocks that the wanted frames and pixels need are read: of each window from its first group to the
// one with the last wanted frame, of each group the tiles that the region touches.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/task_pool.hpp"
#include "common/wire/envelope.hpp"
#include "common/wire/tile_grid.hpp"
#include "kernels/codec.hpp"
#include "tools/archive/archive_file.hpp"
#include "tools/archive/archive_layout.hpp"
#include "tools/archive/archive_selection.hpp"
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
/// group is free, farther back decodes the window again. Memory: memory().
class ArchiveRecording final : public FrameReader {
 public:
  /// Errors: those of ArchiveReader::open and parse_envelope; malformed (no geometry, blocks missing);
  /// out_of_range (the selection); invalid_argument (memory).
  [[nodiscard]] static Result<std::unique_ptr<ArchiveRecording>> open(const std::string& path,
                                                                      const ArchiveDecodeOptions& options);

  /// `index` counts from the first wanted frame. Errors: those of decode_group; malformed (a frame that is in no
  /// block).
  [[nodiscard]] Status read(std::uint64_t index, MutableByteSpan pixels) override;
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept override { return memory().total(); }

  [[nodiscard]] MemoryBound memory() const noexcept { return layout_.decode_bound(); }
  [[nodiscard]] std::uint32_t threads() const noexcept { return layout_.threads; }
  [[nodiscard]] TaskPool& pool() noexcept { return *pool_; }
  [[nodiscard]] std::uint64_t blocks_read() const noexcept { return blocks_read_; }
  [[nodiscard]] std::uint64_t blocks_in_file() const noexcept { return blocks_in_file_; }
  [[nodiscard]] const SelectedPart& part() const noexcept { return part_; }

 private:
  /// Blocks of one group, one for each tile of the grid.
  struct Group {
    std::uint64_t window = 0;
    std::uint32_t group = 0;
    std::vector<const ArchiveEntry*> tiles;
  };
  /// A tile that the region touches.
  struct Tile {
    std::uint32_t index = 0;  ///< in the grid
    TileRect rect;            ///< in the frame
    bool inside = true;       ///< with all its pixels
  };
  /// One group on its way from the file to the reader.
  struct Slot {
    const Group* group = nullptr;
    std::uint64_t first_frame = 0;  ///< in the series
    std::uint32_t frames = 0;
    std::vector<std::byte> pixels;  ///< of the region
    std::vector<Status> tiles;
    std::atomic<std::uint32_t> undecoded{0};
  };
  struct Block {
    std::vector<std::byte> bytes;
    wire::ParsedEnvelope envelope;
  };

  ArchiveRecording(RecordingInfo info, ArchiveReader archive, const foreframe::wire::StreamGeometry& geometry,
                   std::uint32_t window_frames, const SelectedPart& part,
                   const ArchiveDecodeOptions& options);

  [[nodiscard]] Status arrange();
  [[nodiscard]] Status plan_memory();
  [[nodiscard]] Status restart(std::uint64_t window);
  [[nodiscard]] bool within_reach(std::uint64_t frame) const;
  void fill_slots();
  void submit_group(Slot& slot);
  [[nodiscard]] Status prepare_slot(Slot& slot, Block& first);
  [[nodiscard]] Result<Block> read_block(const ArchiveEntry& entry, std::uint32_t tile) const;
  [[nodiscard]] Status decode_tile(Slot& slot, std::size_t t, const Block& block, kernels::TileState& state,
                                   std::vector<std::byte>& scratch) const;
  [[nodiscard]] Status status_of(const Slot& slot) const;

  ArchiveReader archive_;
  wire::TileGrid grid_;
  std::uint32_t window_frames_;
  SelectedPart part_;
  ArchiveDecodeOptions options_;
  std::vector<Group> groups_;  ///< by window, then group
  std::vector<Tile> tiles_;
  std::uint64_t blocks_in_file_ = 0;
  mutable std::atomic<std::uint64_t> blocks_read_{0};
  ArchiveLayout layout_;
  std::optional<Block> peeked_;  ///< the first wanted block, read to know how many frames a group has

  std::size_t next_group_ = 0;
  bool ended_ = true;                        ///< no group that is wanted is left to submit
  std::uint64_t taken_ = 0, submitted_ = 0;  ///< slots are a ring: [taken, submitted) are in it
  std::vector<Slot> slots_;
  std::vector<std::optional<kernels::TileState>> states_;  ///< by lane, then tile: one for each chain
  std::vector<std::vector<std::byte>> scratch_;            ///< for each thread
  std::unique_ptr<TaskPool> pool_;
  std::unique_ptr<TaskChains> chains_;  ///< ends first: its tasks use all of the above
};

/// The whole archive in one thread, on the fastest device: what open_recording() gives for NAME.ffs.
[[nodiscard]] Result<FrameReaderPtr> open_archive_recording(const std::string& path);

}  // namespace ff::tools
