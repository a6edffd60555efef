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

/// Fills rows [first_row, last_row) of a plane of the tile from a grid; `state` points at the first of them.
/// 2 <= log2_block <= 6. Cost: about 0.2 ns a pixel.
void expand_prior(std::span<const std::uint16_t> grid, unsigned log2_block, const FrameShape& tile,
                  std::uint32_t first_row, std::uint32_t last_row, std::uint16_t* state);

/// Bits that write_prior gives.
[[nodiscard]] std::size_t prior_bits(const Prior& prior, const FrameShape& tile);

void write_prior(const Prior& prior, const FrameShape& tile, BitWriter& out);
/// Errors: malformed. `has_scale`: the setup's context source is scale.
[[nodiscard]] Result<Prior> parse_prior(BitReader& in, const FrameShape& tile, bool has_scale);

}  // namespace ff::kernels
