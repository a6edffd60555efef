// SPDX-License-Identifier: Apache-2.0
//
// The plan that a block was made with, read back from its bytes and, where these need it, from the state before it:
// with it, any device must write the block again.
#pragma once

#include "kernels/format/block_header.hpp"
#include "kernels/format/sections.hpp"
#include "kernels/predictor_state.hpp"

namespace ff::tests {

/// Mixes of a payload as they were sent; `before` gives what the block inherits.
inline Result<std::vector<kernels::FrameMix>> mixes_as_sent(const kernels::PredictedPayload& payload,
                                                            const kernels::BlockHeader& header,
                                                            const kernels::TileState* before) {
  const auto* state = payload.setup ? nullptr : &*before->body().predictor;
  const kernels::PhaseSetup& setup = state == nullptr ? payload.setup->phases : state->setup.phases;
  const bool anew = state == nullptr || state->frames == 0;
  kernels::FrameMix last(kernels::plane_count(setup.later_levels));
  if (state != nullptr) last = state->phases->last_mixes;
  kernels::BitReader in(*payload.mix_bits);
  return kernels::parse_frame_mixes(in, header.present_frames(), header.tile.rows, header.tile.cols, setup,
                                    anew, std::move(last));
}

/// Positions in a section of exact pixels that the decoder has accepted.
inline std::vector<std::uint32_t> exact_positions(ByteSpan section, std::uint32_t frames) {
  kernels::BitReader in(section);
  const auto order = static_cast<unsigned>(in.bits(5));
  std::vector<std::uint32_t> pixels(in.golomb(0));
  std::uint32_t next = 0;
  for (std::uint32_t& p : pixels) {
    p = next + in.golomb(6);
    for (std::uint32_t t = 0; t < frames; ++t) static_cast<void>(in.golomb(order));
    next = p + 1;
  }
  return pixels;
}

/// Without the state before it, the mixes of a block that has no setup stay empty.
inline Result<kernels::EncodePlan> plan_of_block(ByteSpan block, const kernels::TileState* before = nullptr) {
  FF_ASSIGN(const kernels::BlockHeader header, kernels::parse_block_header(block));
  kernels::EncodePlan plan;
  plan.tile = header.tile;
  plan.place = header.place;
  plan.profile = header.profile;
  plan.kind = header.kind;
  if (header.kind != kernels::BlockKind::predicted) return plan;
  FF_ASSIGN(kernels::PredictedPayload payload,
            kernels::parse_payload(block.subspan(kernels::kBlockHeaderBytes), header.tile));
  plan.setup = payload.setup;
  plan.prior = payload.prior;
  plan.mask = payload.mask;
  plan.group = payload.group;
  plan.tables = payload.tables;
  if (payload.exact_pixels)
    plan.exact_pixels = exact_positions(*payload.exact_pixels, header.present_frames());
  if (payload.mix_bits && (payload.setup || before != nullptr)) {
    FF_ASSIGN(plan.mixes, mixes_as_sent(payload, header, before));
  }
  return plan;
}

}  // namespace ff::tests
