// SPDX-License-Identifier: Apache-2.0
//
// TileChain: the blocks of one (tile, window, epoch), put back into their order and decoded.
//
// Data path  consume > [put in order > decode_group] > frame buffers
// Block k is decoded after blocks 0 ... k-1, whenever they come; a key block needs none of them but is still
// taken in its turn. After a block that can't be decoded the chain goes on at its next key block; the frames
// in between are damaged.
// Not here   frames made of several tiles (window_assembler.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "common/base/payload.hpp"
#include "common/base/result.hpp"
#include "hpc_sink/decode/frame_fate.hpp"
#include "kernels/codec.hpp"

namespace ff::sink {

/// A block as its envelope described it.
struct PlacedBlock {
  std::uint32_t group = 0;
  kernels::GroupPlace place;
  bool bounded = false;  ///< declared lossy by its envelope
  bool damaged = false;  ///< its bytes are not those that the agent sent: the envelope's payload CRC differs
  Payload bytes;
};

/// Where decoded pixels go and what is told about them. `frames` are bits of window positions.
struct TileOutput {
  /// View of the tile inside the window's frame `position`.
  std::function<MutableFrameView(std::uint32_t position)> frame;
  std::function<void(std::uint64_t frames, bool bounded)> decoded;
  std::function<void(const kernels::LossBound&)> bound;  ///< that a block carries, before its `decoded`
  /// `stage`: log for a block that was damaged on the way, and for those that need it; else decode.
  std::function<void(std::uint32_t group, std::uint64_t frames, Stage stage, const Error& why)> failed;
};

class TileChain {
 public:
  TileChain(kernels::Device device, const FrameShape& tile) : device_(device), tile_(tile) {}

  /// False for a block that is here already.
  [[nodiscard]] bool add(PlacedBlock block);
  /// Decodes every block whose turn it is.
  void advance(const TileOutput& output);
  /// Nothing more will come: jumps over the blocks that are missing, to the next key block each time.
  /// Blocks that can't be decoded without them are dropped: their frames stay undecoded.
  void advance_over_gaps(const TileOutput& output);

  /// Blocks 0 ... next_group()-1 are done, well or badly.
  [[nodiscard]] std::uint32_t next_group() const noexcept { return next_group_; }
  /// Bit k: block k has come, whether its turn has or not.
  [[nodiscard]] std::uint64_t groups_here() const noexcept;

 private:
  void decode(const PlacedBlock& block, const TileOutput& output);
  [[nodiscard]] Status try_decode(const PlacedBlock& block, const TileOutput& output, bool& bounded);

  kernels::Device device_;
  FrameShape tile_;
  std::optional<kernels::TileState> state_;          ///< empty: only a key block can go on
  Stage broken_at_ = foreframe::wire::STAGE_DECODE;  ///< of the latest failure
  std::uint32_t next_group_ = 0;
  std::map<std::uint32_t, PlacedBlock> waiting_;
};

}  // namespace ff::sink
