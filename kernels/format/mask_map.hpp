// SPDX-License-Identifier: Apache-2.0
//
// Mask map: pixels that hold one known value in every frame (module gaps, dead pixels) and code nothing.
//
// Data path  window > [mask] > predict > context > token > lanes
// Meaning    docs/formats/block.md §5.4. A pixel whose value deviates in a group is not masked in that group,
//            so a mask never loses anything.
// Not here   declared sentinels of unmasked pixels (level_map.hpp); who is masked (reference/plan_mask.hpp).
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/frame_view.hpp"
#include "common/base/result.hpp"
#include "kernels/format/bit_code.hpp"

namespace ff::kernels {

inline constexpr std::size_t kMaskValuesMax = 15;

struct MaskMap {
  std::vector<std::int64_t> values;   ///< value of class c is values[c - 1]
  std::vector<std::uint8_t> classes;  ///< rows x cols; 0 = coded, c = masked with values[c - 1]

  friend bool operator==(const MaskMap&, const MaskMap&) = default;
};

/// Runs of pixels whose class differs from that of the pixel above; gaps between modules take a few bytes.
void write_mask_map(const MaskMap& mask, const FrameShape& tile, BitWriter& out);

/// Allocates one byte a pixel of the declared tile. Errors: malformed.
[[nodiscard]] Result<MaskMap> parse_mask_map(BitReader& in, const FrameShape& tile);

}  // namespace ff::kernels
