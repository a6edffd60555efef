// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target: header and inspect_block, bytes as they come. A header that is accepted is the one that its fields
// would be written as.
//
// Input: a byte of flags (bit 0: repair lengths and CRCs first), then a block.
#include <algorithm>

#include "common/base/check.hpp"
#include "common/base/crc32c.hpp"
#include "kernels/format/block_header.hpp"
#include "tests/fuzz/allocation_limit.hpp"
#include "tests/fuzz/block_chains.hpp"

namespace {

using namespace ff;
using namespace ff::fuzz;
using namespace ff::kernels;

constexpr std::size_t kTextBytes = std::size_t{64} << 10;  // messages and the summary
constexpr std::size_t kSections = std::size_t{8} << 20;    // lists and tables, whatever the tile
constexpr std::size_t kPerPixel = 16;                      // the mask, the prior's grids

Verdict run(ByteSpan input) {
  if (input.empty()) return Verdict::refused;
  Bytes block(input.begin() + 1, input.end());
  if ((std::to_integer<unsigned>(input[0]) & 1u) != 0 && block.size() >= kBlockHeaderBytes) {
    store_le(block.data() + kHeaderCrcOffset, crc32c(ByteSpan(block).first(kHeaderCrcOffset)));
  }
  auto header = parse_block_header(block);
  const std::size_t pixels = header.ok() ? header->tile.pixels() : 0;
  const AllocationLimit limit(kTextBytes + (header.ok() ? kSections + kPerPixel * pixels : 0));
  const auto info = inspect_block(block);
  FF_CHECK(info.ok() == header.ok());
  if (!info.ok()) {
    FF_CHECK(info.error().message.size() > 10);
    return Verdict::refused;
  }
  FF_CHECK(pixels >= 1 && pixels <= kTilePixelsMax && check_place(header->place).ok());
  FF_CHECK(info->summary_json.starts_with('{') && info->summary_json.ends_with('}'));
  std::array<std::byte, kBlockHeaderBytes> again{};
  write_block_header(*header, again);
  FF_CHECK(std::ranges::equal(again, ByteSpan(block).first(kBlockHeaderBytes)));
  return Verdict::accepted;
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> inputs = valid_blocks(false);
  for (Bytes& input : inputs) input.insert(input.begin(), std::byte{1});
  return inputs;
}

void damage(Bytes& input, std::span<const Bytes> others, Random& random) {
  if (input.empty()) input.push_back(std::byte{0});
  Bytes block(input.begin() + 1, input.end());
  damage_block(block, others, random);
  input = std::move(block);
  input.insert(input.begin(), static_cast<std::byte>(random.below(8) != 0));
}

}  // namespace

FF_FUZZ_TARGET(header, run, seeds, damage);
