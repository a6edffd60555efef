// SPDX-License-Identifier: Apache-2.0
//
// ModelCoder: a device's loops for one model of the predictor, behind one signature for all devices and models.
//
// Data path  window > plan > [encode] > envelope > ... > [decode] > store
// Meaning    docs/formats/block.md §6 and §7.
// Not here   header, CRCs and side information (predicted_block.hpp), the loops (kernels/reference/, kernels/cpu/).
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "kernels/predictor_state.hpp"

namespace ff::kernels {

/// The words of each stream, in decoding order.
using StreamWords = std::vector<std::vector<std::uint16_t>>;

/// Codes a prepared predictor's group; moves the predictor. Gives up and returns nothing once more than `bytes_max`
/// bytes are needed; the predictor is then of no further use.
using EncodeStreams = std::optional<StreamWords>(TileState::Body& body, const GroupCoding& coding,
                                                 GroupFrames frames, std::size_t bytes_max);

/// Decodes the streams into the frames; moves the predictor. Errors: malformed (lanes do not end cleanly).
using DecodeStreams = Status(TileState::Body& body, const PredictedPayload& payload,
                             MutableGroupFrames frames);

struct ModelCoder {
  EncodeStreams* encode;
  DecodeStreams* decode;
};

/// By Model.
using ModelCoders = std::array<ModelCoder, 3>;

/// What every decoder says of its streams when the last frame is out.
[[nodiscard]] inline Status lanes_status(bool ended_cleanly) {
  if (ended_cleanly) return {};
  return fail(Errc::malformed, "block: the lanes do not end where their coding began");
}

}  // namespace ff::kernels
