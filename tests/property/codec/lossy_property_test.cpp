// SPDX-License-Identifier: Apache-2.0
//
// Properties of lossy coding over random scenes: within the bound on every path, masks and sentinels exact, and the
// pixel CRC that of what is decoded. A failure prints its seed.
#include <algorithm>
#include <cstring>

#include <catch2/catch.hpp>

#include "common/base/crc32c.hpp"
#include "kernels/codec.hpp"
#include "kernels/format/block_header.hpp"
#include "kernels/predictor_state.hpp"
#include "tests/support/group_images.hpp"

namespace {

using namespace ff;
using namespace ff::kernels;
using tests::FrameStack;
using tests::TestRandom;

constexpr Dtype kDtypes[] = {Dtype::u8, Dtype::u16, Dtype::u32, Dtype::i8, Dtype::i16, Dtype::i32};
constexpr const char* kBounds[] = {"abs:1",  "abs:3",      "rel:3%,0,255", "rel:0.4%,0,4000", "sqrt:0.5",
                                   "sqrt:1", "sqrt:0.125", "sqrt:4",       "photon:3.5,10",   "photon:12,0"};

struct Scene {
  FrameShape tile;
  FrameStack frames;
  std::vector<std::uint8_t> mask;
  std::vector<std::int64_t> sentinels;
};

// Counts over a gradient, some hot or negative pixels, gaps, sentinels now and then, masked pixels that vary.
Scene make_scene(TestRandom& random) {
  const FrameShape tile{kDtypes[random.below(6)], static_cast<std::uint32_t>(1 + random.below(70)),
                        static_cast<std::uint32_t>(1 + random.below(90))};
  const auto count = static_cast<std::size_t>(1 + random.below(6));
  Scene scene{tile, FrameStack(tile, count), {}, {}};
  const ValueRange range = value_range(tile.dtype);
  const bool masks = random.below(2) == 0;
  if (masks) scene.mask.assign(tile.pixels(), 0);
  if (random.below(2) == 0) scene.sentinels = {dtype_is_signed(tile.dtype) ? -1 : range.high};
  if (random.below(3) == 0) scene.sentinels.push_back(static_cast<std::int64_t>(random.below(60)));
  const std::uint64_t brightness = 1 + random.below(60);
  for (std::size_t p = 0; p < tile.pixels(); ++p) {
    const bool masked = masks && random.below(6) == 0, varies = random.below(3) == 0;
    if (masked) scene.mask[p] = 1;
    for (std::size_t t = 0; t < count; ++t) {
      std::int64_t value = static_cast<std::int64_t>(random.counts(64 + p % 97 * brightness));
      if (random.below(200) == 0) value = range.high - static_cast<std::int64_t>(random.below(5));
      if (random.below(200) == 0) value = range.low + static_cast<std::int64_t>(random.below(5));
      if (!scene.sentinels.empty() && random.below(50) == 0) value = scene.sentinels.back();
      if (masked) value = varies ? range.low + static_cast<std::int64_t>(random.below(250)) : range.high;
      scene.frames.set(t, p, std::clamp(value, range.low, range.high));
    }
  }
  return scene;
}

void check_pixels(const Scene& scene, const LossBound& bound, const FrameStack& decoded) {
  const std::size_t width = dtype_bytes(scene.tile.dtype);
  std::size_t broken = 0, inexact = 0;
  for (std::size_t i = 0; i < scene.frames.count * scene.tile.pixels(); ++i) {
    const std::int64_t x = load_pixel(scene.tile.dtype, scene.frames.pixels.data() + i * width);
    const std::int64_t y = load_pixel(scene.tile.dtype, decoded.pixels.data() + i * width);
    broken += within_bound(bound, x, y) ? 0 : 1;
    const bool masked = !scene.mask.empty() && scene.mask[i % scene.tile.pixels()] != 0;
    const bool sentinel = std::ranges::find(scene.sentinels, x) != scene.sentinels.end();
    const bool turned = std::ranges::find(scene.sentinels, y) != scene.sentinels.end();
    inexact += (masked || sentinel || turned) && x != y ? 1 : 0;
  }
  REQUIRE(broken == 0);
  REQUIRE(inexact == 0);
}

std::vector<std::byte> encode_lossy(Device device, TileState& state, const EncodePlan& plan,
                                    GroupFrames frames) {
  std::vector<std::byte> block(encoded_size_bound(plan.tile, static_cast<std::uint32_t>(frames.size())));
  const auto bytes = encode_group(device, state, plan, frames, block);
  REQUIRE(bytes.ok());
  block.resize(*bytes);
  return block;
}

GroupPlace place_of(std::size_t first, std::size_t count) {
  return {static_cast<std::uint8_t>(first), static_cast<std::uint8_t>(count), (std::uint64_t{1} << count) - 1,
          first == 0};
}

// Returns whether the blocks were lossy.
bool check_scene(std::uint64_t seed, Profile profile) {
  INFO("seed " << seed);
  TestRandom random(seed);
  const Scene scene = make_scene(random);
  EncodeOptions options;
  options.profile = profile;
  options.mask = scene.mask;
  options.sentinels = scene.sentinels;
  options.bound = *parse_loss_bound(kBounds[random.below(std::size(kBounds))]);
  INFO("bound " << to_string(options.bound) << ", " << dtype_name(scene.tile.dtype));
  auto reference = *TileState::create(scene.tile), cpu = *TileState::create(scene.tile);
  auto reference_reader = *TileState::create(scene.tile), cpu_reader = *TileState::create(scene.tile);
  const auto views = scene.frames.views();
  FrameStack decoded(scene.tile, views.size()), again(scene.tile, views.size());
  const std::size_t cut = 1 + random.below(views.size());
  bool lossy = false;
  for (std::size_t first = 0; first < views.size(); first += cut) {
    const std::size_t count = std::min(cut, views.size() - first);
    const auto frames = std::span(views).subspan(first, count);
    auto plan = plan_group(reference, place_of(first, count), frames, options);
    REQUIRE(plan.ok());
    const auto block = encode_lossy(Device::reference, reference, **plan, frames);
    REQUIRE(encode_lossy(Device::cpu, cpu, **plan, frames) == block);
    const auto info = inspect_block(block);
    REQUIRE(info.ok());
    lossy = lossy || !info->exact;
    auto targets = decoded.mutable_views(), targets_again = again.mutable_views();
    const auto status =
        decode_group(Device::cpu, cpu_reader, block, std::span(targets).subspan(first, count));
    INFO((status.ok() ? "" : status.error().message));
    REQUIRE(status.ok());
    REQUIRE(decode_group(Device::reference, reference_reader, block,
                         std::span(targets_again).subspan(first, count))
                .ok());
  }
  REQUIRE(decoded.pixels == again.pixels);
  check_pixels(scene, options.bound, decoded);
  return lossy;
}

}  // namespace

TEST_CASE("lossy groups keep their bound on every path; masked pixels and sentinels come back bit for bit",
          "[property]") {
  std::size_t lossy = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) lossy += check_scene(seed, Profile::fast) ? 1 : 0;
  CHECK(lossy > 150);
  for (std::uint64_t seed = 1001; seed <= 1040; ++seed) check_scene(seed, Profile::small);
}

TEST_CASE("a bound that is withdrawn inside a window makes its next groups exact", "[property]") {
  const FrameShape tile{Dtype::u16, 40, 50};
  const FrameStack frames = tests::counting_frames(tile, 2, 500, 9000, 3);
  const auto views = frames.views();
  auto writer = *TileState::create(tile), reader = *TileState::create(tile);
  FrameStack decoded(tile, 2);
  auto targets = decoded.mutable_views();
  EncodeOptions options;
  options.bound = *parse_loss_bound("sqrt:1");
  for (std::size_t t = 0; t < 2; ++t) {
    const auto frame = std::span(views).subspan(t, 1);
    const auto plan = plan_group(writer, place_of(t, 1), frame, options);
    const auto block = encode_lossy(Device::cpu, writer, **plan, frame);
    CHECK(inspect_block(block)->exact == (t == 1));
    REQUIRE(decode_group(Device::cpu, reader, block, std::span(targets).subspan(t, 1)).ok());
    options.bound = {};
  }
  CHECK(std::memcmp(decoded.pixels.data(), frames.pixels.data(), tile.bytes()) != 0);
  CHECK(std::memcmp(decoded.pixels.data() + tile.bytes(), frames.pixels.data() + tile.bytes(),
                    tile.bytes()) == 0);
}

TEST_CASE("random damage to lossy blocks gives an error or the pixels of the undamaged block", "[property]") {
  TestRandom random(4);
  for (std::uint64_t seed = 2001; seed <= 2030; ++seed) {
    TestRandom scene_random(seed);
    const Scene scene = make_scene(scene_random);
    EncodeOptions options;
    options.mask = scene.mask;
    options.sentinels = scene.sentinels;
    options.bound = *parse_loss_bound(kBounds[seed % std::size(kBounds)]);
    auto writer = *TileState::create(scene.tile), first_reader = *TileState::create(scene.tile);
    const auto views = scene.frames.views();
    const auto plan = plan_group(writer, place_of(0, views.size()), views, options);
    const auto good = encode_lossy(Device::cpu, writer, **plan, views);
    FrameStack wanted(scene.tile, views.size()), decoded(scene.tile, views.size());
    REQUIRE(decode_group(Device::cpu, first_reader, good, wanted.mutable_views()).ok());
    for (int round = 0; round < 60; ++round) {
      auto block = good;
      // The setup, with the bound, lies right behind the header.
      const std::size_t span =
          random.below(2) == 0 ? std::min<std::size_t>(60, block.size() - 64) : block.size() - 64;
      block[64 + random.below(span)] ^= static_cast<std::byte>(1u << random.below(8));
      BlockHeader header = *parse_block_header(block);
      header.payload_crc = crc32c(ByteSpan(block).subspan(kBlockHeaderBytes));
      write_block_header(header, block);
      auto reader = *TileState::create(scene.tile);
      if (decode_group(Device::cpu, reader, block, decoded.mutable_views()).ok())
        CHECK(decoded.pixels == wanted.pixels);
    }
  }
}
