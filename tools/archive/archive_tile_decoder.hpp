// SPDX-License-Identifier: Apache-2.0
//
// ArchiveTileDecoder: blocks of an archive to pixels of the wanted region, by any thread.
//
// Data path  archive file > [envelope > block > tile] > frame ring
// Not here   which group a thread works on (archive_decode.cpp).
#pragma once

#include <atomic>
#include <optional>
#include <vector>

#include "common/wire/envelope.hpp"
#include "common/wire/tile_grid.hpp"
#include "kernels/codec.hpp"
#include "tools/archive/archive_file.hpp"
#include "tools/archive/archive_groups.hpp"
#include "tools/archive/frame_ring.hpp"

namespace ff::tools {

/// What is decoded: frames of `shape`, which are `region` of the archive's.
struct DecodedRegion {
  FrameShape shape;
  TileRect region;
};

/// Keeps references to archive, grid and ring. A chain's groups must come in order, one at a time; chains may run at the
/// same time, each worker in one of them.
class ArchiveTileDecoder {
 public:
  ArchiveTileDecoder(const ArchiveReader& archive, const wire::TileGrid& grid, const FrameRing& ring,
                     const DecodedRegion& wanted, std::uint32_t window_frames, kernels::Device device);

  /// Room for so many chains and workers; before the first tile.
  void prepare(std::size_t chains, std::size_t workers);

  /// Tiles that the region touches, and the index of one of them in the grid.
  [[nodiscard]] std::size_t tiles() const noexcept { return tiles_.size(); }
  [[nodiscard]] std::uint32_t index(std::size_t t) const noexcept { return tiles_[t].index; }
  [[nodiscard]] std::size_t chains() const noexcept { return states_.size(); }

  /// Decodes tile t of a group into the ring's frames from `ring_place` on. `opens`: its chain begins anew here.
  /// Errors: those of ArchiveReader::read, parse_envelope and decode_group; malformed (another block than the index says),
  /// state_mismatch (follows a block that could not be read).
  [[nodiscard]] Status decode(const ArchiveGroup& group, std::size_t t, bool opens, std::size_t chain,
                              std::size_t worker, std::uint64_t ring_place);

  [[nodiscard]] std::uint64_t blocks_read() const noexcept { return blocks_read_; }
  /// Frames of tiles that were decoded, wanted or on the way to a wanted one.
  [[nodiscard]] std::uint64_t frames_decoded() const noexcept { return frames_decoded_; }

 private:
  struct Tile {
    std::uint32_t index = 0;  ///< in the grid
    TileRect rect;            ///< in the frame
    TileRect shared;          ///< of it, what is wanted

    [[nodiscard]] bool inside() const noexcept { return rect == shared; }
  };
  struct Block {
    std::vector<std::byte> bytes;
    wire::ParsedEnvelope envelope;
  };

  [[nodiscard]] Result<Block> read_block(const ArchiveGroup& group, const Tile& tile);
  [[nodiscard]] MutableFrameView ring_view(const Tile& tile, std::uint64_t frame) const;
  [[nodiscard]] Status decode_whole(const ArchiveGroup& group, const Tile& tile, ByteSpan block,
                                    kernels::TileState& state, std::uint64_t ring_place);
  [[nodiscard]] Status decode_part(const ArchiveGroup& group, const Tile& tile, ByteSpan block,
                                   kernels::TileState& state, std::uint64_t ring_place,
                                   std::vector<std::byte>& scratch);

  const ArchiveReader& archive_;
  const wire::TileGrid& grid_;
  const FrameRing& ring_;  ///< of the region
  DecodedRegion wanted_;
  std::uint32_t window_frames_;
  kernels::Device device_;
  std::vector<Tile> tiles_;
  std::vector<std::optional<kernels::TileState>> states_;  ///< by lane, then tile: one for each chain
  std::vector<std::vector<std::byte>> scratch_;            ///< for each worker
  std::atomic<std::uint64_t> blocks_read_{0}, frames_decoded_{0};
};

}  // namespace ff::tools
