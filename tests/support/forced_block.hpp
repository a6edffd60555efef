// SPDX-License-Identifier: Apache-2.0
//
// A predicted block of any plan, however large: encode_group writes pixels instead where a plan costs more than
// they do, and random plans mostly do.
//
// Not here   the plans (phase_plans.hpp, kernels/reference/plan_cells.hpp).
#pragma once

#include <algorithm>
#include <vector>

#include "common/base/check.hpp"
#include "common/base/crc32c.hpp"
#include "kernels/cpu/codec_cpu.hpp"
#include "kernels/format/raw_block.hpp"
#include "kernels/reference/codec_reference.hpp"

namespace ff::tests {

/// The block, as encode_group would write it without its bound; moves `state` past it.
[[nodiscard]] inline std::vector<std::byte> forced_block(kernels::Device device, kernels::TileState& state,
                                                         const kernels::EncodePlan& plan,
                                                         kernels::GroupFrames frames) {
  using namespace kernels;
  TileState::Body& body = state.body();
  FF_CHECK(prepare_predictor(body, plan.setup, plan.prior, plan.mask, plan.tables).ok());
  std::vector<FrameMix> mixes = plan.mixes;
  const std::vector<std::byte> mix_bits = write_mixes(body, mixes);
  const GroupCoding coding{plan.group, mixes, plan.count_frequencies};
  const bool cells = body.predictor->cells != nullptr;
  const bool phases = body.predictor->phases.has_value();
  const ModelCoders& coders = device == Device::cpu ? cpu::coders() : reference::kCoders;
  const ModelCoder& coder = coders[static_cast<std::size_t>(body.predictor->setup.model)];
  // More than any pixel can take: a token's word and two raw steps', and each row padded to whole groups.
  const std::size_t pixels = frames.size() * (plan.tile.pixels() + std::size_t{plan.tile.rows} * 4 * kLanes);
  const auto streams = coder.encode(body, coding, frames, 8 * pixels + 8192);
  FF_CHECK(streams.has_value());

  std::vector<std::byte> block(kBlockHeaderBytes);
  const ContextTables* tables = plan.tables ? body.predictor->tables.get() : nullptr;
  const std::vector<std::byte> side = write_side_information(plan, tables, mix_bits);
  block.insert(block.end(), side.begin(), side.end());
  std::vector<std::size_t> words;
  for (const auto& stream : *streams) words.push_back(stream.size());
  std::vector<std::byte> head(lanes_head_bytes(words.size()));
  write_lanes_head(words, head);
  block.insert(block.end(), head.begin(), head.end());
  for (const auto& stream : *streams) {
    const auto bytes = std::as_bytes(std::span(stream));
    block.insert(block.end(), bytes.begin(), bytes.end());
  }

  BlockHeader header;
  const auto need = [&](Feature feature) { header.required |= static_cast<std::uint32_t>(feature); };
  if (phases) need(Feature::four_phases);
  if (cells) need(Feature::sparse);
  if (body.predictor->tables->bits == 12) need(Feature::probability_12);
  header.tile = plan.tile;
  header.place = plan.place;
  header.profile = plan.profile;
  header.kind = BlockKind::predicted;
  header.link = plan.place.key ? 0 : body.link;
  header.pixel_crc = pixel_crc(frames);
  header.block_bytes = static_cast<std::uint32_t>(block.size());
  header.payload_crc = crc32c(ByteSpan(block).subspan(kBlockHeaderBytes));
  write_block_header(header, block);
  body.window_open = true;
  body.next_frame = static_cast<std::uint8_t>(plan.place.first_frame + plan.place.frame_count);
  body.link = header.header_crc;
  return block;
}

}  // namespace ff::tests
