// SPDX-License-Identifier: Apache-2.0
//
// The fast CPU codec: the same bytes as kernels/reference/, in vectors of 16 and 32 pixels.
//
// Data path  window > plan > [encode] > envelope > ... > [decode] > store
// Meaning    docs/formats/block.md §6 and §7, by way of kernels/reference/.
// Not here   header, CRCs and side information (kernels/format/).
//
// The processor is asked once for its widest vectors: AVX-512, AVX2 or plain C++. The last two share their loops over rows
// (generic_codec.inl); AVX2 has lanes and sums of its own. Arm runs the plain loops, which become NEON.
#pragma once

#include <optional>
#include <vector>

#include "kernels/predictor_state.hpp"

namespace ff::kernels::cpu {

/// As reference::encode_lanes. Scratch of 2 bytes a pixel of the group, 4 or 6 where its levels are not its pixels as they
/// lie, and the payload; it stays with the calling thread for its next group.
[[nodiscard]] std::optional<std::vector<std::vector<std::uint16_t>>> encode_lanes(TileState::Body& body,
                                                                                  const GroupCoding& coding,
                                                                                  GroupFrames frames,
                                                                                  std::size_t bytes_max);

/// As reference::decode_lanes.
[[nodiscard]] Status decode_lanes(TileState::Body& body, const PredictedPayload& payload,
                                  MutableGroupFrames frames);

/// The same for the model phases. Encoding takes 4 bytes a pixel of the group, 6 with 32-bit levels, kept with the thread;
/// decoding 64 half rows of levels; both what PhaseWalk says.
[[nodiscard]] std::optional<std::vector<std::vector<std::uint16_t>>> encode_phases(TileState::Body& body,
                                                                                   const GroupCoding& coding,
                                                                                   GroupFrames frames,
                                                                                   std::size_t bytes_max);
[[nodiscard]] Status decode_phases(TileState::Body& body, const PredictedPayload& payload,
                                   MutableGroupFrames frames);

/// The same for the model cells; scratch of 1 to 2 bytes a pixel of the group, and the payload.
[[nodiscard]] std::optional<std::vector<std::vector<std::uint16_t>>> encode_cells(TileState::Body& body,
                                                                                  const GroupCoding& coding,
                                                                                  GroupFrames frames,
                                                                                  std::size_t bytes_max);
[[nodiscard]] Status decode_cells(TileState::Body& body, const PredictedPayload& payload,
                                  MutableGroupFrames frames);

}  // namespace ff::kernels::cpu
