// SPDX-License-Identifier: Apache-2.0
//
// Golden blocks of the model cells, planned as cells whatever the planner would weigh them against.
#include "kernels/reference/plan_cells.hpp"
#include "tests/golden/vector_series.hpp"
#include "tests/support/block_sections.hpp"

namespace ff::golden {
namespace {

using tests::TestRandom;

// Photons at `rate_256` / 256 a pixel, and reflections that stay: a few pixels with large values.
FrameStack spots(const FrameShape& tile, std::size_t count, std::uint64_t rate_256, std::uint64_t seed) {
  FrameStack stack = tests::counting_frames(tile, count, rate_256, rate_256, seed);
  const ValueRange range = value_range(tile.dtype);
  TestRandom random(seed + 1);
  for (int spot = 0; spot < 9; ++spot) {
    const std::size_t pixel = random.below(tile.pixels() - 1);
    const std::int64_t height = std::int64_t{1} << (3 + spot);
    for (std::size_t t = 0; t < count; ++t) {
      const auto noise = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(height)));
      stack.set(t, pixel, std::min(range.high, height + noise));
      stack.set(t, pixel + 1, std::min(range.high, (height + noise) / 3));
    }
  }
  return stack;
}

std::vector<std::byte> add_cells(Series& series, const FrameStack& frames, GroupPlace where,
                                 const std::string& shows, const EncodeOptions& options = {},
                                 int streams = 1) {
  auto& state = const_cast<TileState&>(series.state());
  EncodePlan plan = *reference::plan_cells(state.body(), where, frames.views(), options);
  plan.group.streams = static_cast<std::uint8_t>(streams);
  const auto block = series.add_planned(frames, plan, shows);
  FF_CHECK(parse_block_header(block)->kind == BlockKind::predicted);
  return block;
}

std::vector<std::byte> write_spots(const fs::path& to) {
  const FrameShape tile{Dtype::u16, 47, 67};
  Series series(to, "u16-cells-spots", tile);
  const auto block =
      add_cells(series, spots(tile, 4, 8, 41), place(0, 4, all(4), true),
                "cells: odd sizes, values by the pixel's last one and by the one before in the cell");
  add_cells(series, spots(tile, 2, 8, 41), place(4, 3, 0b101, false),
            "cells: a missing frame, the state goes on");
  add_cells(series, spots(tile, 2, 60, 43), place(7, 2, all(2), false),
            "cells: a brighter group whose symbols the tables may lack", {}, 4);
  return block;
}

void write_masked(const fs::path& to) {
  const FrameShape tile{Dtype::i32, 30, 41};
  static constexpr std::int64_t kSentinels[] = {-1, -2};
  FrameStack frames = spots(tile, 3, 30, 44);
  std::vector<std::uint8_t> mask(tile.pixels(), 0);
  for (std::size_t p = 0; p < mask.size(); ++p)
    mask[p] = p / 41 / 4 == 2 || p % 41 == 20 || p % 97 == 11 ? 1 : 0;
  for (std::size_t t = 0; t < frames.count; ++t) {
    for (std::size_t p = 0; p < mask.size(); ++p) {
      if (mask[p] != 0) frames.set(t, p, -1);
    }
    frames.set(t, 300 + t, -2);
  }
  EncodeOptions options;
  options.mask = mask;
  options.sentinels = kSentinels;
  Series series(to, "i32-cells-masked", tile);
  add_cells(series, frames, place(0, 3, all(3), true),
            "cells: masked cells, cells with a masked pixel, sentinels that are not masked", options);
}

void write_wide(const fs::path& to) {
  const FrameShape tile{Dtype::u32, 40, 38};
  FrameStack frames = spots(tile, 2, 4, 45);
  frames.set(0, 500, 0x89abcdef);
  frames.set(1, 500, 0xfedcba98);
  frames.set(1, 501, 70000);
  Series series(to, "u32-cells-wide", tile);
  add_cells(series, frames, place(0, 2, all(2), true), "cells: 32-bit levels, values with two raw steps");
}

}  // namespace

void write_cell_vectors(const fs::path& to) {
  write_spots(to);
  write_masked(to);
  write_wide(to);
  const FrameShape tile{Dtype::u8, 1, 64};
  Series series(to, "u8-cells-one-row", tile);
  add_cells(series, tests::counting_frames(tile, 60, 6, 6, 46), place(0, 60, all(60), true),
            "cells: one row of pixels; 8-bit levels");
}

void write_cell_defects(const fs::path& to) {
  const FrameShape tile{Dtype::u16, 48, 67};
  auto state = *TileState::create(tile);
  const FrameStack frames = spots(tile, 4, 8, 47);
  const EncodePlan plan = *reference::plan_cells(state.body(), place(0, 4, all(4), true), frames.views(), {});
  std::vector<std::byte> sound(encoded_size_bound(tile, 4));
  sound.resize(*encode_group(Device::reference, state, plan, frames.views(), sound));
  const auto defect = [&](const std::string& name, auto&& damage) {
    tests::Sections sections = tests::sections_of_block(sound);
    damage(sections);
    write_defect(to, name, "malformed", tests::with_sections(sound, sections));
  };
  write_feature_defect(to, "feature_sparse_missing", Feature::sparse, sound);
  defect("cells_values_missing", [](auto& sections) { sections.erase(SectionId::values); });
  defect("cells_values_without_tables", [](auto& sections) { sections.erase(SectionId::tables); });
  defect("cells_values_too_long",
         [](auto& sections) { sections[SectionId::values].push_back(std::byte{0}); });
  defect("cells_with_scale", [](auto& sections) { sections[SectionId::setup][0] |= std::byte{4}; });
  defect("cells_as_smooth", [](auto& sections) { sections[SectionId::setup][0] &= std::byte{0xfc}; });
  defect("cells_split_class", [](auto& sections) {
    ContextTables tables;
    tables.bits = 12;
    tables.classes = {{224, false, true, 0}};
    tables.frequencies.resize(4);
    for (Frequencies& f : tables.frequencies) f[0] = 4095, f[kEscape] = 1;
    BitWriter out;
    write_context_tables(tables, out);
    sections[SectionId::tables] = {out.bytes().begin(), out.bytes().end()};
  });
  defect("cells_value_symbol_124", [](auto& sections) {
    ContextTables tables;
    tables.bits = 12;
    tables.value_keys = {128};
    tables.frequencies.resize(1);
    tables.frequencies[0][124] = 4095;
    tables.frequencies[0][kEscape] = 1;
    BitWriter out;
    write_value_tables(tables, out);
    sections[SectionId::values] = {out.bytes().begin(), out.bytes().end()};
  });
}

}  // namespace ff::golden
