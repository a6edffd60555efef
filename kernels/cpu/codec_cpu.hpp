// SPDX-License-Identifier: Apache-2.0
//
// The fast CPU codec: the same bytes as kernels/reference/, in vectors of 16 and 32 pixels.
//
// Data path  window > plan > [encode] > envelope > ... > [decode] > store
// Meaning    docs/formats/block.md §6 and §7, by way of kernels/reference/.
// Not here   header, CRCs and side information (kernels/format/).
//
// The processor is asked once for its widest vectors: AVX-512 (lanes in registers), AVX2 or plain C++ (the same
// loops, generic_codec.inl). Arm has the plain loops so far.
#pragma once

#include <optional>
#include <vector>

#include "kernels/predictor_state.hpp"

namespace ff::kernels::cpu {

/// As reference::encode_lanes. Scratch of 2 to 8 bytes a pixel of the group, and the payload; what AVX-512
/// needs stays with the calling thread for its next group.
[[nodiscard]] std::optional<std::vector<std::vector<std::uint16_t>>> encode_lanes(TileState::Body& body,
                                                                                  const GroupCoding& coding,
                                                                                  GroupFrames frames,
                                                                                  std::size_t bytes_max);

/// As reference::decode_lanes.
[[nodiscard]] Status decode_lanes(TileState::Body& body, const PredictedPayload& payload,
                                  MutableGroupFrames frames);

/// The same for the model phases. Encoding takes 4 (AVX-512, kept with the thread), 6 or 8 bytes a pixel of the group,
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
