// SPDX-License-Identifier: Apache-2.0
//
// Mask planning: which pixels hold one known value through a whole group.
//
// Data path  window > [mask] > plan
// Meaning    no part of the format: any mask whose pixels hold their values is right.
// Not here   how a mask is written (kernels/format/mask_map.hpp).
#pragma once

#include <memory>

#include "kernels/format/mask_map.hpp"
#include "kernels/predictor_state.hpp"

namespace ff::kernels::reference {

/// The mask for a group, or null where nothing is masked. `previous` (may be null) is returned as it is while
/// it holds; else its deviating pixels leave it. `rebuild`: look for masked pixels anew where `previous`
/// fails.
[[nodiscard]] std::shared_ptr<const MaskMap> plan_mask(const FrameShape& tile, GroupFrames frames,
                                                       const EncodeOptions& options,
                                                       const std::shared_ptr<const MaskMap>& previous,
                                                       bool rebuild);

/// Under a bound: the pixels that the detector masks and that `mask` can't hold because their values vary.
[[nodiscard]] std::vector<std::uint32_t> plan_exact_pixels(const EncodeOptions& options, const MaskMap* mask);

}  // namespace ff::kernels::reference
