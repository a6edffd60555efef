// SPDX-License-Identifier: Apache-2.0
//
// Planner of profile `fast`: whole numbers only, the same plan on every machine.
//
// Data path  window > [plan] > encode
// Meaning    no part of the format; judged by bits. It tries choices on a sample of rows and keeps the
// cheapest. Not here   executing the plan (codec_reference.hpp, kernels/cpu/).
//
//     mask ─▶ level map ─▶ sample ─▶ source, smoothing, memory ─▶ prior ─▶ classes, frequencies ─▶ raw
//     instead?
#pragma once

#include "kernels/predictor_state.hpp"

namespace ff::kernels::reference {

/// Preconditions (checked by kernels/codec.cpp): place, views and mask fit the state; integer pixels.
/// Cost: about 1 ns a pixel for large groups; more for the first group of a tile, which tries everything.
[[nodiscard]] EncodePlanPtr plan_predicted(const TileState::Body& body, const GroupPlace& place,
                                           GroupFrames frames, const EncodeOptions& options);

}  // namespace ff::kernels::reference
