// SPDX-License-Identifier: Apache-2.0
//
// EncodePlan: every choice a decoder needs for one group, and nothing else.
//
// Data path  window > [plan] > encode > envelope
// Meaning    docs/formats/block.md §5-§8; all of it is transmitted.
// Not here   how the choices are made (kernels/reference/planner.hpp).
#pragma once

#include "kernels/codec.hpp"
#include "kernels/format/block_header.hpp"

namespace ff::kernels {

struct EncodePlan {
  FrameShape tile;
  GroupPlace place;
  Profile profile = Profile::raw;
  BlockKind kind = BlockKind::stored;
};

}  // namespace ff::kernels
