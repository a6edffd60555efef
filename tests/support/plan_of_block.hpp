// SPDX-License-Identifier: Apache-2.0
//
// The plan that a block was made with, read back from its bytes: with it, any device must write the block
// again.
#pragma once

#include "kernels/format/block_header.hpp"
#include "kernels/format/sections.hpp"

namespace ff::tests {

inline Result<kernels::EncodePlan> plan_of_block(ByteSpan block) {
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
  return plan;
}

}  // namespace ff::tests
