// SPDX-License-Identifier: Apache-2.0
//
// The reference codec: plain loops in the order of docs/formats/block.md. It defines what the bytes mean.
//
// Data path  window > plan > [encode] > envelope > ... > [decode] > store
// Meaning    docs/formats/block.md §6 and §7.
// Not here   header, CRCs and side information (kernels/format/), speed (kernels/cpu/).
#pragma once

#include <vector>

#include "kernels/predictor_state.hpp"

namespace ff::kernels::reference {

/// Words of each stream of a prepared predictor's group; moves the predictor. Gives up and returns nothing
/// once more than `bytes_max` bytes are needed; the predictor is then of no further use.
[[nodiscard]] std::optional<std::vector<std::vector<std::uint16_t>>> encode_lanes(TileState::Body& body,
                                                                                  const GroupCoding& coding,
                                                                                  GroupFrames frames,
                                                                                  std::size_t bytes_max);

/// Decodes the streams into the frames; moves the predictor. Errors: malformed (lanes do not end cleanly).
[[nodiscard]] Status decode_lanes(TileState::Body& body, const PredictedPayload& payload,
                                  MutableGroupFrames frames);

/// The same for the model phases: mixes in `coding` and in the payload, planes instead of frames.
[[nodiscard]] std::optional<std::vector<std::vector<std::uint16_t>>> encode_phases(TileState::Body& body,
                                                                                   const GroupCoding& coding,
                                                                                   GroupFrames frames,
                                                                                   std::size_t bytes_max);
[[nodiscard]] Status decode_phases(TileState::Body& body, const PredictedPayload& payload,
                                   MutableGroupFrames frames);

/// The same for the model cells.
[[nodiscard]] std::optional<std::vector<std::vector<std::uint16_t>>> encode_cells(TileState::Body& body,
                                                                                  const GroupCoding& coding,
                                                                                  GroupFrames frames,
                                                                                  std::size_t bytes_max);
[[nodiscard]] Status decode_cells(TileState::Body& body, const PredictedPayload& payload,
                                  MutableGroupFrames frames);

}  // namespace ff::kernels::reference
