// SPDX-License-Identifier: Apache-2.0
//
// ArchiveTileCoder: a tile's frames are coded in a worker's scratch, hashed, and copied once behind room for a header.
#include "tools/archive/archive_tile_coder.hpp"

#include <algorithm>
#include <cstring>

#include "common/base/clock.hpp"

namespace ff::tools {

ArchiveTileCoder::ArchiveTileCoder(const RecordingInfo& info, const ArchiveEncodeOptions& options,
                                   const ArchiveLayout& layout, const wire::TileGrid& grid,
                                   const ArchiveRecords& records, const FrameRing& ring)
    : info_(info),
      options_(options),
      layout_(layout),
      grid_(grid),
      records_(records),
      ring_(ring),
      tile_masks_(grid.count()),
      coders_(std::size_t{layout.lanes()} * grid.count()),
      scratch_(layout.threads) {}

void ArchiveTileCoder::cut_mask(std::uint32_t tile) {
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

CodedTile ArchiveTileCoder::code(const FrameGroup& group, std::uint32_t tile, std::size_t worker) {
  const std::int64_t begin_ns = monotonic_now_ns();
  kernels::GroupPlace place;
  place.first_frame = static_cast<std::uint8_t>(group.first);
  place.frame_count = static_cast<std::uint8_t>(group.count);
  place.present = group.count == 64 ? ~0ull : (1ull << group.count) - 1;
  place.key = group.place.group == 0;
  std::vector<std::byte>& scratch = scratch_[worker];
  scratch.resize(std::max(scratch.size(), kernels::encoded_size_bound(layout_.tile, group.count)));
  CodedTile result;
  const auto coded = code_block(group, tile, place, scratch);
  if (!coded.ok()) {
    result.status = coded.error();
    return result;
  }
  result.bytes = coded->bytes;
  result.key = coded->key;
  result.by_reference = coded->device != options_.device;
  const ByteSpan block = ByteSpan(scratch).first(coded->bytes);
  result.digest = sha256(block);
  auto envelope = wrap(group, tile, place, *coded, block);
  if (envelope.ok())
    result.envelope = std::move(*envelope);
  else
    result.status = envelope.error();
  result.time_ns = monotonic_now_ns() - begin_ns;
  return result;
}

Result<agent::CodedGroup> ArchiveTileCoder::code_block(const FrameGroup& group, std::uint32_t tile,
                                                       const kernels::GroupPlace& place,
                                                       MutableByteSpan out) {
  for (const Status& read : group.reads)
    if (!read.ok()) return read.error();
  std::optional<agent::TileCoder>& coder = coders_[chain_of(group, tile)];
  if (!coder) {
    FF_ASSIGN(agent::TileCoder fresh, agent::TileCoder::create(grid_.tile_shape(tile), options_.windowing));
    coder.emplace(std::move(fresh));
  }
  std::vector<FrameView> views;
  for (std::uint32_t i = 0; i < group.count; ++i) {
    const void* const pixels = ring_.frame(group.first_frame + i);
    views.push_back(dense_view(info_.shape, pixels).tile(grid_.rect(tile)));
  }
  kernels::EncodeOptions codec;
  codec.profile = options_.profile;
  codec.mask = tile_masks_[tile];
  codec.sentinels = info_.sentinels;
  codec.bound = options_.bound;
  return coder->encode(options_.device, place, views, codec, out);
}

Result<Payload> ArchiveTileCoder::wrap(const FrameGroup& group, std::uint32_t tile,
                                       const kernels::GroupPlace& place, const agent::CodedGroup& coded,
                                       ByteSpan block) const {
  std::vector<std::byte> buffer(wire::kBlockHeadroomBytes + block.size());
  std::memcpy(buffer.data() + wire::kBlockHeadroomBytes, block.data(), block.size());
  return records_.block({group.place.window, group.place.group, tile, group.place.groups_before}, place,
                        coded, std::move(buffer));
}

}  // namespace ff::tools
