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
// A slot holds one group of whole frames. The thread that reads and writes fills slots in order and empties
// them in order; in between any thread codes any tile of them.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/frame_view.hpp"
#include "common/base/result.hpp"

namespace ff::tools {

struct MemoryBound {
  std::uint64_t process = 0;  ///< program, libraries, thread stacks
  std::uint64_t source = 0;   ///< what reader and writer keep beside the frames in slots
  std::uint64_t frames = 0;   ///< raw frames in slots
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
  FrameShape frame;  ///< whole frames in slots
  FrameShape tile;   ///< the largest
  std::uint32_t tiles = 1;
  std::uint64_t windows = 1;
  std::uint32_t window_frames = 16, group_frames = 8;
  std::uint32_t threads = 1;
  bool coded_twice = false;  ///< dynamic windowing
  std::uint64_t source_bytes = 0;

  [[nodiscard]] std::uint32_t groups_per_window() const noexcept {
    return (window_frames + group_frames - 1) / group_frames;
  }
  /// Windows that may be coded at the same time, whatever the number of threads.
  [[nodiscard]] std::uint32_t lanes() const noexcept;
  [[nodiscard]] std::uint32_t slots() const noexcept;
  /// Windows that groups in slots may belong to.
  [[nodiscard]] std::uint32_t decode_lanes() const noexcept;
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
