// SPDX-License-Identifier: Apache-2.0
//
// Planner of the model cells: for tiles most of whose pixels are 0.
//
// Data path  window > [plan] > encode
// Meaning    no part of the format; judged by bits.
// Not here   the other models' planners (planner.hpp), which this one is weighed against.
#pragma once

#include "kernels/predictor_state.hpp"

namespace ff::kernels::reference {

/// Preconditions as plan_fast; any state. Its `expected_bits` are set.
[[nodiscard]] EncodePlanPtr plan_cells(const TileState::Body& body, const GroupPlace& place,
                                       GroupFrames frames, const EncodeOptions& options);

/// The plan of `other`, or of cells where the tile is sparse and cells cost fewer bits (or, being faster, hardly
/// more).
using OtherPlanner = EncodePlanPtr (*)(const TileState::Body&, const GroupPlace&, GroupFrames,
                                       const EncodeOptions&);
[[nodiscard]] EncodePlanPtr plan_or_cells(const TileState::Body& body, const GroupPlace& place,
                                          GroupFrames frames, const EncodeOptions& options,
                                          OtherPlanner other);

}  // namespace ff::kernels::reference
