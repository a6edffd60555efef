// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target: the prior. One that is accepted expands to 15-bit states over the whole tile, and is written and read
// again as the same.
#include <algorithm>

#include "kernels/format/prior.hpp"
#include "tests/fuzz/allocation_limit.hpp"
#include "tests/fuzz/codec/part_input.hpp"

namespace {

using namespace ff;
using namespace ff::fuzz;
using namespace ff::kernels;

constexpr std::uint16_t kStateMax = 32767;

void check_plane(const std::vector<std::uint16_t>& grid, unsigned log2_block, const FrameShape& tile) {
  std::vector<std::uint16_t> state(tile.pixels(), 0xffff);
  expand_prior(grid, log2_block, tile, 0, tile.rows, state.data());
  FF_CHECK(std::ranges::all_of(state, [](std::uint16_t s) { return s <= kStateMax; }));
}

Verdict run(ByteSpan input) {
  const auto part = open_part(input);
  if (!part) return Verdict::refused;
  const bool has_scale = part->options % 2 == 1;
  const AllocationLimit limit(65536 + 64 * part->tile.pixels());
  BitReader in(part->body);
  const auto prior = parse_prior(in, part->tile, has_scale);
  if (!prior.ok() || !in.ended_cleanly()) return Verdict::refused;
  check_plane(prior->mean, prior->log2_block, part->tile);
  if (has_scale) check_plane(prior->scale, prior->log2_block, part->tile);
  const Bytes bytes = written([&](BitWriter& bits) { write_prior(*prior, part->tile, bits); });
  BitReader again(bytes);
  const Prior copy = parse_prior(again, part->tile, has_scale).value();
  FF_CHECK(copy.mean == prior->mean && copy.scale == prior->scale && copy.log2_block == prior->log2_block);
  FF_CHECK(copy.frames_weight == prior->frames_weight && copy.quantum == prior->quantum);
  return Verdict::accepted;
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> inputs;
  for_each_plan([&](const EncodePlan& plan) {
    if (!plan.prior) return;
    // The prior of the model cells is of their image.
    const bool cells = plan.setup && plan.setup->model == Model::cells;
    const FrameShape image = cells ? cell_shape(plan.tile) : plan.tile;
    inputs.push_back(part_seed(image, plan.prior->scale.empty() ? 0 : 1,
                               [&](BitWriter& bits) { write_prior(*plan.prior, image, bits); }));
  });
  return inputs;
}

}  // namespace

FF_FUZZ_TARGET(prior, run, seeds, damage_bytes);
