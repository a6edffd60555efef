// SPDX-License-Identifier: Apache-2.0
//
// The reference codec: plain loops in the order of docs/formats/block.md. It defines what the bytes mean.
//
// Data path  window > plan > [encode] > envelope > ... > [decode] > store
// Meaning    docs/formats/block.md §6 and §7; each function's contract: kernels/model_coder.hpp.
// Not here   header, CRCs and side information (kernels/format/), speed (kernels/cpu/).
#pragma once

#include "kernels/model_coder.hpp"

namespace ff::kernels::reference {

EncodeStreams encode_smooth, encode_phases, encode_cells;
DecodeStreams decode_smooth, decode_phases, decode_cells;

inline constexpr ModelCoders kCoders{
    {{encode_smooth, decode_smooth}, {encode_phases, decode_phases}, {encode_cells, decode_cells}}};

}  // namespace ff::kernels::reference
