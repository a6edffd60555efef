// SPDX-License-Identifier: Apache-2.0
//
// The fast CPU codec: the same bytes as kernels/reference/, in vectors of 16 and 32 pixels.
//
// Data path  window > plan > [encode] > envelope > ... > [decode] > store
// Meaning    docs/formats/block.md §6 and §7, by way of kernels/reference/.
// Not here   header, CRCs and side information (kernels/format/).
//
// One file per instruction set holds the loops; the processor is asked once. AVX-512 (with VBMI2 for
// compress and expand of 16-bit words) is the only set so far; elsewhere the reference codec does the work.
#pragma once

#include <optional>
#include <vector>

#include "kernels/predictor_state.hpp"

namespace ff::kernels::cpu {

/// True where this processor and build have vector code.
[[nodiscard]] bool available() noexcept;

/// True for plans that the vector code runs: levels of 8 or 16 bits.
[[nodiscard]] bool supports(const PredictorSetup& setup) noexcept;

/// As reference::encode_lanes. Scratch of 4 bytes a pixel of the group and the payload lives in the calling
/// thread and is kept for its next group.
[[nodiscard]] std::optional<std::vector<std::vector<std::uint16_t>>> encode_lanes(TileState::Body& body,
                                                                                  const GroupSetup& group,
                                                                                  GroupFrames frames,
                                                                                  std::size_t bytes_max);

/// As reference::decode_lanes.
[[nodiscard]] Status decode_lanes(TileState::Body& body, const PredictedPayload& payload,
                                  MutableGroupFrames frames);

}  // namespace ff::kernels::cpu
