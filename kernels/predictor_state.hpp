// SPDX-License-Identifier: Apache-2.0
//
// TileState::Body: what encoder and decoder remember of one tile from group to group of a window.
//
// Data path  window > [plan > encode] ... [decode] > store
// Meaning    docs/formats/block.md §7 (state). Everything the decoder reads is set by transmitted values
// only. Not here   the arithmetic that moves the state (kernels/reference/, kernels/cpu/).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/codec.hpp"
#include "kernels/format/encode_plan.hpp"

namespace ff::kernels {

struct TileState::Body {
  explicit Body(const FrameShape& tile) : shape(tile) {}

  FrameShape shape;

  // Place in the window: the next group starts at or after `next_frame` and links to `link`.
  bool window_open = false;
  std::uint8_t next_frame = 0;
  std::uint32_t link = 0;
};

}  // namespace ff::kernels
