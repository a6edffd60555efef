// SPDX-License-Identifier: Apache-2.0
//
// Level planning: base, width, packing and fixed point for the windows to come, from the group at hand.
//
// Data path  window > [level map] > plan
// Meaning    no part of the format; a map that later proves too narrow is replaced, with a reset.
// Not here   what a map means (kernels/format/level_map.hpp).
#pragma once

#include "kernels/predictor_state.hpp"

namespace ff::kernels::reference {

/// Chooses map and fixed point; the context source is left to the caller. `wide`: do not narrow 32-bit types. A
/// list of used values holds those of `memory` too; lists that keep proving too short are given up. With a
/// bound the map is lossy wherever that leaves fewer levels.
[[nodiscard]] PredictorSetup plan_setup(const FrameShape& tile, GroupFrames frames,
                                        const EncodeOptions& options, const MaskMap* mask, bool wide,
                                        const PlannerMemory& memory);

/// True where every unmasked pixel of the group has a level.
[[nodiscard]] bool expresses(const LevelCodec& codec, GroupFrames frames, const MaskMap* mask);

}  // namespace ff::kernels::reference
