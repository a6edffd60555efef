// SPDX-License-Identifier: Apache-2.0
//
// Blocks of one tile as an agent would send them: groups of any place and presence, coded one after the other.
#pragma once

#include <vector>

#include <catch2/catch.hpp>

#include "hpc_sink/filter/chunk_codec.hpp"
#include "tests/support/group_images.hpp"

namespace ff::test {

struct Group {
  std::uint8_t first = 0, count = 0;
  std::uint64_t present = 0;
  bool key = false;
};

/// The stack's frame i is frame i of the window. `profile` and `bound` as for the codec.
inline std::vector<std::vector<std::byte>> coded_groups(const tests::FrameStack& window,
                                                        const std::vector<Group>& groups,
                                                        const kernels::EncodeOptions& options = {}) {
  auto state = kernels::TileState::create(window.shape);
  REQUIRE(state.ok());
  const auto all = window.views();
  std::vector<std::vector<std::byte>> blocks;
  for (const Group& group : groups) {
    std::vector<FrameView> views;
    for (unsigned i = 0; i < group.count; ++i)
      if ((group.present >> i & 1) != 0) views.push_back(all[group.first + i]);
    const auto plan =
        kernels::plan_group(*state, {group.first, group.count, group.present, group.key}, views, options);
    REQUIRE(plan.ok());
    std::vector<std::byte> block(
        kernels::encoded_size_bound(window.shape, static_cast<std::uint32_t>(views.size())));
    const auto bytes = kernels::encode_group(kernels::Device::cpu, *state, **plan, views, block);
    REQUIRE(bytes.ok());
    block.resize(*bytes);
    blocks.push_back(std::move(block));
  }
  return blocks;
}

/// A chunk of one tile: `rows` x `cols` of HDF5's chunk, the tile in its corner.
inline sink::ChunkGeometry one_tile(const FrameShape& tile, std::uint32_t frames, std::uint32_t rows,
                                    std::uint32_t cols, std::uint64_t fill) {
  return {{{tile.dtype, rows, cols}, frames}, tile.rows, tile.cols, tile.rows, tile.cols, fill};
}

inline Result<std::vector<std::byte>> chunk_of(const sink::ChunkGeometry& geometry,
                                               const std::vector<std::vector<std::byte>>& blocks) {
  std::vector<sink::ChunkBlock> views;
  for (const auto& block : blocks) views.push_back({0, block});
  return sink::write_chunk(geometry, views);
}

/// Parses and decodes; the status of whichever fails.
inline Status decode(ByteSpan chunk, std::vector<std::byte>& pixels) {
  FF_ASSIGN(const sink::ParsedChunk parsed, sink::parse_chunk(chunk));
  pixels.assign(parsed.geometry.shape.bytes(), std::byte{0xa5});
  return sink::decode_chunk(parsed, pixels);
}

}  // namespace ff::test
