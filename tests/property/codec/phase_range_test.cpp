// SPDX-License-Identifier: Apache-2.0
//
// The ends of the ranges that block.md §6.7 and §6.8 prove: built with the undefined-behaviour sanitizer, an
// intermediate that leaves 32 bits stops the test.
#include <catch2/catch.hpp>

#include "kernels/reference/phases.hpp"
#include "tests/support/block_sections.hpp"
#include "tests/support/forced_block.hpp"
#include "tests/support/group_examples.hpp"
#include "tests/support/phase_plans.hpp"

namespace {

using namespace ff;
using namespace ff::kernels;
using tests::FrameStack;

constexpr std::int64_t kMost = 32767;

// The largest magnitudes there are: sums of the weights at their bound, of one sign or of both.
PlaneMix extreme_mix(std::size_t features, int sign, bool alternate, std::int16_t bias) {
  PlaneMix mix;
  std::int32_t left = kMixSumMax;
  for (std::size_t j = features; j-- > 0;) {
    const std::int32_t share = j == 0 ? left : left / static_cast<std::int32_t>(j + 1) / kMixStep * kMixStep;
    mix.weights[j] = static_cast<std::int16_t>(sign * (alternate && j % 2 == 1 ? -share : share));
    left -= share;
  }
  mix.scale_weights = {8192, 8192, 8192, 8128};
  if (sign < 0) mix.scale_weights = {0, 0, 0, 32704};
  mix.bias = mix.scale_bias = bias;
  REQUIRE(mix_in_range(mix));
  REQUIRE(storable_mix(mix) == mix);
  return mix;
}

void check_extreme(const FrameStack& frames, std::uint8_t up, int sign, bool alternate, std::int16_t bias,
                   std::uint64_t seed) {
  INFO("up " << int{up} << ", sign " << sign << ", alternate " << alternate << ", bias " << bias);
  auto writer = *TileState::create(frames.shape), cpu = *TileState::create(frames.shape);
  auto reader = *TileState::create(frames.shape);
  const GroupPlace place{0, 3, 7, true};
  tests::TestRandom random(seed);
  tests::PhaseWishes wishes;
  wishes.levels = LevelMap{16, LevelMapKind::offset, 0, {}, {}};
  wishes.phases = PhaseSetup{2, 1, true};
  wishes.up = up;
  wishes.down = 0;
  EncodePlan plan = tests::random_phase_plan(writer, place, frames.views(), random, wishes);
  for (std::size_t t = 0; t < plan.mixes.size(); ++t) {
    for (std::size_t p = 0; p < plan.mixes[t].size(); ++p) {
      const auto plane = phase_plane(frames.shape.rows, frames.shape.cols, t == 0 ? 2 : 1, p);
      plan.mixes[t][p] = extreme_mix(mix_features(plane, t > 0, true), sign, alternate, bias);
    }
  }
  const auto block = tests::forced_block(Device::reference, writer, plan, frames.views());
  REQUIRE(tests::forced_block(Device::cpu, cpu, plan, frames.views()) == block);
  FrameStack decoded(frames.shape, 3);
  REQUIRE(decode_group(Device::reference, reader, block, decoded.mutable_views()).ok());
  REQUIRE(decoded.pixels == frames.pixels);
  REQUIRE(tests::same_state(writer, cpu));
  REQUIRE(tests::same_state(writer, reader));
}

}  // namespace

TEST_CASE("the sums of expectation and scale fit 32 bits, and no root or moved mean leaves 15", "[phases]") {
  const std::int64_t sum = std::int64_t{kMixSumMax} * kMost + kMost * kMixOne + kMixOne / 2;
  STATIC_REQUIRE(std::int64_t{kMixSumMax} * kMost + kMost * kMixOne + kMixOne / 2 < std::int64_t{1} << 31);
  CHECK(-sum >= -(std::int64_t{1} << 31));
  for (unsigned up = 0; up <= 12; ++up) {
    for (const std::uint16_t root : root_table(up)) {
      REQUIRE(root + (root >> 1) <= kMost);
    }
  }
  CHECK(root_table(12)[bucket_of(32767)] == 11494);
  for (const std::int32_t a : {-32767, -1, 0, 1, 32767}) {
    for (const std::int32_t b : {0, 1, 16384, 32767}) {
      const std::int32_t moved = reference::scaled(a, b);
      CHECK((a < 0 ? moved >= a && moved <= 0 : moved >= 0 && moved <= a));
    }
  }
}

TEST_CASE("weights, pixels and biases at the ends of their ranges code exactly on every device", "[phases]") {
  const FrameShape tile{Dtype::u16, 14, 75};
  FrameStack bright(tile, 3), dark(tile, 3), both(tile, 3);
  tests::TestRandom random(8);
  for (std::size_t t = 0; t < 3; ++t) {
    for (std::size_t p = 0; p < tile.pixels(); ++p) {
      bright.set(t, p, 65535);
      both.set(t, p, random.below(2) == 0 ? 0 : 65535);
    }
  }
  std::uint64_t seed = 1;
  for (const FrameStack* frames : {&bright, &dark, &both}) {
    for (const std::uint8_t up : {std::uint8_t{0}, std::uint8_t{12}}) {
      for (const int sign : {1, -1}) {
        for (const bool alternate : {false, true}) {
          for (const std::int16_t bias : {std::int16_t{-32767}, std::int16_t{0}, std::int16_t{32767}})
            check_extreme(*frames, up, sign, alternate, bias, ++seed);
        }
      }
    }
  }
}

TEST_CASE("a masked pixel takes its expectation, cut to 15 bits", "[phases]") {
  const FrameShape tile{Dtype::u16, 4, 4};
  FrameStack frames(tile, 1);
  for (std::size_t p = 0; p < tile.pixels(); ++p) frames.set(0, p, 65535);
  std::vector<std::uint8_t> mask(tile.pixels(), 0);
  mask[5] = 1;  // row 1, col 1: the first pixel of oo, among four of ee
  const auto state_of_masked = [&](std::array<std::int16_t, 4> weights, std::int16_t bias) {
    auto state = *TileState::create(tile);
    tests::TestRandom random(9);
    tests::PhaseWishes wishes;
    wishes.levels = LevelMap{16, LevelMapKind::offset, 0, {}, {}};
    wishes.phases = PhaseSetup{1, 1, false};
    wishes.up = 0;
    wishes.down = 0;
    wishes.mask = mask;
    EncodePlan plan = tests::random_phase_plan(state, {0, 1, 1, true}, frames.views(), random, wishes);
    PlaneMix& oo = *plan.mixes[0][1];
    oo.weights = {weights[0], weights[1], weights[2], weights[3]};
    oo.bias = bias;
    (void)tests::forced_block(Device::reference, state, plan, frames.views());
    return state.body().predictor->phases->planes[1].mean.row(0)[0];
  };
  CHECK(state_of_masked({8239, 8176, 8176, 8176}, 32767) == 32767);
  CHECK(state_of_masked({8239, 8176, 8176, 8176}, -32767) == 32767);
  CHECK(state_of_masked({-8239, -8176, -8176, -8176}, 32767) == 0);
  CHECK(state_of_masked({4096, 0, 0, 0}, 0) == 32767);
  CHECK(state_of_masked({2049, 0, 0, 0}, -1) == 16390);  // (2049 x 32767 - 4096 + 2048) >> 12
  CHECK(state_of_masked({16, -16, 0, 0}, 5) == 5);
}

TEST_CASE("levels that no 8-bit map has mean the same on every device", "[phases]") {
  // Coded in 16-bit levels without an escape, then declared 8-bit: what lies above 255 comes from tokens alone.
  const FrameShape tile{Dtype::u16, 37, 70};
  FrameStack frames(tile, 4);
  tests::TestRandom random(10);
  for (std::size_t t = 0; t < frames.count; ++t) {
    for (std::size_t p = 0; p < tile.pixels(); ++p)
      frames.set(t, p, 210 + static_cast<std::int64_t>(random.below(90)));
  }
  for (const ContextSource source : {ContextSource::rate, ContextSource::scale}) {
    tests::PhaseWishes wishes;
    wishes.sensible = true;
    wishes.source = source;
    wishes.up = 5;
    wishes.streams = 1;
    wishes.levels = LevelMap{16, LevelMapKind::offset, 0, {}, {}};
    wishes.classes = {{224, true, false, 0}};
    auto writer = *TileState::create(tile);
    EncodePlan plan = tests::random_phase_plan(writer, {0, 4, 15, true}, frames.views(), random, wishes);
    const auto block = tests::forced_block(Device::reference, writer, plan, frames.views());
    plan.setup->levels.level_bits = 8;
    tests::Sections sections = tests::sections_of_block(block);
    sections[SectionId::setup] = tests::sections_of_plan(plan)[SectionId::setup];
    const auto hostile = tests::with_sections(block, sections);
    FrameStack reference(tile, 4), cpu(tile, 4);
    auto reference_state = *TileState::create(tile), cpu_state = *TileState::create(tile);
    const auto status = decode_group(Device::reference, reference_state, hostile, reference.mutable_views());
    CHECK(status.error().code == Errc::crc_mismatch);  // of the pixels: every lane ended as it should
    CHECK(decode_group(Device::cpu, cpu_state, hostile, cpu.mutable_views()).error().code ==
          Errc::crc_mismatch);
    CHECK(reference.pixels == cpu.pixels);
    CHECK(reference.pixels != frames.pixels);
    CHECK(tests::same_phases(*reference_state.body().predictor->phases, *cpu_state.body().predictor->phases));
  }
}
