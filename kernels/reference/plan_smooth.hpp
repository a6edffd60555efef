// SPDX-License-Identifier: Apache-2.0
//
// Smooth planning: smoothing, memory, prior and tables of a group for the model smooth, by trials on a sample of rows.
//
// Data path  window > [plan] > encode
// Meaning    no part of the format; judged by bits.
// Not here   mask, level map, and whether the model is smooth at all (planner.hpp).
#pragma once

#include "kernels/predictor_state.hpp"

namespace ff::kernels::reference {

/// A group whose mask and level map are chosen.
struct SmoothGroup {
  const TileState::Body& body;
  GroupFrames frames;
  const LevelCodec& codec;
  const MaskMap* mask;  ///< null: no pixel is masked
};

/// Fills the plan's group, prior, tables, trials and expected bits, and its setup's context source where it has a setup
/// and the tile is new. Where raw pixels would be smaller, its kind.
void plan_smooth(const SmoothGroup& in, EncodePlan& plan);

}  // namespace ff::kernels::reference
