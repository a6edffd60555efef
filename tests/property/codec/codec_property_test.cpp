// SPDX-License-Identifier: Apache-2.0
//
// Properties of the codec over random shapes, types, masks, gaps and groupings. A failure prints its seed.
#include <cstring>
#include <utility>

#include <catch2/catch.hpp>

#include "common/base/crc32c.hpp"
#include "kernels/codec.hpp"
#include "kernels/predictor_state.hpp"
#include "tests/support/group_examples.hpp"
#include "tests/support/plan_of_block.hpp"

namespace {

using namespace ff;
using namespace ff::kernels;
using tests::Example;
using tests::FrameStack;
using tests::make_example;
using tests::make_groups;
using tests::same_state;
using tests::TestRandom;

std::vector<std::byte> encode(Device device, TileState& state, const EncodePlan& plan, GroupFrames frames) {
  std::vector<std::byte> block(encoded_size_bound(plan.tile, static_cast<std::uint32_t>(frames.size())));
  const auto bytes = encode_group(device, state, plan, frames, block);
  REQUIRE(bytes.ok());
  block.resize(*bytes);
  return block;
}

void check_example(std::uint64_t seed) {
  INFO("seed " << seed);
  const Example example = make_example(seed);
  TestRandom random(seed ^ 0xabcdef);
  auto reference = *TileState::create(example.tile);
  auto cpu = *TileState::create(example.tile);
  auto reference_reader = *TileState::create(example.tile);
  auto cpu_reader = *TileState::create(example.tile);
  EncodeOptions options;
  options.mask = example.mask;
  options.sentinels = example.sentinels;
  for (const tests::ExampleGroup& group : make_groups(example, random)) {
    auto plan = plan_group(reference, group.place, group.frames, options);
    REQUIRE(plan.ok());
    if (random.below(3) == 0) (*plan)->group.streams = static_cast<std::uint8_t>(1u << random.below(4));
    const auto block = encode(Device::reference, reference, **plan, group.frames);
    REQUIRE(encode(Device::cpu, cpu, **plan, group.frames) == block);
    REQUIRE(same_state(reference, cpu));
    const std::size_t raw = group.frames.size() * example.tile.bytes();
    REQUIRE(block.size() <= raw + raw / 1000 + 256);
    for (auto* reader : {&reference_reader, &cpu_reader}) {
      FrameStack decoded(example.tile, group.frames.size());
      const Device device = reader == &cpu_reader ? Device::cpu : Device::reference;
      const auto status = decode_group(device, *reader, block, decoded.mutable_views());
      INFO((status.ok() ? "" : status.error().message));
      REQUIRE(status.ok());
      for (std::size_t t = 0; t < group.frames.size(); ++t) {
        REQUIRE(std::memcmp(decoded.pixels.data() + t * example.tile.bytes(), group.frames[t].pixels,
                            example.tile.bytes()) == 0);
      }
      REQUIRE(same_state(reference, *reader));
    }
  }
}

}  // namespace

TEST_CASE(
    "any group of any integer type comes back exactly, equal on reference and cpu, never above its bound",
    "[property]") {
  for (std::uint64_t seed = 1; seed <= 250; ++seed) check_example(seed);
}

TEST_CASE("a tile that is a view into a larger frame codes like its dense copy", "[property]") {
  const FrameShape whole{Dtype::u16, 64, 100};
  const FrameStack frame = tests::counting_frames(whole, 3, 64, 3000, 77);
  const TileRect rect{10, 7, 40, 61};
  const FrameShape tile{Dtype::u16, rect.rows, rect.cols};
  FrameStack dense(tile, 3);
  std::vector<FrameView> strided;
  for (std::size_t t = 0; t < 3; ++t) {
    strided.push_back(frame.views()[t].tile(rect));
    for (std::uint32_t r = 0; r < rect.rows; ++r) {
      std::memcpy(dense.pixels.data() + t * tile.bytes() + r * tile.row_bytes(), strided[t].row(r),
                  tile.row_bytes());
    }
  }
  for (const Device device : {Device::reference, Device::cpu}) {
    auto a = *TileState::create(tile);
    auto b = *TileState::create(tile);
    const GroupPlace place{0, 3, 7, true};
    const auto plan_a = plan_group(a, place, strided, {});
    const auto plan_b = plan_group(b, place, dense.views(), {});
    CHECK(encode(device, a, **plan_a, strided) == encode(device, b, **plan_b, dense.views()));
  }
}

TEST_CASE("frames at odd addresses code and decode like aligned ones", "[property]") {
  const auto type = GENERATE(Dtype::u16, Dtype::u32);
  const auto profile = GENERATE(Profile::fast, Profile::small);
  const FrameShape tile{type, 34, 45};  // the last group of a frame is not whole
  const FrameStack frames = tests::counting_frames(tile, 2, 20, 900, 3);
  std::vector<std::byte> apart(2 * tile.bytes() + 1), decoded(2 * tile.bytes() + 1);
  std::memcpy(apart.data() + 1, frames.pixels.data(), 2 * tile.bytes());
  std::vector<FrameView> views;
  std::vector<MutableFrameView> targets;
  for (std::size_t t = 0; t < 2; ++t) {
    views.push_back(dense_view(tile, std::as_const(apart).data() + 1 + t * tile.bytes()));
    targets.push_back(dense_view(tile, decoded.data() + 1 + t * tile.bytes()));
  }
  auto a = *TileState::create(tile), b = *TileState::create(tile), reader = *TileState::create(tile);
  EncodeOptions options;
  options.profile = profile;
  const auto plan = plan_group(a, {0, 2, 3, true}, frames.views(), options);
  const auto block = encode(Device::reference, a, **plan, frames.views());
  CHECK(encode(Device::cpu, b, **plan, views) == block);
  REQUIRE(decode_group(Device::cpu, reader, block, targets).ok());
  CHECK(decoded == apart);
}

TEST_CASE("u16 pixels and the same pixels as u32 give the same lanes", "[property]") {
  const FrameShape narrow{Dtype::u16, 50, 70}, wide{Dtype::u32, 50, 70};
  const FrameStack counts = tests::counting_frames(narrow, 4, 100, 9000, 5);
  FrameStack copy(wide, 4);
  for (std::size_t i = 0; i < 4 * narrow.pixels(); ++i) {
    store_le(copy.pixels.data() + 4 * i, std::uint32_t{load_le<std::uint16_t>(counts.pixels.data() + 2 * i)});
  }
  auto a = *TileState::create(narrow);
  auto b = *TileState::create(wide);
  const GroupPlace place{0, 4, 15, true};
  const auto plan = plan_group(a, place, counts.views(), {});
  EncodePlan same = **plan;
  same.tile = wide;
  const auto block_a = encode(Device::cpu, a, **plan, counts.views());
  const auto block_b = encode(Device::reference, b, same, copy.views());
  REQUIRE(block_a.size() == block_b.size());
  CHECK(std::equal(block_a.begin() + 64, block_a.end(), block_b.begin() + 64));
}

TEST_CASE("random damage to valid blocks gives an error or the exact pixels", "[property]") {
  TestRandom random(99);
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const Example example = make_example(seed);
    auto writer = *TileState::create(example.tile);
    const auto views = example.frames.views();
    const GroupPlace place{
        0, static_cast<std::uint8_t>(example.window),
        example.window == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << example.window) - 1, true};
    EncodeOptions options;
    options.mask = example.mask;
    options.sentinels = example.sentinels;
    const auto plan = plan_group(writer, place, views, options);
    const auto good = encode(Device::cpu, writer, **plan, views);
    for (int round = 0; round < 60; ++round) {
      auto block = good;
      for (std::uint64_t flips = 1 + random.below(3); flips > 0; --flips) {
        const std::size_t from =
            random.below(4) == 0 || block.size() <= kBlockHeaderBytes ? 0 : kBlockHeaderBytes;
        block[from + random.below(block.size() - from)] ^= static_cast<std::byte>(1u << random.below(8));
      }
      if (random.below(8) == 0) block.resize(random.below(block.size() + 1));
      // Most damage would stop at the CRCs: repair them, so that the parsers behind see it.
      if (auto header = parse_block_header(block); header.ok() && block.size() > kBlockHeaderBytes) {
        header->payload_crc = crc32c(ByteSpan(block).subspan(kBlockHeaderBytes));
        header->block_bytes = static_cast<std::uint32_t>(block.size());
        write_block_header(*header, block);
      }
      for (const Device device : {Device::reference, Device::cpu}) {
        auto reader = *TileState::create(example.tile);
        FrameStack decoded(example.tile, example.window);
        const auto status = decode_group(device, reader, block, decoded.mutable_views());
        if (status.ok()) CHECK(decoded.pixels == example.frames.pixels);
      }
    }
  }
}
