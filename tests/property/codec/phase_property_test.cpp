// SPDX-License-Identifier: Apache-2.0
//
// Properties of the model phases over random plans: what an encoder might choose, and much that none would.
// A failure prints its seed.
#include <cstring>

#include <catch2/catch.hpp>

#include "tests/support/block_sections.hpp"
#include "tests/support/forced_block.hpp"
#include "tests/support/group_examples.hpp"
#include "tests/support/phase_plans.hpp"

namespace {

using namespace ff;
using namespace ff::kernels;
using tests::Example;
using tests::FrameStack;
using tests::TestRandom;

void check_phase_decodes(Device device, TileState& reader, ByteSpan block, GroupFrames frames) {
  FrameStack decoded(reader.shape(), frames.size());
  const auto status = decode_group(device, reader, block, decoded.mutable_views());
  INFO((status.ok() ? "" : status.error().message));
  REQUIRE(status.ok());
  for (std::size_t t = 0; t < frames.size(); ++t) {
    const std::size_t bytes = reader.shape().bytes();
    REQUIRE(std::memcmp(decoded.pixels.data() + t * bytes, frames[t].pixels, bytes) == 0);
  }
}

// One window under random plans; writers and readers on both devices, and a pair that changes its device.
void check_phase_window(std::uint64_t seed) {
  INFO("seed " << seed);
  const Example example = tests::make_example(seed, 2);
  TestRandom random(seed ^ 0x5eed);
  const auto state = [&] { return *TileState::create(example.tile); };
  auto reference = state(), cpu = state(), mixed = state();
  auto reference_reader = state(), cpu_reader = state(), mixed_reader = state();
  tests::PhaseWishes wishes;
  wishes.sentinels = example.sentinels;
  wishes.mask = example.mask;
  for (const tests::ExampleGroup& group : tests::make_groups(example, random)) {
    wishes.sensible = random.below(3) == 0;
    const EncodePlan plan = tests::random_phase_plan(reference, group.place, group.frames, random, wishes);
    const Device turn = random.below(2) == 0 ? Device::reference : Device::cpu;
    const auto block = tests::forced_block(Device::reference, reference, plan, group.frames);
    REQUIRE(tests::forced_block(Device::cpu, cpu, plan, group.frames) == block);
    REQUIRE(tests::forced_block(turn, mixed, plan, group.frames) == block);
    check_phase_decodes(Device::reference, reference_reader, block, group.frames);
    check_phase_decodes(Device::cpu, cpu_reader, block, group.frames);
    check_phase_decodes(turn == Device::cpu ? Device::reference : Device::cpu, mixed_reader, block,
                        group.frames);
    for (TileState* other : {&cpu, &mixed, &reference_reader, &cpu_reader, &mixed_reader})
      REQUIRE(tests::same_state(reference, *other));
  }
}

}  // namespace

TEST_CASE("any plan of the phases comes back exactly, equal on every device and across a change of device",
          "[property][phases]") {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) check_phase_window(seed);
}

TEST_CASE("random damage to blocks of the phases gives an error or the exact pixels", "[property][phases]") {
  TestRandom random(98);
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const Example example = tests::make_example(seed, 2);
    auto writer = *TileState::create(example.tile);
    const auto views = example.frames.views();
    const GroupPlace place{0, static_cast<std::uint8_t>(example.window),
                           ~std::uint64_t{0} >> (64 - example.window), true};
    tests::PhaseWishes wishes;
    wishes.sentinels = example.sentinels;
    wishes.mask = example.mask;
    const EncodePlan plan = tests::random_phase_plan(writer, place, views, random, wishes);
    const tests::Sections good =
        tests::sections_of_block(tests::forced_block(Device::cpu, writer, plan, views));
    auto again = *TileState::create(example.tile);
    const auto block = tests::forced_block(Device::reference, again, plan, views);
    for (int round = 0; round < 60; ++round) {
      tests::Sections damaged = good;
      auto section = damaged.begin();
      std::advance(section, static_cast<std::ptrdiff_t>(random.below(damaged.size())));
      std::vector<std::byte>& bytes = section->second;
      for (std::uint64_t flips = random.below(4); flips > 0 && !bytes.empty(); --flips)
        bytes[random.below(bytes.size())] ^= static_cast<std::byte>(1u << random.below(8));
      if (random.below(8) == 0) bytes.resize(random.below(bytes.size() + 3));
      const auto hostile = tests::with_sections(block, damaged);
      for (const Device device : {Device::reference, Device::cpu}) {
        auto reader = *TileState::create(example.tile);
        FrameStack decoded(example.tile, example.window);
        const auto status = decode_group(device, reader, hostile, decoded.mutable_views());
        if (status.ok()) CHECK(decoded.pixels == example.frames.pixels);
      }
    }
  }
}
