// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target: all sections of a predicted block. What is accepted lies inside the payload and has the tile's size.
#include <algorithm>

#include "kernels/format/sections.hpp"
#include "tests/fuzz/allocation_limit.hpp"
#include "tests/fuzz/codec/part_input.hpp"

namespace {

using namespace ff;
using namespace ff::fuzz;
using namespace ff::kernels;

bool inside(ByteSpan whole, ByteSpan part) {
  return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

Verdict run(ByteSpan input) {
  const auto part = open_part(input);
  if (!part) return Verdict::refused;
  const AllocationLimit limit((std::size_t{4} << 20) + 64 * part->tile.pixels());
  const auto payload = parse_payload(part->body, part->tile);
  if (!payload.ok()) return Verdict::refused;
  for (std::size_t s = 0; s < payload->group.streams; ++s) {
    FF_CHECK(inside(part->body, payload->streams[s]));
    FF_CHECK(payload->streams[s].size() >= 4 * kLanes && payload->streams[s].size() % 2 == 0);
  }
  if (payload->mask != nullptr) FF_CHECK(payload->mask->classes.size() == part->tile.pixels());
  if (payload->prior) FF_CHECK(payload->setup.has_value());
  if (payload->mix_bits) FF_CHECK(inside(part->body, *payload->mix_bits));
  return Verdict::accepted;
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> inputs;
  for (const Bytes& block : valid_blocks(false)) {
    const auto header = parse_block_header(block);
    FF_CHECK(header.ok());
    if (header->kind != BlockKind::predicted) continue;
    inputs.push_back(part_input(header->tile, 0, ByteSpan(block).subspan(kBlockHeaderBytes)));
  }
  return inputs;
}

// As a block whose header this target does not have.
void damage(Bytes& input, std::span<const Bytes> others, Random& random) {
  if (input.size() < 4 || random.below(8) == 0) return damage_bytes(input, others, random);
  constexpr std::size_t kHead = 4;
  Bytes block(kBlockHeaderBytes + input.size() - kHead);
  std::ranges::copy(ByteSpan(input).subspan(kHead), block.begin() + kBlockHeaderBytes);
  damage_block(block, {}, random);
  input.resize(kHead);
  for (std::size_t i = kBlockHeaderBytes; i < block.size(); ++i) input.push_back(block[i]);
}

}  // namespace

FF_FUZZ_TARGET(sections, run, seeds, damage);
