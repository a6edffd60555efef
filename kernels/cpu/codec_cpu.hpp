// SPDX-License-Identifier: Apache-2.0
//
// The fast CPU codec: the same bytes as kernels/reference/, in vectors of 16 and 32 pixels.
//
// Data path  window > plan > [encode] > envelope > ... > [decode] > store
// Meaning    docs/formats/block.md §6 and §7, by way of kernels/reference/.
// Not here   header, CRCs and side information (kernels/format/).
//
// The processor is asked once for its widest vectors: AVX-512, AVX2 or plain C++. The last two share their loops over rows
// (generic_codec.inl); AVX2 has lanes and sums of its own. Arm runs the plain loops, which become NEON.
#pragma once

#include "kernels/model_coder.hpp"

namespace ff::kernels::cpu {

/// The loops of the widest path. Scratch stays with the calling thread for its next group:
///   smooth  2 bytes a pixel of the group, 4 or 6 where its levels are not its pixels as they lie, and the payload
///   phases  4 bytes a pixel of the group, 6 with 32-bit levels; decoding, 64 half rows of levels; both what PhaseWalk
///           says
///   cells   1 to 2 bytes a pixel of the group, and the payload
[[nodiscard]] const ModelCoders& coders() noexcept;

}  // namespace ff::kernels::cpu
