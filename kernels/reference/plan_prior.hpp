// SPDX-License-Identifier: Apache-2.0
//
// Prior planning: block means of a group's first frame, for the reset that opens a window.
//
// Data path  window > [prior] > plan
// Meaning    no part of the format: any grid decodes. The better it fits, the cheaper the first frame.
// Not here   how a grid becomes a state (kernels/format/prior.hpp).
#pragma once

#include "kernels/predictor_state.hpp"

namespace ff::kernels::reference {

/// Means (and mean distances, for the scale) of blocks of (1 << log2_block) square pixels.
[[nodiscard]] Prior plan_prior(const FrameView& frame, const LevelCodec& codec, const PredictorSetup& setup,
                               const MaskMap* mask, unsigned log2_block, unsigned frames_weight);

}  // namespace ff::kernels::reference
