// SPDX-License-Identifier: Apache-2.0
//
// Slots, lanes and the memory bound.
#include "tools/archive/archive_layout.hpp"

#include <algorithm>

#include "common/base/task_pool.hpp"
#include "common/base/units.hpp"
#include "common/wire/envelope.hpp"
#include "kernels/codec.hpp"

namespace ff::tools {

namespace {

// Enough for the cores of a server; frames of so many tiles carry what the planner learned from window to
// window without exception.
constexpr std::uint32_t kChainsWanted = 16;
constexpr std::uint64_t kProcessBytes = 48ull << 20, kThreadBytes = 1ull << 20;

std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) noexcept { return (a + b - 1) / b; }

/// `count` blocks of one tile that together hold so many frames, as if nothing became smaller.
std::uint64_t blocks_bytes(const FrameShape& tile, std::uint64_t frames, std::uint64_t count) noexcept {
  const std::uint64_t head = kernels::encoded_size_bound(tile, 0) + wire::kBlockHeadroomBytes;
  return kernels::encoded_size_bound(tile, static_cast<std::uint32_t>(frames)) + count * head;
}

/// What encode and decode have in common.
MemoryBound common_bound(const ArchiveLayout& layout, std::uint64_t states) noexcept {
  MemoryBound bound = program_memory(layout.threads);
  bound.source = layout.source_bytes;
  bound.frames = layout.ring_frames() * layout.frame.bytes();
  bound.states = states * layout.tiles * kernels::tile_state_bytes(layout.tile);
  bound.work = std::uint64_t{layout.threads} * kernels::codec_work_bytes(layout.tile, layout.group_frames);
  return bound;
}

}  // namespace

MemoryBound program_memory(std::uint32_t threads) noexcept {
  MemoryBound bound;
  bound.process = kProcessBytes + threads * kThreadBytes;
  return bound;
}

std::uint32_t ArchiveLayout::lanes() const noexcept {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(ceil_div(kChainsWanted, tiles), windows));
}

std::uint32_t ArchiveLayout::windows_at_once() const noexcept {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(ceil_div(threads, tiles), windows));
}

// One thread needs one group. More threads need as many windows as give each a chain, and a group that is filled
// and emptied meanwhile.
std::uint64_t ArchiveLayout::ring_frames() const noexcept {
  if (threads == 1) return group_frames;
  return std::min(std::uint64_t{windows_at_once()} * window_frames + group_frames, windows * window_frames);
}

// Every window may end with a short group.
std::uint64_t ArchiveLayout::slots() const noexcept {
  if (threads == 1) return 1;
  return ceil_div(ring_frames(), group_frames_least) + windows_at_once() + 1;
}

MemoryBound ArchiveLayout::encode_bound() const noexcept {
  MemoryBound bound = common_bound(*this, lanes());
  bound.coded = tiles * blocks_bytes(tile, ring_frames(), slots());
  bound.work += threads * blocks_bytes(tile, group_frames, 1);  // a thread's scratch
  if (coded_twice)
    bound.work += threads * (blocks_bytes(tile, group_frames, 1) + kernels::tile_state_bytes(tile));
  return bound;
}

MemoryBound ArchiveLayout::decode_bound() const noexcept {
  MemoryBound bound = common_bound(*this, decode_lanes());
  // Of each thread's tile; and where the index doesn't say how many frames a group has, of tile 0 in each slot.
  bound.coded = threads * blocks_bytes(tile, group_frames, 1) + blocks_bytes(tile, ring_frames(), slots());
  bound.work +=
      std::uint64_t{threads} * group_frames * tile.bytes();  // a tile that lies partly in the region
  return bound;
}

Status check_memory(const MemoryBound& bound, std::uint64_t memory_max, const std::string& advice) {
  if (memory_max == 0 || bound.total() <= memory_max) return {};
  return fail(Errc::invalid_argument, "needs up to " + human_bytes(static_cast<double>(bound.total())) +
                                          ", above --memory " + human_bytes(static_cast<double>(memory_max)) +
                                          ": " + advice);
}

std::uint32_t threads_for(std::uint32_t wanted, const ArchiveLayout& layout) noexcept {
  const std::uint64_t chains = std::uint64_t{layout.lanes()} * layout.tiles;
  const std::uint64_t threads = wanted > 0 ? wanted : usable_cores();
  return static_cast<std::uint32_t>(std::min(threads, chains));
}

}  // namespace ff::tools
