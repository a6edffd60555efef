// SPDX-License-Identifier: Apache-2.0
//
// Golden blocks of the model phases. Their plans are drawn (tests/support/phase_plans.hpp) with the choices that a
// block is to show held fast; what a planner would choose is not the point.
#include "tests/golden/vector_series.hpp"
#include "tests/support/block_sections.hpp"
#include "tests/support/phase_plans.hpp"

namespace ff::golden {
namespace {

using tests::PhaseWishes;
using tests::TestRandom;

// Adds a block whose plan has the wishes; it must shrink, or it would be a raw block.
std::vector<std::byte> add_drawn(Series& series, const FrameStack& frames, GroupPlace where,
                                 PhaseWishes wishes, std::uint64_t seed, const std::string& shows) {
  TestRandom random(seed);
  wishes.sensible = true;
  const EncodePlan plan = tests::random_phase_plan(series.state(), where, frames.views(), random, wishes);
  const auto block = series.add_planned(frames, plan, shows);
  FF_CHECK(parse_block_header(block)->kind == BlockKind::predicted);
  FF_CHECK(block.size() < 6000);
  return block;
}

void set_everywhere(FrameStack& stack, std::int64_t value, auto&& where) {
  for (std::size_t t = 0; t < stack.count; ++t) {
    for (std::size_t p = 0; p < stack.shape.pixels(); ++p) {
      if (where(p)) stack.set(t, p, value);
    }
  }
}

void write_counting(const fs::path& to) {
  const FrameShape tile{Dtype::u16, 45, 67};
  Series series(to, "u16-phases-counting", tile);
  PhaseWishes wishes;
  wishes.source = ContextSource::rate;
  wishes.phases = PhaseSetup{3, 1, false};
  wishes.levels = LevelMap{16, LevelMapKind::offset, 0, {}, {}};
  wishes.table_bits = 11;
  wishes.streams = 1;
  wishes.classes = {{8, false, false, 0}, {64, true, true, 0}, {112, true, true, 0}, {40, true, false, 1}};
  add_drawn(series, tests::counting_frames(tile, 3, 64, 2560, 21), place(0, 3, all(3), true), wishes, 1,
            "phases: rate contexts split by the ratio, three key levels, odd sizes");
  wishes.hold = true;
  add_drawn(series, tests::counting_frames(tile, 2, 64, 2560, 22), place(3, 3, 0b101, false), wishes, 2,
            "phases: a missing frame; all weights held, the tables reused");
  wishes.hold = false;
  wishes.streams = 8;
  add_drawn(series, tests::counting_frames(tile, 2, 64, 2560, 23), place(6, 2, all(2), false), wishes, 3,
            "phases: some weights sent as differences, 8 streams");
}

void write_integrating(const fs::path& to) {
  const FrameShape tile{Dtype::u16, 28, 48};
  Series series(to, "u16-phases-integrating", tile);
  PhaseWishes wishes;
  wishes.source = ContextSource::scale;
  wishes.streams = 4;
  wishes.up = 4;
  wishes.classes = {{70, true, true, 0}, {60, true, true, 2}, {94, true, false, 4}};
  wishes.levels = LevelMap{16, LevelMapKind::offset, 900, {}, {}};
  add_drawn(series, tests::integrating_frames(tile, 2, 900, 1500, 30, 24), place(0, 2, all(2), true), wishes,
            4, "phases: scale contexts split by the fraction, raw bits, 4 streams");
}

void write_narrow(const fs::path& to) {
  {
    const FrameShape tile{Dtype::u8, 41, 40};
    FrameStack comb = tests::integrating_frames(tile, 3, 10, 40, 3, 25);
    std::vector<std::int64_t> used;
    for (std::int64_t v = 0; v < 256; v += 5) used.push_back(v);
    for (auto& pixel : comb.pixels) pixel = static_cast<std::byte>(std::to_integer<unsigned>(pixel) * 5);
    Series series(to, "u8-phases-comb", tile);
    PhaseWishes wishes;
    wishes.levels = LevelMap{8, LevelMapKind::packed, 0, {}, used};
    wishes.classes = {{130, false, false, 0}, {94, false, true, 0}};
    wishes.source = ContextSource::rate;
    add_drawn(series, comb, place(0, 3, all(3), true), wishes, 5, "phases: packed levels, classes of values");
  }
  {
    const FrameShape tile{Dtype::u16, 2, 2};
    Series series(to, "u16-phases-2x2", tile);
    PhaseWishes wishes;
    wishes.phases = PhaseSetup{1, 1, true};
    wishes.streams = 1;
    wishes.hold = true;
    wishes.classes = {{224, true, false, 0}};
    const FrameStack frames = tests::counting_frames(tile, 64, 2560, 2560, 26);
    add_drawn(series, frames, place(0, 64, ~std::uint64_t{0}, true), wishes, 6,
              "phases: the smallest tile; every neighbour is the same pixel");
  }
}

void write_signed(const fs::path& to) {
  const FrameShape tile{Dtype::i32, 33, 50};
  static constexpr std::int64_t kSentinels[] = {-1, -2};
  FrameStack frames = tests::counting_frames(tile, 2, 256, 2048, 27);
  std::vector<std::uint8_t> mask(tile.pixels(), 0);
  for (std::size_t p = 0; p < mask.size(); ++p) mask[p] = p / 50 == 6 || p % 50 == 20 || p % 97 == 11;
  set_everywhere(frames, -1, [&](std::size_t p) { return mask[p] != 0; });
  set_everywhere(frames, -2, [](std::size_t p) { return p == 8 * 50 + 9; });  // not in the mask
  frames.set(1, 300, -1);
  Series series(to, "i32-phases-masked", tile);
  PhaseWishes wishes;
  wishes.sentinels = kSentinels;
  wishes.mask = mask;
  wishes.levels = LevelMap{16, LevelMapKind::offset, 0, {-1, -2}, {}};
  add_drawn(series, frames, place(0, 2, all(2), true), wishes, 7,
            "phases: 32-bit pixels in 16-bit levels, masked pixels, sentinels that are not masked");
}

void write_wide(const fs::path& to) {
  {
    const FrameShape tile{Dtype::u32, 22, 31};
    Series series(to, "u32-phases-shifted", tile);
    PhaseWishes wishes;
    wishes.levels = LevelMap{32, LevelMapKind::offset, 0, {}, {}};
    wishes.source = ContextSource::scale;
    wishes.up = 0;
    wishes.down = 6;
    wishes.classes = {{224, true, false, 8}};
    FrameStack slope = tests::integrating_frames(tile, 3, 1000000, 1000300, 900, 28);
    for (std::size_t i = 0; i < slope.pixels.size(); i += 4) {
      const std::size_t p = i / 4 % tile.pixels();
      const auto height = static_cast<std::uint32_t>(700 * (p / tile.cols) + 400 * (p % tile.cols));
      store_le(slope.pixels.data() + i, load_le<std::uint32_t>(slope.pixels.data() + i) + height);
    }
    add_drawn(series, slope, place(0, 3, all(3), true), wishes, 8,
              "phases: 32-bit levels, state shifted down, 8 raw bits");
  }
  {
    const FrameShape tile{Dtype::u16, 48, 65};
    Series series(to, "u16-phases-max", tile);
    PhaseWishes wishes;
    wishes.phases = PhaseSetup{5, 2, true};
    wishes.levels = LevelMap{16, LevelMapKind::offset, 0, {}, {}};
    wishes.table_bits = 12;
    wishes.streams = 2;
    wishes.source = ContextSource::rate;
    add_drawn(series, tests::counting_frames(tile, 3, 16, 1280, 29), place(0, 3, all(3), true), wishes, 9,
              "phases: five key levels, two levels later, more neighbours, 12-bit tables, 2 streams");
  }
}

// A small block to damage, and the plan that made it.
struct Sound {
  EncodePlan plan;
  std::vector<std::byte> block;
};

Sound sound_block(std::uint8_t up, ContextSource source) {
  const FrameShape tile{Dtype::u16, 19, 33};
  const FrameStack frames = tests::counting_frames(tile, 2, 64, 512, 30);
  PhaseWishes wishes;
  wishes.sensible = true;
  wishes.source = source;
  wishes.up = up;
  wishes.phases = PhaseSetup{2, 1, false};
  wishes.count = false;
  wishes.streams = 1;
  wishes.classes = {{224, true, false, 0}};
  TestRandom random(10);
  TileState state = *TileState::create(tile);
  Sound sound;
  sound.plan = tests::random_phase_plan(state, place(0, 2, all(2), true), frames.views(), random, wishes);
  Histogram counts{};
  for (std::size_t s = 120; s < 140; ++s) counts[s] = 10;
  sound.plan.tables = std::make_shared<const ContextTables>(counted_tables(*sound.plan.tables, {{counts}}));
  sound.block.resize(encoded_size_bound(tile, 2));
  sound.block.resize(*encode_group(Device::reference, state, sound.plan, frames.views(), sound.block));
  FF_CHECK(parse_block_header(sound.block)->kind == BlockKind::predicted);
  return sound;
}

// The mix section of weights that no encoder has: what the writer does not check, the reader must.
std::vector<std::byte> mix_section(const EncodePlan& plan) {
  BitWriter out;
  write_frame_mixes(plan.mixes, plan.tile.rows, plan.tile.cols, plan.setup->phases, true,
                    FrameMix(plane_count(plan.setup->phases.later_levels)), out);
  return {out.bytes().begin(), out.bytes().end()};
}

void write_mix_defects(const fs::path& to, const Sound& sound) {
  const auto defect = [&](const std::string& name, auto&& damage) {
    tests::Sections sections = tests::sections_of_block(sound.block);
    damage(sections);
    write_defect(to, name, "malformed", tests::with_sections(sound.block, sections));
  };
  const auto weights = [&](const std::string& name, auto&& change) {
    defect(name, [&](tests::Sections& sections) {
      EncodePlan plan = sound.plan;
      change(*plan.mixes[0][1]);
      sections[SectionId::mix] = mix_section(plan);
    });
  };
  defect("phases_mix_missing", [](auto& sections) { sections.erase(SectionId::mix); });
  defect("phases_mix_empty", [](auto& sections) { sections[SectionId::mix].clear(); });
  defect("phases_mix_cut_short", [](auto& sections) { sections[SectionId::mix].pop_back(); });
  defect("phases_mix_too_long", [](auto& sections) { sections[SectionId::mix].push_back(std::byte{0}); });
  defect("phases_mix_held_without_past",
         [](auto& sections) { sections[SectionId::mix][0] &= std::byte{0xfe}; });
  weights("phases_weights_above_their_sum", [](PlaneMix& mix) { mix.weights[0] = mix.weights[1] = 16400; });
  weights("phases_scale_weights_above_their_sum",
          [](PlaneMix& mix) { mix.scale_weights[2] = mix.scale_weights[3] = 16448; });
  weights("phases_scale_weight_negative", [](PlaneMix& mix) { mix.scale_weights[3] = -64; });
  weights("phases_bias_out_of_range", [](PlaneMix& mix) { mix.bias = -32768; });
}

void write_setup_defects(const fs::path& to, const Sound& sound) {
  const auto defect = [&](const std::string& name, auto&& change) {
    EncodePlan plan = sound.plan;
    change(plan);
    tests::Sections sections = tests::sections_of_block(sound.block);
    for (auto& [id, body] : tests::sections_of_plan(plan)) sections[id] = body;
    write_defect(to, name, "malformed", tests::with_sections(sound.block, sections));
  };
  defect("phases_key_levels_do_not_fit", [](EncodePlan& plan) { plan.setup->phases.key_levels = 5; });
  defect("phases_later_levels_do_not_fit", [](EncodePlan& plan) { plan.setup->phases.later_levels = 5; });
  defect("phases_seven_levels", [](EncodePlan& plan) { plan.setup->phases.key_levels = 7; });
  defect("phases_with_prior", [](EncodePlan& plan) {
    plan.prior = Prior{6, 1, 0, {0}, {}};
    plan.setup->source = ContextSource::rate;
  });
  defect("phases_model_unknown", [](EncodePlan& plan) { plan.setup->model = static_cast<Model>(2); });
  defect("smooth_with_mix", [](EncodePlan& plan) { plan.setup->model = Model::smooth; });
  defect("phases_split_without_fraction", [](EncodePlan& plan) {
    auto tables = *plan.tables;
    tables.classes[0].split = true;
    tables.frequencies.resize(4, tables.frequencies[0]);
    plan.tables = std::make_shared<const ContextTables>(tables);
  });
}

}  // namespace

void write_phase_vectors(const fs::path& to) {
  write_counting(to);
  write_integrating(to);
  write_narrow(to);
  write_signed(to);
  write_wide(to);
}

void write_phase_defects(const fs::path& to) {
  const Sound sound = sound_block(1, ContextSource::scale);
  write_feature_defect(to, "feature_four_phases_missing", Feature::four_phases, sound.block);
  write_feature_defect(to, "feature_sparse_beside_phases", Feature::sparse, sound.block);
  write_mix_defects(to, sound);
  write_setup_defects(to, sound);
}

}  // namespace ff::golden
