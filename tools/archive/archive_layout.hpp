// SPDX-License-Identifier: Apache-2.0
//
// How a recording is spread over threads while it becomes an archive or comes out of one, and the memory that
// this takes at most; known before the first frame is read.
//
// A chain is what must be coded in order: the groups of one tile, window after window. Windows do not depend
// on each other, but what the planner learned in one makes the next one faster to plan and smaller, so windows
// are dealt to `lanes` in turn (window w to lane w mod lanes) and a lane carries it on. The number of lanes
// follows from the tiles alone: bytes never depend on the number of threads.
//
// Frames lie in a ring (frame_ring.hpp); a slot stands for one group of them. The thread that made the pool fills
// slots in order and empties them in order; in between any thread reads, codes or writes any part of them.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/frame_view.hpp"
#include "common/base/result.hpp"

namespace ff::tools {

struct MemoryBound {
  std::uint64_t process = 0;  ///< program, libraries, thread stacks
  std::uint64_t source = 0;   ///< what reader and writer keep beside the frames in slots
  std::uint64_t frames = 0;   ///< raw frames in the ring
  std::uint64_t coded = 0;    ///< coded groups, as if nothing became smaller
  std::uint64_t states = 0;   ///< predictor states
  std::uint64_t work = 0;     ///< of the codec, for each thread
  [[nodiscard]] std::uint64_t total() const noexcept {
    return process + source + frames + coded + states + work;
  }
};

/// What any command takes with so many threads, before it reads anything.
[[nodiscard]] MemoryBound program_memory(std::uint32_t threads) noexcept;

/// What decides about memory and order.
struct ArchiveLayout {
  FrameShape frame;  ///< whole frames in the ring
  FrameShape tile;   ///< the largest
  std::uint32_t tiles = 1;
  std::uint64_t windows = 1;
  std::uint32_t window_frames = 16;
  std::uint32_t group_frames = 8, group_frames_least = 8;  ///< of a full group; they may differ by window
  std::uint32_t threads = 1;
  bool coded_twice = false;  ///< dynamic windowing
  std::uint64_t source_bytes = 0;

  /// Windows that may be coded at the same time, whatever the number of threads.
  [[nodiscard]] std::uint32_t lanes() const noexcept;
  /// Windows that give each of the threads a chain.
  [[nodiscard]] std::uint32_t windows_at_once() const noexcept;
  [[nodiscard]] std::uint64_t ring_frames() const noexcept;
  /// Groups that may be in the ring.
  [[nodiscard]] std::uint64_t slots() const noexcept;
  [[nodiscard]] std::uint32_t decode_lanes() const noexcept {
    return threads == 1 ? 1 : windows_at_once() + 1;
  }
  [[nodiscard]] MemoryBound encode_bound() const noexcept;
  [[nodiscard]] MemoryBound decode_bound() const noexcept;
};

/// Refuses a bound above `memory_max` (0: no limit); `advice` says what to change.
/// Errors: invalid_argument.
[[nodiscard]] Status check_memory(const MemoryBound& bound, std::uint64_t memory_max,
                                  const std::string& advice);

/// `wanted` threads, or as many as there are cores for 0; never more than chains that can run.
[[nodiscard]] std::uint32_t threads_for(std::uint32_t wanted, const ArchiveLayout& layout) noexcept;

}  // namespace ff::tools
