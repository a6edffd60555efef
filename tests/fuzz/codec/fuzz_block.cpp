// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target: a chain of blocks through decode_group. Whatever the bytes, every device says the same, pixels that
// decode match the block's CRC, and nothing is allocated beyond what the checked header and the input allow.
//
// Input: a byte of flags (bit 0: leave sizes, links and CRCs as they are), then blocks behind each other.
#include <bit>

#include "common/base/check.hpp"
#include "common/base/crc32c.hpp"
#include "kernels/codec.hpp"
#include "kernels/format/block_header.hpp"
#include "kernels/predictor_state.hpp"
#include "tests/fuzz/allocation_limit.hpp"
#include "tests/fuzz/block_chains.hpp"

namespace {

using namespace ff;
using namespace ff::fuzz;
using namespace ff::kernels;

constexpr std::size_t kGroupBytesMax = std::size_t{1} << 21;  // larger groups only slow the fuzzer down
constexpr std::size_t kHeaderless = std::size_t{16} << 10;    // before the header is checked: messages
// Tables of 64 contexts, a packed level map in each of its forms, scratch of streams: what no tile's size changes.
constexpr std::size_t kFixed = std::size_t{8} << 20;
constexpr std::size_t kPerPixel =
    160;  // state, side information and one frame's scratch of the widest device

std::size_t allocation_bound(const Result<BlockHeader>& header, std::size_t input_bytes) {
  if (!header.ok()) return kHeaderless;
  return kFixed + kPerPixel * header->tile.pixels() + 3 * header->raw_bytes() + 4 * input_bytes;
}

// What one device makes of one block.
struct Outcome {
  bool ok = false;
  Errc code{};
  Bytes pixels;     ///< where all were decoded, matching their CRC or not
  LineVector mean;  ///< the state after it

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome decode_on(Device device, TileState& state, const Bytes& block, bool sealed) {
  const auto header = parse_block_header(block);
  tests::FrameStack stack(state.shape(), header.ok() ? header->present_frames() : 1);
  const auto views = stack.mutable_views();
  Outcome outcome;
  {
    const AllocationLimit limit(allocation_bound(header, block.size()));
    const Status status = decode_group(device, state, block, views);
    outcome.ok = status.ok();
    if (!status.ok()) outcome.code = status.error().code;
  }
  // A sealed block's only CRC that can disagree is that of the pixels, and then all of them were decoded.
  if (outcome.ok || (sealed && outcome.code == Errc::crc_mismatch)) outcome.pixels = stack.pixels;
  if (!outcome.ok) return outcome;
  FF_CHECK(crc32c(stack.pixels) == header->pixel_crc);
  if (state.body().predictor) outcome.mean = state.body().predictor->mean;
  return outcome;
}

// What inspect reads of the sections is bounded by the tile too.
bool worth_decoding(const Bytes& block, const FrameShape& tile) {
  const auto header = parse_block_header(block);
  const AllocationLimit limit(allocation_bound(header, block.size()));
  const auto info = inspect_block(block);
  FF_CHECK(info.ok() == header.ok());
  return !header.ok() || !(header->tile == tile) || header->raw_bytes() <= kGroupBytesMax;
}

Verdict run(ByteSpan input) {
  if (input.empty()) return Verdict::refused;
  const bool sealed = (std::to_integer<unsigned>(input[0]) & 1u) == 0;
  Chain chain = split(input.subspan(1));
  if (sealed) reseal(chain);
  if (chain.empty()) return Verdict::refused;
  const auto first = parse_block_header(chain.front());
  const FrameShape tile = first.ok() ? first->tile : FrameShape{Dtype::u16, 4, 4};
  if (tile.bytes() > kGroupBytesMax) return Verdict::refused;
  auto reference = TileState::create(tile), cpu = TileState::create(tile);
  for (const Bytes& block : chain) {
    if (!worth_decoding(block, tile)) return Verdict::refused;
    const Outcome meaning = decode_on(Device::reference, *reference, block, sealed);
    FF_CHECK(decode_on(Device::cpu, *cpu, block, sealed) == meaning);
    if (!meaning.ok)
      return Verdict::refused;  // the window may go on at a key group, which is a first block's case
  }
  return Verdict::accepted;
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> inputs;
  for (Chain chain : valid_chains()) {
    Bytes input = join(chain);
    reseal(chain);
    FF_CHECK(join(chain) == input);  // the repair leaves a sound chain alone
    input.insert(input.begin(), std::byte{0});
    inputs.push_back(std::move(input));
  }
  return inputs;
}

void damage(Bytes& input, std::span<const Bytes> others, Random& random) {
  if (input.empty()) input.push_back(std::byte{0});
  Chain chain = split(ByteSpan(input).subspan(1));
  const std::byte flags{random.below(32) == 0 ? std::uint8_t{1} : std::uint8_t{0}};
  if (!chain.empty()) damage_block(chain[random.below(chain.size())], others, random);
  if (!chain.empty() && random.below(16) == 0) chain.erase(chain.begin());
  for (Bytes& block : chain) {
    if (block.size() < kBlockHeaderBytes) continue;  // its length must say where the next one begins
    store_le(block.data() + kBlockBytesOffset, static_cast<std::uint32_t>(block.size()));
  }
  input = join(chain);
  input.insert(input.begin(), flags);
}

}  // namespace

FF_FUZZ_TARGET(block, run, seeds, damage);
