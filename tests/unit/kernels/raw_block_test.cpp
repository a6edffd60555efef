// SPDX-License-Identifier: Apache-2.0
//
// Raw blocks end to end: plan, encode, inspect and decode for every pixel type, whatever is in the pixels.
#include <cstring>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

#include "kernels/codec.hpp"

namespace {

using ff::Dtype;
using ff::kernels::Device;

std::vector<std::byte> random_frames(std::size_t bytes, unsigned seed) {
  std::mt19937 rng(seed);
  std::vector<std::byte> pixels(bytes);
  for (auto& byte : pixels) byte = static_cast<std::byte>(rng() & (seed % 2 == 0 ? 0xff : 0x03));
  return pixels;
}

}  // namespace

TEST_CASE("a raw group of any pixel type comes back bit by bit", "[codec]") {
  for (const Dtype dtype :
       {Dtype::u8, Dtype::u16, Dtype::u32, Dtype::i8, Dtype::i16, Dtype::i32, Dtype::f16, Dtype::f32}) {
    for (const unsigned seed : {1u, 2u}) {
      const ff::FrameShape tile{dtype, 13, 21};
      const auto pixels = random_frames(3 * tile.bytes(), seed);
      std::vector<ff::FrameView> frames;
      for (std::size_t i = 0; i < 3; ++i)
        frames.push_back(ff::dense_view(tile, pixels.data() + i * tile.bytes()));
      auto writer = ff::kernels::TileState::create(tile);
      auto reader = ff::kernels::TileState::create(tile);
      const ff::kernels::GroupPlace place{0, 4, 0b1011, true};
      ff::kernels::EncodeOptions options;
      options.profile = ff::kernels::Profile::raw;
      auto plan = ff::kernels::plan_group(*writer, place, frames, options);
      REQUIRE(plan.ok());
      std::vector<std::byte> block(ff::kernels::encoded_size_bound(tile, 3));
      const auto bytes = ff::kernels::encode_group(Device::reference, *writer, **plan, frames, block);
      REQUIRE(bytes.ok());
      block.resize(*bytes);
      const auto info = ff::kernels::inspect_block(block);
      REQUIRE(info.ok());
      CHECK(info->place.present == 0b1011);
      CHECK(info->tile == tile);
      CHECK(info->block_bytes == block.size());
      std::vector<std::byte> decoded(pixels.size());
      std::vector<ff::MutableFrameView> targets;
      for (std::size_t i = 0; i < 3; ++i)
        targets.push_back(ff::dense_view(tile, decoded.data() + i * tile.bytes()));
      REQUIRE(ff::kernels::decode_group(Device::reference, *reader, block, targets).ok());
      CHECK(decoded == pixels);
    }
  }
}
