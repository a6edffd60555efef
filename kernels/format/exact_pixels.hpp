// SPDX-License-Identifier: Apache-2.0
//
// Exact pixels: what a lossy block gives back bit for bit beside masked pixels and sentinels.
//
// Data path  window > plan > [encode] > ... > [decode] > store
// Meaning    docs/formats/block.md §5.8. A pixel that the detector masks but whose value varies can't be in the mask
//            map; its decoded values are corrected to the detector's, in output only: predictor state is not touched.
// Not here   the mask map (mask_map.hpp); who is exact (reference/plan_mask.hpp).
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/bytes.hpp"
#include "kernels/codec.hpp"
#include "kernels/format/level_map.hpp"
#include "kernels/format/mask_map.hpp"

namespace ff::kernels {

/// Content of the section: positions and, frame by frame, what the bins took away. `pixels` ascend.
[[nodiscard]] std::vector<std::byte> write_exact_pixels(const std::vector<std::uint32_t>& pixels,
                                                        GroupFrames frames, const LevelCodec& codec);

/// Puts the detector's values into decoded frames. Work is bounded by the section's length. Errors: malformed.
[[nodiscard]] Status restore_exact_pixels(ByteSpan section, MutableGroupFrames frames);

/// CRC of what a decoder will give: of every pixel its bin's value, but for masked and exact ones.
[[nodiscard]] std::uint32_t decoded_pixel_crc(GroupFrames frames, const LevelCodec& codec,
                                              const MaskMap* mask, const std::vector<std::uint32_t>& exact);

}  // namespace ff::kernels
