// SPDX-License-Identifier: Apache-2.0
//
// Predicted block: the payload of a group that was coded by a model: side information, then streams.
//
// Data path  window > plan > [encode] > envelope > ... > [decode] > store
// Meaning    docs/formats/block.md §4 to §7.
// Not here   header and CRCs (codec.cpp), groups that do not shrink (kernels/format/raw_block.hpp), the models' loops
//            (model_coder.hpp).
#pragma once

#include <optional>

#include "kernels/format/block_header.hpp"
#include "kernels/predictor_state.hpp"

namespace ff::kernels {

/// What a reader must understand of a block; null: one without a predictor.
[[nodiscard]] std::uint32_t required_features(const PredictorState* predictor) noexcept;
/// The bits promise a reader what it will find: a block that has more or less is not what its writer made.
[[nodiscard]] Status check_features(const BlockHeader& header, const PredictorState* predictor);

/// Payload bytes; nothing where stored pixels would be smaller, and the predictor is then of no further use.
[[nodiscard]] Result<std::optional<std::size_t>> encode_predicted_payload(Device device,
                                                                          TileState::Body& body,
                                                                          const EncodePlan& plan,
                                                                          GroupFrames frames,
                                                                          MutableByteSpan payload);

/// Errors: malformed, unsupported_feature.
[[nodiscard]] Status decode_predicted_payload(Device device, TileState::Body& body, const BlockHeader& header,
                                              ByteSpan payload, MutableGroupFrames frames);

}  // namespace ff::kernels
