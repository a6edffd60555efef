// SPDX-License-Identifier: Apache-2.0
//
// TileChain: order, decode, and what happens behind a block that can't be decoded.
#include "hpc_sink/decode/tile_chain.hpp"

#include <utility>
#include <vector>

namespace ff::sink {
namespace {

std::uint64_t window_bits(const kernels::GroupPlace& place) noexcept {
  return place.present << place.first_frame;
}

// The block's own header must say what its envelope said: a block in the wrong envelope is nobody's pixels.
Status check_place(const kernels::BlockInfo& info, const PlacedBlock& block, const FrameShape& tile) {
  if (info.tile != tile)
    return fail(Errc::shape_mismatch, "the block's tile shape is not that of its envelope");
  const kernels::GroupPlace &inside = info.place, &outside = block.place;
  if (inside.first_frame != outside.first_frame || inside.frame_count != outside.frame_count ||
      inside.present != outside.present || inside.key != outside.key)
    return fail(Errc::malformed, "the block's frames are not those of its envelope");
  return {};
}

}  // namespace

bool TileChain::add(PlacedBlock block) {
  if (block.group < next_group_) return false;
  const std::uint32_t group = block.group;
  return waiting_.try_emplace(group, std::move(block)).second;
}

std::uint64_t TileChain::groups_here() const noexcept {
  std::uint64_t groups = next_group_ >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << next_group_) - 1;
  for (const auto& [group, block] : waiting_)
    if (group < 64) groups |= std::uint64_t{1} << group;
  return groups;
}

void TileChain::advance(const TileOutput& output) {
  for (auto next = waiting_.begin(); next != waiting_.end() && next->first == next_group_;
       next = waiting_.begin()) {
    const PlacedBlock block = std::move(next->second);
    waiting_.erase(next);
    ++next_group_;
    decode(block, output);
  }
}

void TileChain::advance_over_gaps(const TileOutput& output) {
  advance(output);
  while (!waiting_.empty()) {
    const auto next = waiting_.begin();
    state_.reset();
    if (next->second.place.key) {
      next_group_ = next->first;
      advance(output);
    } else {
      next_group_ = next->first + 1;
      waiting_.erase(next);
    }
  }
}

void TileChain::decode(const PlacedBlock& block, const TileOutput& output) {
  bool bounded = block.bounded;
  const Status decoded = try_decode(block, output, bounded);
  if (decoded.ok()) {
    output.decoded(window_bits(block.place), bounded);
    return;
  }
  if (decoded.error().code != Errc::state_mismatch)
    broken_at_ = block.damaged ? foreframe::wire::STAGE_LOG : foreframe::wire::STAGE_DECODE;
  state_.reset();
  output.failed(block.group, window_bits(block.place), broken_at_, decoded.error());
}

Status TileChain::try_decode(const PlacedBlock& block, const TileOutput& output, bool& bounded) {
  if (block.damaged) return fail(Errc::crc_mismatch, "its bytes changed between agent and sink");
  FF_ASSIGN(const kernels::BlockInfo info, kernels::inspect_block(block.bytes.bytes()));
  FF_TRY(check_place(info, block, tile_));
  bounded = bounded || !info.exact;
  if (!state_ && !block.place.key)
    return fail(Errc::state_mismatch, "a block before it in the window could not be decoded");
  if (!state_) {
    FF_ASSIGN(kernels::TileState fresh, kernels::TileState::create(tile_));
    state_.emplace(std::move(fresh));
  }
  std::vector<MutableFrameView> views;
  for (std::uint32_t i = 0; i < block.place.frame_count; ++i)
    if ((block.place.present >> i & 1) != 0) views.push_back(output.frame(block.place.first_frame + i));
  FF_TRY(kernels::decode_group(device_, *state_, block.bytes.bytes(), views));
  if (info.bound) output.bound(info.bound);
  return {};
}

}  // namespace ff::sink
