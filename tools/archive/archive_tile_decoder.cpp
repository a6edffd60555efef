// SPDX-License-Identifier: Apache-2.0
//
// ArchiveTileDecoder: a tile that lies inside the region is decoded where its frames lie, another one beside them.
#include "tools/archive/archive_tile_decoder.hpp"

#include <algorithm>
#include <cstring>

namespace ff::tools {

namespace {

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

}  // namespace

ArchiveTileDecoder::ArchiveTileDecoder(const ArchiveReader& archive, const wire::TileGrid& grid,
                                       const FrameRing& ring, const DecodedRegion& wanted,
                                       std::uint32_t window_frames, kernels::Device device)
    : archive_(archive),
      grid_(grid),
      ring_(ring),
      wanted_(wanted),
      window_frames_(window_frames),
      device_(device) {
  for (std::uint32_t tile = 0; tile < grid_.count(); ++tile) {
    const TileRect rect = grid_.rect(tile), shared = intersect(rect, wanted.region);
    if (shared.rows > 0) tiles_.push_back({tile, rect, shared});
  }
}

void ArchiveTileDecoder::prepare(std::size_t chains, std::size_t workers) {
  states_.resize(chains);
  scratch_.resize(workers);
}

Status ArchiveTileDecoder::decode(const ArchiveGroup& group, std::size_t t, bool opens, std::size_t chain,
                                  std::size_t worker, std::uint64_t ring_place) {
  const Tile& tile = tiles_[t];
  std::optional<kernels::TileState>& state = states_[chain];
  if (opens || (!state && group.tiles[tile.index]->key)) {
    FF_ASSIGN(kernels::TileState fresh, kernels::TileState::create(grid_.tile_shape(tile.index)));
    state.emplace(std::move(fresh));
  }
  if (!state) return fail(Errc::state_mismatch, "follows a block that can't be read");
  FF_ASSIGN(const Block block, read_block(group, tile));
  const ByteSpan coded = block.envelope.payload;
  FF_TRY(tile.inside() ? decode_whole(group, tile, coded, *state, ring_place)
                       : decode_part(group, tile, coded, *state, ring_place, scratch_[worker]));
  frames_decoded_.fetch_add(group.frames, std::memory_order_relaxed);
  return {};
}

Result<ArchiveTileDecoder::Block> ArchiveTileDecoder::read_block(const ArchiveGroup& group,
                                                                 const Tile& tile) {
  const ArchiveEntry& entry = *group.tiles[tile.index];
  Block block;
  FF_ASSIGN(block.bytes, archive_.read(entry));
  blocks_read_.fetch_add(1, std::memory_order_relaxed);
  FF_ASSIGN(block.envelope, wire::parse_envelope(block.bytes));
  if (!block.envelope.header.has_block()) return fail(Errc::malformed, "is no block, the index says it is");
  const auto& record = block.envelope.header.block();
  const std::uint32_t count = record.frame_count();
  const std::uint64_t all = count == 64 ? ~0ull : (1ull << count) - 1;
  const bool right_place = record.tile() == tile.index && record.window() == entry.window;
  if (!right_place || record.present() != all || record.first_frame() + count > window_frames_)
    return fail(Errc::malformed, "is not the block the index says, or lacks frames");
  if (group.window * window_frames_ + record.first_frame() != group.first_frame || count != group.frames)
    return fail(Errc::malformed, "covers other frames than the index or the group's first tile says");
  return block;
}

/// What a frame in the ring has of a tile.
MutableFrameView ArchiveTileDecoder::ring_view(const Tile& tile, std::uint64_t frame) const {
  return dense_view(wanted_.shape, static_cast<void*>(ring_.frame(frame)))
      .tile(relative(tile.shared, wanted_.region));
}

Status ArchiveTileDecoder::decode_whole(const ArchiveGroup& group, const Tile& tile, ByteSpan block,
                                        kernels::TileState& state, std::uint64_t ring_place) {
  std::vector<MutableFrameView> views;
  for (std::uint32_t i = 0; i < group.frames; ++i) views.push_back(ring_view(tile, ring_place + i));
  return kernels::decode_group(device_, state, block, views);
}

Status ArchiveTileDecoder::decode_part(const ArchiveGroup& group, const Tile& tile, ByteSpan block,
                                       kernels::TileState& state, std::uint64_t ring_place,
                                       std::vector<std::byte>& scratch) {
  const FrameShape shape = grid_.tile_shape(tile.index);
  scratch.resize(std::max(scratch.size(), group.frames * shape.bytes()));
  std::vector<MutableFrameView> views;
  for (std::uint32_t i = 0; i < group.frames; ++i)
    views.push_back(dense_view(shape, static_cast<void*>(scratch.data() + i * shape.bytes())));
  FF_TRY(kernels::decode_group(device_, state, block, views));
  for (std::uint32_t i = 0; i < group.frames; ++i) {
    const MutableFrameView from = views[i].tile(relative(tile.shared, tile.rect));
    const MutableFrameView to = ring_view(tile, ring_place + i);
    for (std::uint32_t row = 0; row < tile.shared.rows; ++row)
      std::memcpy(to.row(row), from.row(row), to.shape.row_bytes());
  }
  return {};
}

}  // namespace ff::tools
