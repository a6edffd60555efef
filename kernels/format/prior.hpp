// SPDX-License-Identifier: Apache-2.0
//
// Prior: a coarse image sent with a reset, so that a window's first frame is not coded blind.
//
// Data path  plan > [prior] > predictor state > predict
// Meaning    docs/formats/block.md §5.5: grid values at block centres, bilinear between them, whole numbers.
// Not here   how the grid is measured (kernels/reference/plan_prior.hpp).
#pragma once

#include <cstdint>
#include <span>

#include "common/base/frame_view.hpp"
#include "common/base/result.hpp"
#include "kernels/format/bit_code.hpp"
#include "kernels/format/encode_plan.hpp"

namespace ff::kernels {

/// Grid points along an axis of `pixels` pixels.
[[nodiscard]] constexpr std::uint32_t grid_points(std::uint32_t pixels, unsigned log2_block) noexcept {
  return (pixels + (1u << log2_block) - 1) >> log2_block;
}

/// Fills `state` (rows x cols) from a grid. Cost: once per reset, about 2 ns a pixel.
void expand_prior(std::span<const std::uint16_t> grid, unsigned log2_block, const FrameShape& tile,
                  std::span<std::uint16_t> state) noexcept;

void write_prior(const Prior& prior, const FrameShape& tile, BitWriter& out);
/// Errors: malformed. `has_scale`: the setup's context source is scale.
[[nodiscard]] Result<Prior> parse_prior(BitReader& in, const FrameShape& tile, bool has_scale);

}  // namespace ff::kernels
