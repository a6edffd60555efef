// SPDX-License-Identifier: Apache-2.0
//
// Chains of blocks: where they come from, how they become one input, how their sums are repaired.
#include "tests/fuzz/block_chains.hpp"

#include <algorithm>
#include <set>

#include "common/base/check.hpp"
#include "common/base/crc32c.hpp"
#include "kernels/codec.hpp"
#include "kernels/format/block_header.hpp"
#include "tests/support/golden_files.hpp"

namespace ff::fuzz {
namespace {

using namespace ff::kernels;
using tests::FrameStack;

constexpr std::size_t kFeatureBytes = 16;  // of a header: magic, version, length, feature bits

// Chains that no other vector continues.
std::vector<Chain> golden_chains() {
  std::vector<Chain> chains;
  std::set<std::string> continued;
  for (const auto& path : tests::golden_files("vectors")) continued.insert(tests::golden_word(path, "after"));
  for (const auto& path : tests::golden_files("vectors")) {
    if (continued.contains(path.filename().string())) continue;
    Chain chain;
    for (const auto& member : tests::golden_chain(path)) chain.push_back(tests::read_golden(member));
    chains.push_back(std::move(chain));
  }
  return chains;
}

FrameStack made_up_frames(const FrameShape& tile, std::uint64_t scene) {
  const bool wide = dtype_bytes(tile.dtype) == 4;
  switch (scene) {
    case 0: return tests::counting_frames(tile, 4, 16, 900, 1);
    case 1: return tests::integrating_frames(tile, 4, 60, 90, 3, 2);
    case 2:
      return tests::integrating_frames(tile, 4, wide ? 100000 : 5, wide ? 170000 : 25, wide ? 900 : 0, 3);
    default: return tests::counting_frames(tile, 4, 0, 12, 4);
  }
}

// Three groups of one window; the second misses a frame. Empty where this build's encoder refuses.
Chain coded_chain(const FrameStack& frames, Profile profile) {
  const auto views = frames.views();
  const GroupPlace places[] = {{0, 2, 0b11, true}, {2, 2, 0b10, false}, {4, 1, 0b1, false}};
  const std::span<const FrameView> given[] = {std::span(views).first(2), std::span(views).subspan(2, 1),
                                              std::span(views).subspan(3, 1)};
  constexpr std::int64_t kSentinel[] = {7};
  EncodeOptions options;
  options.profile = profile;
  options.sentinels = kSentinel;
  auto state = TileState::create(frames.shape);
  Chain chain;
  for (std::size_t i = 0; i < std::size(places); ++i) {
    const auto plan = plan_group(*state, places[i], given[i], options);
    if (!plan.ok()) return {};
    Bytes block(encoded_size_bound(frames.shape, static_cast<std::uint32_t>(given[i].size())));
    const auto bytes = encode_group(Device::reference, *state, **plan, given[i], block);
    if (!bytes.ok()) return {};
    block.resize(*bytes);
    chain.push_back(std::move(block));
  }
  return chain;
}

}  // namespace

std::vector<Chain> valid_chains() {
  std::vector<Chain> chains = golden_chains();
  FF_CHECK(!chains.empty());
  constexpr FrameShape kTiles[] = {{Dtype::u16, 16, 16}, {Dtype::u8, 9, 37},  {Dtype::i32, 12, 11},
                                   {Dtype::u32, 5, 33},  {Dtype::i16, 1, 70}, {Dtype::i8, 40, 3},
                                   {Dtype::f32, 3, 5},   {Dtype::u16, 33, 40}};
  for (const FrameShape& tile : kTiles) {
    for (std::uint64_t scene = 0; scene < 4; ++scene) {
      const FrameStack frames = made_up_frames(tile, scene);
      for (const Profile profile : {Profile::raw, Profile::fast, Profile::small, Profile::max}) {
        Chain chain = coded_chain(frames, profile);
        if (!chain.empty() && std::ranges::find(chains, chain) == chains.end())
          chains.push_back(std::move(chain));
      }
    }
  }
  return chains;
}

std::vector<Bytes> valid_blocks(bool with_defects) {
  std::vector<Bytes> blocks;
  for (const Chain& chain : valid_chains()) blocks.insert(blocks.end(), chain.begin(), chain.end());
  if (!with_defects) return blocks;
  for (const auto& path : tests::golden_files("errors")) blocks.push_back(tests::read_golden(path));
  return blocks;
}

Bytes join(const Chain& chain) {
  Bytes all;
  for (const Bytes& block : chain) all.insert(all.end(), block.begin(), block.end());
  return all;
}

Chain split(ByteSpan bytes) {
  Chain chain;
  while (!bytes.empty()) {
    std::size_t length = bytes.size();
    if (bytes.size() >= kBlockHeaderBytes) {
      const auto said = load_le<std::uint32_t>(bytes.data() + kBlockBytesOffset);
      if (said >= kBlockHeaderBytes && said <= bytes.size()) length = said;
    }
    chain.emplace_back(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
    bytes = bytes.subspan(length);
  }
  return chain;
}

void reseal(Bytes& block, std::uint32_t link_before) {
  if (block.size() < kBlockHeaderBytes) return;
  BlockHeader sound;
  sound.required = load_le<std::uint32_t>(block.data() + 8) & kKnownRequiredFeatures;
  std::array<std::byte, kBlockHeaderBytes> fresh{};
  write_block_header(sound, fresh);
  std::copy_n(fresh.begin(), kFeatureBytes - 4, block.begin());
  if (load_le<std::uint32_t>(block.data() + kLinkOffset) != 0)
    store_le(block.data() + kLinkOffset, link_before);
  store_le(block.data() + kBlockBytesOffset, static_cast<std::uint32_t>(block.size()));
  store_le(block.data() + kPayloadCrcOffset, crc32c(ByteSpan(block).subspan(kBlockHeaderBytes)));
  store_le(block.data() + kHeaderCrcOffset, crc32c(ByteSpan(block).first(kHeaderCrcOffset)));
}

void reseal(Chain& chain) {
  std::uint32_t link = 0;
  for (Bytes& block : chain) {
    reseal(block, link);
    if (block.size() >= kBlockHeaderBytes) link = load_le<std::uint32_t>(block.data() + kHeaderCrcOffset);
  }
}

}  // namespace ff::fuzz
