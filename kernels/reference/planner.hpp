// SPDX-License-Identifier: Apache-2.0
//
// Planner: every choice of a group, for the profiles fast, small, max and auto; the same plan on every machine.
//
// Data path  window > [plan] > encode
// Meaning    no part of the format; judged by bits. It tries choices on a sample of rows and keeps the cheapest.
// Not here   executing the plan (codec_reference.hpp, kernels/cpu/), sparse data (plan_cells.hpp).
//
//     mask ─▶ level map ─┬▶ smooth: sample ─▶ source, smoothing, memory ─▶ prior ─▶ classes, frequencies
//                        └▶ phases: mixes of each frame (plan_phases.hpp) ─▶ source ─▶ classes
//
// Profile auto weighs both by their expected bits when a window starts, and takes the faster where they are nearly
// equal.
#pragma once

#include "kernels/predictor_state.hpp"

namespace ff::kernels::reference {

/// Preconditions (checked by kernels/codec.cpp): place, views and mask fit the state; integer pixels.
/// Cost: about 1 ns a pixel for large groups; more for the first group of a tile, which tries everything.
[[nodiscard]] EncodePlanPtr plan_predicted(const TileState::Body& body, const GroupPlace& place,
                                           GroupFrames frames, const EncodeOptions& options);

}  // namespace ff::kernels::reference
