// SPDX-License-Identifier: Apache-2.0
//
// Root: the noise that a counted rate would have, and how a pixel's scale compares with it.
//
// Data path  level map > [predict, phases] > context > token > lanes
// Meaning    docs/formats/block.md §6.8. Shared by all devices and the planner.
// Not here   the scale itself (kernels/reference/phases.hpp, kernels/cpu/).
#pragma once

#include <array>
#include <cstdint>

#include "kernels/format/context_tables.hpp"

namespace ff::kernels {

/// Square root of an expectation of each bucket, in the state's fixed point: the noise of a counted rate.
using RootTable = std::array<std::uint16_t, kBuckets>;
[[nodiscard]] RootTable root_table(unsigned up) noexcept;

/// Scale against root, in four steps: below 5/8, 1, 3/2, above.
[[nodiscard]] constexpr std::int32_t ratio_index(std::int32_t scale, std::int32_t root) noexcept {
  const std::int32_t low = (root >> 1) + (root >> 3), high = root + (root >> 1);
  return (scale > low ? 1 : 0) + (scale > root ? 1 : 0) + (scale > high ? 1 : 0);
}

}  // namespace ff::kernels
