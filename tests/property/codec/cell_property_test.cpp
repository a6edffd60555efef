// SPDX-License-Identifier: Apache-2.0
//
// Properties of the model cells: any tile, sparse or not, under the planner's choices and under others.
// A failure prints its seed.
#include <cstring>

#include <catch2/catch.hpp>

#include "kernels/format/frequencies.hpp"
#include "kernels/reference/plan_cells.hpp"
#include "tests/support/forced_block.hpp"
#include "tests/support/group_examples.hpp"

namespace {

using namespace ff;
using namespace ff::kernels;
using tests::Example;
using tests::FrameStack;
using tests::TestRandom;

void check_cell_decodes(Device device, TileState& reader, ByteSpan block, GroupFrames frames) {
  FrameStack decoded(reader.shape(), frames.size());
  const auto status = decode_group(device, reader, block, decoded.mutable_views());
  INFO((status.ok() ? "" : status.error().message));
  REQUIRE(status.ok());
  for (std::size_t t = 0; t < frames.size(); ++t) {
    const std::size_t bytes = reader.shape().bytes();
    REQUIRE(std::memcmp(decoded.pixels.data() + t * bytes, frames[t].pixels, bytes) == 0);
  }
}

// Frequencies of nothing: every symbol but a few is absent and escapes.
std::shared_ptr<const ContextTables> blind_tables(const ContextTables& classes, TestRandom& random) {
  std::vector<Histogram> counts(classes.pixel_contexts() + classes.value_keys.size(), Histogram{});
  for (std::size_t c = 0; c < counts.size(); ++c) {
    counts[c][kEscape] = 1;
    for (std::uint64_t i = random.below(4); i > 0; --i)
      counts[c][random.below(100)] += static_cast<std::uint32_t>(1 + random.below(50));
  }
  ContextTables blind = classes;
  blind.bits = static_cast<std::uint8_t>(11 + random.below(2));
  return std::make_shared<const ContextTables>(counted_tables(blind, counts));
}

EncodePlan random_plan(TileState& state, const tests::ExampleGroup& group, const EncodeOptions& options,
                       TestRandom& random) {
  EncodePlan plan = *reference::plan_cells(state.body(), group.place, group.frames, options);
  plan.group.streams = static_cast<std::uint8_t>(1u << random.below(4));
  if (random.below(2) == 0) plan.group.smoothing = static_cast<std::uint16_t>(random.below(32768));
  if (random.below(2) == 0) plan.group.mean_frames = static_cast<std::uint8_t>(1 + random.below(64));
  if (plan.setup && random.below(2) == 0) plan.setup->up = static_cast<std::uint8_t>(random.below(13));
  if (plan.tables && random.below(3) == 0) {
    plan.tables = blind_tables(*plan.tables, random);
    plan.count_frequencies = false;
  }
  return plan;
}

// One window; writers and readers on both devices, and a pair that changes its device.
void check_cell_window(std::uint64_t seed) {
  INFO("seed " << seed);
  const Example example = tests::make_example(seed);
  TestRandom random(seed ^ 0xce115);
  const auto state = [&] { return *TileState::create(example.tile); };
  auto reference = state(), cpu = state(), mixed = state();
  auto reference_reader = state(), cpu_reader = state(), mixed_reader = state();
  EncodeOptions options;
  options.mask = example.mask;
  options.sentinels = example.sentinels;
  for (const tests::ExampleGroup& group : tests::make_groups(example, random)) {
    const EncodePlan plan = random_plan(reference, group, options, random);
    const Device turn = random.below(2) == 0 ? Device::reference : Device::cpu;
    const auto block = tests::forced_block(Device::reference, reference, plan, group.frames);
    REQUIRE(tests::forced_block(Device::cpu, cpu, plan, group.frames) == block);
    REQUIRE(tests::forced_block(turn, mixed, plan, group.frames) == block);
    check_cell_decodes(Device::reference, reference_reader, block, group.frames);
    check_cell_decodes(Device::cpu, cpu_reader, block, group.frames);
    check_cell_decodes(turn == Device::cpu ? Device::reference : Device::cpu, mixed_reader, block,
                       group.frames);
    for (TileState* other : {&cpu, &mixed, &reference_reader, &cpu_reader, &mixed_reader})
      REQUIRE(tests::same_state(reference, *other));
  }
}

// Poisson-like counts of a few per hundred pixels.
FrameStack photon_starved(const FrameShape& tile, std::size_t frames, std::uint64_t seed) {
  return tests::counting_frames(tile, frames, 5, 5, seed);
}

// Bits of a group under the plan that the planner chose, and whether it chose cells.
struct Coded {
  std::size_t bytes = 0;
  bool cells = false;
};

Coded coded(const FrameStack& frames) {
  auto state = *TileState::create(frames.shape);
  const GroupPlace place{0, static_cast<std::uint8_t>(frames.count), (std::uint64_t{1} << frames.count) - 1,
                         true};
  const auto views = frames.views();
  const auto plan = plan_group(state, place, views, {});
  REQUIRE(plan.ok());
  std::vector<std::byte> block(encoded_size_bound(frames.shape, static_cast<std::uint32_t>(frames.count)));
  const auto bytes = encode_group(Device::cpu, state, **plan, views, block);
  REQUIRE(bytes.ok());
  return {*bytes, (*plan)->setup && (*plan)->setup->model == Model::cells};
}

}  // namespace

TEST_CASE("any tile comes back exactly as cells, equal on every device and across a change of device",
          "[property][cells]") {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) check_cell_window(seed);
}

TEST_CASE("photon-starved frames are planned as cells and take hardly more than their entropy",
          "[property][cells]") {
  // Sums of 32 trials of 5 / 8192: mean 0.0195, entropy 0.1393 bits a pixel.
  const FrameShape tile{Dtype::u16, 256, 256};
  const Coded sparse = coded(photon_starved(tile, 32, 3));
  CHECK(sparse.cells);
  CHECK(static_cast<double>(sparse.bytes) * 8 < 1.03 * 0.1393 * 32 * 256 * 256);
}

TEST_CASE("bright frames are not planned as cells", "[property][cells]") {
  CHECK_FALSE(coded(tests::counting_frames({Dtype::u16, 128, 128}, 8, 300, 2000, 4)).cells);
}

TEST_CASE("values from 3 up to the largest of the type, and sentinels, pass through cells",
          "[property][cells]") {
  for (const Dtype dtype : {Dtype::u8, Dtype::u16, Dtype::u32, Dtype::i32}) {
    const FrameShape tile{dtype, 33, 35};
    FrameStack frames(tile, 5);
    const ValueRange range = value_range(dtype);
    TestRandom random(11);
    for (std::size_t t = 0; t < 5; ++t) {
      for (int bit = 0; bit < 32; ++bit) {
        const std::int64_t value =
            std::min(range.high, (std::int64_t{1} << bit) + static_cast<std::int64_t>(random.below(4)));
        frames.set(t, static_cast<std::size_t>(bit) * 31 + 5, value);
      }
      frames.set(t, 700, range.high);
      frames.set(t, 701, range.high - 1);
    }
    const std::int64_t sentinels[] = {range.high};
    EncodeOptions options;
    options.sentinels = sentinels;
    auto writer = *TileState::create(tile);
    const GroupPlace place{0, 5, 31, true};
    const EncodePlan plan = *reference::plan_cells(writer.body(), place, frames.views(), options);
    const auto block = tests::forced_block(Device::cpu, writer, plan, frames.views());
    for (const Device device : {Device::reference, Device::cpu}) {
      auto reader = *TileState::create(tile);
      check_cell_decodes(device, reader, block, frames.views());
    }
  }
}
