// SPDX-License-Identifier: Apache-2.0
//
// Properties of levels as wide as their pixels, most of 32 bits, which take two raw steps where they escape: random
// plans of the models smooth and phases over frames whose pixels are counts, and here and there any number: alone, in
// rows, beside masked pixels, on the tile's border, in every phase and in key frames. A failure prints its seed.
#include <array>
#include <bit>
#include <cstring>

#include <catch2/catch.hpp>

#include "tests/support/forced_block.hpp"
#include "tests/support/group_examples.hpp"
#include "tests/support/phase_plans.hpp"

namespace {

using namespace ff;
using namespace ff::kernels;
using tests::Example;
using tests::FrameStack;
using tests::TestRandom;

// A number of any length up to the type's: as many small ones as large ones.
std::int64_t any_length(const ValueRange& range, TestRandom& random) {
  const auto bits = static_cast<unsigned>(std::bit_width(static_cast<std::uint64_t>(range.high)));
  const auto value = static_cast<std::int64_t>(random.next() >> (64 - bits + random.below(bits)));
  return range.low < 0 ? value + range.low * static_cast<std::int64_t>(random.below(2)) : value;
}

// One big pixel in so many of each 256, more of them on the border.
Example make_wide_example(std::uint64_t seed, std::uint32_t least_extent) {
  TestRandom random(seed);
  const auto extent = [&] { return static_cast<std::uint32_t>(least_extent + random.below(140)); };
  constexpr std::array kDtypes{Dtype::u32, Dtype::i32, Dtype::u32, Dtype::i32, Dtype::u16};
  const FrameShape tile{kDtypes[random.below(kDtypes.size())], extent(), extent()};
  const auto window = static_cast<std::uint32_t>(1 + random.below(6));
  Example example{tile, window, FrameStack(tile, window), {}, {}};
  const ValueRange range = value_range(tile.dtype);
  const std::uint64_t density = random.below(2) == 0 ? random.below(4) : random.below(257);
  const std::uint64_t border_density = random.below(2) == 0 ? density : 200;
  if (random.below(2) == 0) {
    example.mask.assign(tile.pixels(), 0);
    for (auto& m : example.mask) m = random.below(6) == 0 ? 1 : 0;
  }
  for (std::uint64_t i = random.below(4); i > 0; --i)
    example.sentinels.push_back(range.low < 0 ? -static_cast<std::int64_t>(i)
                                              : range.high - static_cast<std::int64_t>(3 * i));
  const std::int64_t hidden = example.sentinels.empty() ? range.high : example.sentinels.front();
  for (std::size_t t = 0; t < window; ++t) {
    for (std::size_t p = 0; p < tile.pixels(); ++p) {
      const std::size_t row = p / tile.cols, col = p % tile.cols;
      const bool border = row == 0 || col == 0 || row + 1 == tile.rows || col + 1 == tile.cols;
      const bool big = random.below(256) < (border ? border_density : density);
      std::int64_t value = big ? any_length(range, random) : static_cast<std::int64_t>(random.counts(700));
      if (!example.mask.empty() && example.mask[p] != 0) value = hidden;
      example.frames.set(t, p, value);
    }
  }
  return example;
}

LevelMap wide_map(const Example& example, TestRandom& random) {
  LevelMap map;
  map.level_bits = static_cast<std::uint8_t>(8 * dtype_bytes(example.tile.dtype));
  map.sentinels = example.sentinels;
  if (random.below(3) == 0) map.base = static_cast<std::int64_t>(random.below(5)) - 2;
  const ValueRange range = value_range(example.tile.dtype);
  map.base = std::max(map.base, range.low);
  return map;
}

tests::PhaseWishes wide_wishes(const Example& example, TestRandom& random) {
  tests::PhaseWishes wishes;
  wishes.sentinels = example.sentinels;
  wishes.mask = example.mask;
  wishes.levels = wide_map(example, random);
  wishes.sensible = random.below(3) == 0;
  if (random.below(2) == 0) wishes.up = static_cast<std::uint8_t>(random.below(13));
  if (random.below(2) == 0)
    wishes.down = static_cast<std::uint8_t>(random.below(wishes.levels->level_bits == 32 ? 17 : 2));
  return wishes;
}

// What a plan of the phases says of levels, mask and classes is as good for the model smooth.
EncodePlan smooth_plan(TileState& state, const tests::ExampleGroup& group, TestRandom& random,
                       tests::PhaseWishes wishes) {
  auto fresh = *TileState::create(state.shape());
  wishes.source = ContextSource::scale;  // classes that are split have the bits for it
  wishes.count = false;
  EncodePlan plan = tests::random_phase_plan(fresh, group.place, group.frames, random, wishes);
  plan.profile = Profile::fast;
  plan.mixes.clear();
  plan.setup->model = Model::smooth;
  plan.setup->phases = {};
  plan.setup->source = random.below(2) == 0 ? ContextSource::rate : ContextSource::scale;
  plan.group.smoothing = static_cast<std::uint16_t>(random.below(32768));
  plan.group.scale_smoothing = static_cast<std::uint16_t>(random.below(32768));
  const auto& before = state.body().predictor;
  if (group.place.key || !before || random.below(4) == 0) return plan;
  plan.setup.reset();
  if (before->setup.up < 2 || random.below(2) == 0) plan.tables.reset();
  return plan;
}

EncodePlan phase_plan(TileState& state, const tests::ExampleGroup& group, TestRandom& random,
                      const tests::PhaseWishes& wishes) {
  return tests::random_phase_plan(state, group.place, group.frames, random, wishes);
}

void check_wide_decodes(Device device, TileState& reader, ByteSpan block, GroupFrames frames) {
  FrameStack decoded(reader.shape(), frames.size());
  const auto status = decode_group(device, reader, block, decoded.mutable_views());
  INFO((status.ok() ? "" : status.error().message));
  REQUIRE(status.ok());
  const std::size_t bytes = reader.shape().bytes();
  for (std::size_t t = 0; t < frames.size(); ++t)
    REQUIRE(std::memcmp(decoded.pixels.data() + t * bytes, frames[t].pixels, bytes) == 0);
}

template <typename MakePlan>
void check_wide_window(std::uint64_t seed, std::uint32_t least_extent, MakePlan&& make_plan) {
  INFO("seed " << seed);
  const Example example = make_wide_example(seed, least_extent);
  TestRandom random(seed ^ 0x32b175);
  const auto state = [&] { return *TileState::create(example.tile); };
  auto reference = state(), cpu = state(), reference_reader = state(), cpu_reader = state();
  const tests::PhaseWishes wishes = wide_wishes(example, random);
  for (const tests::ExampleGroup& group : tests::make_groups(example, random)) {
    const EncodePlan plan = make_plan(reference, group, random, wishes);
    const auto block = tests::forced_block(Device::reference, reference, plan, group.frames);
    REQUIRE(reference.body().predictor->setup.levels.level_bits == 8 * dtype_bytes(example.tile.dtype));
    REQUIRE(tests::forced_block(Device::cpu, cpu, plan, group.frames) == block);
    check_wide_decodes(Device::reference, reference_reader, block, group.frames);
    check_wide_decodes(Device::cpu, cpu_reader, block, group.frames);
    for (TileState* other : {&cpu, &reference_reader, &cpu_reader})
      REQUIRE(tests::same_state(reference, *other));
  }
}

}  // namespace

TEST_CASE(
    "levels as wide as their pixels under any plan of the model smooth come back exactly, equal on every "
    "device",
    "[property][wide]") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) check_wide_window(seed, 1, smooth_plan);
}

TEST_CASE(
    "levels as wide as their pixels under any plan of the phases come back exactly, equal on every device",
    "[property][wide]") {
  for (std::uint64_t seed = 1001; seed <= 1300; ++seed) check_wide_window(seed, 2, phase_plan);
}
