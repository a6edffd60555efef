// SPDX-License-Identifier: Apache-2.0
//
// Plan, state and errors at the codec's border: what a caller can get wrong, and what the planner finds out.
#include <catch2/catch.hpp>

#include "kernels/codec.hpp"
#include "kernels/predictor_state.hpp"
#include "tests/support/group_images.hpp"

namespace {

using namespace ff;
using namespace ff::kernels;
using tests::FrameStack;

constexpr FrameShape kTile{Dtype::u16, 64, 80};

std::vector<std::byte> encode(TileState& state, const GroupPlace& place, const FrameStack& stack,
                              const EncodeOptions& options = {}) {
  const auto views = stack.views();
  auto plan = plan_group(state, place, views, options);
  REQUIRE(plan.ok());
  std::vector<std::byte> block(encoded_size_bound(stack.shape, static_cast<std::uint32_t>(stack.count)));
  const auto bytes = encode_group(Device::cpu, state, **plan, views, block);
  REQUIRE(bytes.ok());
  block.resize(*bytes);
  return block;
}

Errc decode_error(TileState& state, ByteSpan block, std::size_t frames) {
  FrameStack stack(state.shape(), frames);
  const auto status = decode_group(Device::cpu, state, block, stack.mutable_views());
  REQUIRE_FALSE(status.ok());
  return status.error().code;
}

}  // namespace

TEST_CASE("a group that does not continue its window is refused by encoder and decoder", "[codec]") {
  const auto stack = tests::counting_frames(kTile, 2, 100, 900, 1);
  auto writer = *TileState::create(kTile);
  const auto views = stack.views();
  CHECK(plan_group(writer, {4, 2, 3, false}, views, {}).error().code == Errc::state_mismatch);
  const auto first = encode(writer, {0, 2, 3, true}, stack);
  const auto second = encode(writer, {2, 2, 3, false}, stack);
  const auto third = encode(writer, {4, 2, 3, false}, stack);
  auto reader = *TileState::create(kTile);
  CHECK(decode_error(reader, second, 2) == Errc::state_mismatch);
  FrameStack decoded(kTile, 2);
  REQUIRE(decode_group(Device::cpu, reader, first, decoded.mutable_views()).ok());
  CHECK(decode_error(reader, third, 2) == Errc::state_mismatch);
  auto same_again = *TileState::create(kTile);
  REQUIRE(decode_group(Device::cpu, same_again, first, decoded.mutable_views()).ok());
  REQUIRE(decode_group(Device::cpu, same_again, second, decoded.mutable_views()).ok());
  CHECK(decoded.pixels == stack.pixels);
}

TEST_CASE("wrong places, shapes, masks and buffers are errors that leave the state alone", "[codec]") {
  const auto stack = tests::counting_frames(kTile, 2, 100, 900, 1);
  const auto views = stack.views();
  auto state = *TileState::create(kTile);
  CHECK(plan_group(state, {0, 0, 0, true}, views, {}).error().code == Errc::out_of_range);
  CHECK(plan_group(state, {0, 2, 3, false}, views, {}).error().code == Errc::out_of_range);
  CHECK(plan_group(state, {63, 2, 3, true}, views, {}).error().code == Errc::out_of_range);
  CHECK(plan_group(state, {0, 2, 1, true}, views, {}).error().code == Errc::shape_mismatch);
  EncodeOptions options;
  const std::vector<std::uint8_t> short_mask(7);
  options.mask = short_mask;
  CHECK(plan_group(state, {0, 2, 3, true}, views, options).error().code == Errc::shape_mismatch);
  const std::int64_t twice[] = {5, 5};
  options.mask = {};
  options.sentinels = twice;
  CHECK(plan_group(state, {0, 2, 3, true}, views, options).error().code == Errc::out_of_range);
  auto plan = plan_group(state, {0, 2, 3, true}, views, {});
  std::vector<std::byte> small(100);
  CHECK(encode_group(Device::cpu, state, **plan, views, small).error().code == Errc::buffer_too_small);
  CHECK_FALSE(state.body().window_open);
  CHECK(TileState::create({Dtype::u16, 0, 5}).error().code == Errc::out_of_range);
  CHECK(TileState::create({Dtype::u16, 1025, 1024}).error().code == Errc::out_of_range);
}

TEST_CASE("where each pixel has a noise of its own, contexts come from the scale, behind a base", "[plan]") {
  const FrameShape tile{Dtype::u16, 128, 128};
  auto integrating = *TileState::create(tile);
  FrameStack levels(tile, 12);
  tests::TestRandom random(5);
  for (std::size_t t = 0; t < levels.count; ++t) {
    for (std::size_t p = 0; p < tile.pixels(); ++p) {
      const std::uint64_t noise = p / 32 % 5 == 0 ? 120 : 12;
      levels.set(
          t, p, 2000 + static_cast<std::int64_t>(random.below(noise)) - static_cast<std::int64_t>(noise / 2));
    }
  }
  const auto level_views = levels.views();
  const auto other = plan_group(integrating, {0, 12, 4095, true}, level_views, {});
  CHECK((*other)->setup->source == ContextSource::scale);
  CHECK((*other)->setup->levels.base > 1000);
}

TEST_CASE("constant sentinel pixels are masked, and cost nothing", "[plan]") {
  FrameStack stack = tests::counting_frames(kTile, 4, 100, 900, 6);
  auto plain = *TileState::create(kTile);
  const std::size_t without = encode(plain, {0, 4, 15, true}, stack).size();
  for (std::size_t t = 0; t < 4; ++t) {
    for (std::size_t p = 0; p < 20 * kTile.cols; ++p) stack.set(t, 10 * kTile.cols + p, 65535);
  }
  auto masked = *TileState::create(kTile);
  CHECK(encode(masked, {0, 4, 15, true}, stack).size() < without * 3 / 4);
  REQUIRE(masked.body().predictor->mask != nullptr);
  CHECK(masked.body().predictor->mask->classes[15 * kTile.cols] != 0);
}

TEST_CASE("the same pixels give the same plan and bytes again", "[plan]") {
  const auto stack = tests::integrating_frames(kTile, 3, 10, 300, 9, 8);
  auto first = *TileState::create(kTile);
  auto second = *TileState::create(kTile);
  CHECK(encode(first, {0, 3, 7, true}, stack) == encode(second, {0, 3, 7, true}, stack));
}

TEST_CASE("noise is stored at raw size and a header; a raw block leaves no predictor", "[codec]") {
  FrameStack noise(kTile, 2);
  tests::TestRandom random(3);
  for (auto& byte : noise.pixels) byte = static_cast<std::byte>(random.next());
  auto writer = *TileState::create(kTile);
  auto reader = *TileState::create(kTile);
  const auto raw = encode(writer, {0, 2, 3, true}, noise);
  CHECK(raw.size() == noise.pixels.size() + 64);
  CHECK_FALSE(writer.body().predictor.has_value());
  const auto counts = tests::counting_frames(kTile, 2, 100, 900, 6);
  const auto after = encode(writer, {2, 2, 3, false}, counts);
  CHECK(after.size() < counts.pixels.size() / 3);
  FrameStack decoded(kTile, 2);
  REQUIRE(decode_group(Device::cpu, reader, raw, decoded.mutable_views()).ok());
  REQUIRE(decode_group(Device::cpu, reader, after, decoded.mutable_views()).ok());
  CHECK(decoded.pixels == counts.pixels);
}

TEST_CASE("inspect tells what a block is made of", "[codec]") {
  auto state = *TileState::create(kTile);
  const auto block = encode(state, {0, 2, 3, true}, tests::counting_frames(kTile, 2, 100, 900, 1));
  const auto info = inspect_block(block);
  REQUIRE(info.ok());
  CHECK(info->profile == Profile::fast);
  CHECK(info->exact);
  for (const char* word :
       {"\"kind\":\"predicted\"", "\"context_source\":", "\"contexts\":", "\"streams\":1"}) {
    CHECK(info->summary_json.find(word) != std::string::npos);
  }
}

TEST_CASE("masked pixels may hold values that a list of used values lacks", "[plan]") {
  const FrameShape tile{Dtype::u8, 60, 60};
  FrameStack comb = tests::integrating_frames(tile, 4, 10, 40, 3, 9);
  for (auto& pixel : comb.pixels) pixel = static_cast<std::byte>(std::to_integer<unsigned>(pixel) * 4 + 40);
  std::vector<std::uint8_t> mask(tile.pixels(), 0);
  for (std::size_t p = 0; p < 100; ++p) mask[p] = 1;
  for (std::size_t t = 0; t < 4; ++t) {
    for (std::size_t p = 0; p < 100; ++p) comb.set(t, p, p % 2 == 0 ? 0 : 255);
  }
  EncodeOptions options;
  options.mask = mask;
  auto writer = *TileState::create(tile);
  const auto block = encode(writer, {0, 4, 15, true}, comb, options);
  REQUIRE(writer.body().predictor->setup.levels.kind == LevelMapKind::packed);
  CHECK(writer.body().predictor->setup.levels.base > 0);
  auto reader = *TileState::create(tile);
  FrameStack decoded(tile, 4);
  REQUIRE(decode_group(Device::cpu, reader, block, decoded.mutable_views()).ok());
  CHECK(decoded.pixels == comb.pixels);
}
