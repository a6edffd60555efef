// SPDX-License-Identifier: Apache-2.0
//
// ArchiveTileCoder: tiles of a group of frames to blocks in their envelopes, by any thread.
//
// Data path  recording > frame ring > [tile > block > envelope] > archive file
// Not here   which group a thread works on (archive_encode.cpp), what an envelope says (archive_records.hpp).
#pragma once

#include <optional>
#include <vector>

#include "common/wire/tile_grid.hpp"
#include "tools/archive/archive_encode.hpp"
#include "tools/archive/frame_ring.hpp"

namespace ff::tools {

/// One group of frames on its way from the recording to the file.
struct FrameGroup {
  BlockPlace place;               ///< of tile 0
  std::uint64_t first_frame = 0;  ///< in the recording
  std::uint32_t first = 0, count = 0;
  std::vector<Status> reads;  ///< of its frames
};

/// One tile of a group, as its coder left it.
struct CodedTile {
  Status status;
  Payload envelope;
  Digest digest{};
  std::size_t bytes = 0;
  bool key = false, by_reference = false;
  std::int64_t time_ns = 0;
};

/// Keeps references to what the constructor is given. A chain's groups must come in order, one at a time; chains may run
/// at the same time, each worker (0 ... threads - 1) in one of them.
class ArchiveTileCoder {
 public:
  ArchiveTileCoder(const RecordingInfo& info, const ArchiveEncodeOptions& options,
                   const ArchiveLayout& layout, const wire::TileGrid& grid, const ArchiveRecords& records,
                   const FrameRing& ring);

  /// What a tile has of the recording's mask; before its first group. Different tiles at the same time.
  void cut_mask(std::uint32_t tile);

  [[nodiscard]] std::size_t chains() const noexcept { return coders_.size(); }
  [[nodiscard]] std::size_t chain_of(const FrameGroup& group, std::uint32_t tile) const noexcept {
    return group.place.window % layout_.lanes() * grid_.count() + tile;
  }
  [[nodiscard]] CodedTile code(const FrameGroup& group, std::uint32_t tile, std::size_t worker);

 private:
  [[nodiscard]] Result<agent::CodedGroup> code_block(const FrameGroup& group, std::uint32_t tile,
                                                     const kernels::GroupPlace& place, MutableByteSpan out);
  [[nodiscard]] Result<Payload> wrap(const FrameGroup& group, std::uint32_t tile,
                                     const kernels::GroupPlace& place, const agent::CodedGroup& coded,
                                     ByteSpan block) const;

  const RecordingInfo& info_;
  const ArchiveEncodeOptions& options_;
  const ArchiveLayout& layout_;
  const wire::TileGrid& grid_;
  const ArchiveRecords& records_;
  const FrameRing& ring_;
  std::vector<std::vector<std::uint8_t>> tile_masks_;
  std::vector<std::optional<agent::TileCoder>> coders_;  ///< by lane, then tile: one for each chain
  std::vector<std::vector<std::byte>> scratch_;          ///< for each worker
};

}  // namespace ff::tools
