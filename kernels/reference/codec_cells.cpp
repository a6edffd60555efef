// SPDX-License-Identifier: Apache-2.0
//
// Reference codec, model cells: all cells of a group first, then the values in them, then the lanes.
#include <array>

#include "kernels/format/frequencies.hpp"
#include "kernels/reference/cells.hpp"
#include "kernels/reference/codec_reference.hpp"
#include "kernels/reference/streams.hpp"

namespace ff::kernels::reference {
namespace {

/// A frame's symbols: its cells, padded to whole groups, and the first to the fourth value of each.
struct CellSymbols {
  std::vector<CellLevels> levels;
  std::vector<LaneRecord> cells;
  std::array<std::vector<LaneRecord>, kCellPixels> values;
};

using CellHistograms = std::vector<Histogram>;

std::span<LaneRecord, kLanes> group_of(std::vector<LaneRecord>& records, std::size_t g) noexcept {
  return std::span<LaneRecord, kLanes>(&records[g * kLanes], kLanes);
}

std::vector<CellSymbols> tokenize(TileState::Body& body, const GroupCoding& coding, GroupFrames frames) {
  PredictorState& state = *body.predictor;
  CellPredictor predictor(state, body.shape, coding.group);
  std::vector<CellSymbols> symbols;
  for (const FrameView& frame : frames) {
    CellSymbols& now = symbols.emplace_back();
    now.levels = cell_levels(state, frame);
    now.cells = predictor.contexts();
    for (std::size_t c = 0; c < now.levels.size(); ++c)
      now.cells[c].token = static_cast<std::uint8_t>(cell_token(now.levels[c].data()));
    predictor.learn(now.levels);
  }
  return symbols;
}

// A cell whose symbol the table lacks escapes: all its levels follow.
void escape_absent(const ContextTables& tables, std::vector<CellSymbols>& symbols) {
  for (CellSymbols& frame : symbols) {
    for (LaneRecord& cell : frame.cells) {
      if (cell.active && tables.frequencies[cell.context][cell.token] == 0) cell.token = kEscape;
    }
  }
}

// Values depend on those before them in time, so frames go forwards.
void add_values(PredictorState& state, std::vector<CellSymbols>& symbols) {
  ValueContexts contexts(*state.cells, *state.tables, state.setup.levels);
  for (CellSymbols& frame : symbols) {
    for (auto& values : frame.values) values.assign(frame.cells.size(), LaneRecord{});
    for (std::size_t c = 0; c < frame.levels.size(); ++c) {
      std::uint8_t earlier = 0;
      for (std::size_t p = 0; p < kCellPixels; ++p) {
        if (!frame.cells[c].active || !value_follows(frame.cells[c].token, p)) continue;
        LaneRecord& record = frame.values[p][c] = contexts.next(c, p, earlier);
        record.level = frame.levels[c][p];
        record.token = value_symbol(record.level).symbol;
        contexts.settle(c, p, record.level, earlier);
      }
    }
  }
}

void count(const std::vector<LaneRecord>& records, CellHistograms& counts) {
  for (const LaneRecord& record : records) counts[record.context][record.token] += record.active ? 1 : 0;
}

// Rare cells escape, and only then it is known which values there are.
void count_cells(PredictorState& state, const std::vector<CellSymbols>& symbols, CellHistograms& counts) {
  for (const CellSymbols& frame : symbols) count(frame.cells, counts);
  for (std::size_t c = 0; c < state.tables->pixel_contexts(); ++c)
    counts[c] = with_rare_escaped(counts[c], state.tables->bits);
}

std::shared_ptr<const ContextTables> tables_of(const ContextTables& classes, const CellHistograms& counts) {
  return std::make_shared<const ContextTables>(counted_tables(classes, counts));
}

void write_pixels(const PredictorState& state, const std::vector<CellLevels>& levels,
                  const MutableFrameView& frame) {
  const std::size_t width = dtype_bytes(frame.shape.dtype), cell_cols = cell_shape(frame.shape).cols;
  for (std::uint32_t row = 0; row < frame.shape.rows; ++row) {
    for (std::uint32_t col = 0; col < frame.shape.cols; ++col) {
      const std::size_t p = std::size_t{row} * frame.shape.cols + col;
      const std::uint8_t hidden = state.mask == nullptr ? 0 : state.mask->classes[p];
      const std::uint32_t level = levels[row / 2 * cell_cols + col / 2][row % 2 * 2 + col % 2];
      const std::int64_t value = hidden == 0 ? state.codec.value(level) : state.mask->values[hidden - 1u];
      store_pixel(frame.shape.dtype, frame.row(row) + col * width, value);
    }
  }
}

// One group of 32 cells: their symbols, then the first values of those that have one, then the second ...
void get_group(LaneDecoder& stream, std::size_t g, std::vector<LaneRecord>& cells, ValueContexts& contexts,
               std::uint32_t level_mask, std::vector<CellLevels>& levels) {
  const auto group = group_of(cells, g);
  stream.get_group(group);
  std::array<std::uint8_t, kLanes> earlier{};
  for (std::size_t p = 0; p < kCellPixels; ++p) {
    std::array<LaneRecord, kLanes> values{};
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      if (!group[lane].active) continue;
      levels[g * kLanes + lane][p] = cell_digit(group[lane].token, p);
      if (value_follows(group[lane].token, p))
        values[lane] = contexts.next(g * kLanes + lane, p, earlier[lane]);
    }
    stream.get_group(values);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const LaneRecord& value = values[lane];
      if (!value.active) continue;
      const std::uint32_t floor = value.token == kEscape ? 0 : value_floor(value.token);
      const std::uint32_t level = levels[g * kLanes + lane][p] = (floor + value.level) & level_mask;
      contexts.settle(g * kLanes + lane, p, level, earlier[lane]);
    }
  }
}

}  // namespace

std::optional<StreamWords> encode_cells(TileState::Body& body, const GroupCoding& coding, GroupFrames frames,
                                        std::size_t bytes_max) {
  PredictorState& state = *body.predictor;
  std::vector<CellSymbols> symbols = tokenize(body, coding, frames);
  CellHistograms counts(state.tables->pixel_contexts() + state.tables->value_keys.size(), Histogram{});
  if (coding.count_frequencies) {
    count_cells(state, symbols, counts);
    state.tables = tables_of(*state.tables, counts);
  }
  escape_absent(*state.tables, symbols);
  add_values(state, symbols);
  if (coding.count_frequencies) {
    for (const CellSymbols& frame : symbols) {
      for (const auto& values : frame.values) count(values, counts);
    }
    state.tables = tables_of(*state.tables, counts);
  }
  StreamEncoders streams(state, coding.group.streams, bytes_max);
  for (std::size_t t = frames.size(); t-- > 0;) {
    for (std::size_t g = symbols[t].cells.size() / kLanes; g-- > 0;) {
      LaneEncoder& stream = streams.of_group(g);
      for (std::size_t p = kCellPixels; p-- > 0;) stream.put_group(group_of(symbols[t].values[p], g));
      stream.put_group(group_of(symbols[t].cells, g));
    }
    if (!streams.within_limit()) return std::nullopt;
  }
  return streams.finish();
}

Status decode_cells(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  PredictorState& state = *body.predictor;
  CellPredictor predictor(state, body.shape, payload.group);
  ValueContexts contexts(*state.cells, *state.tables, state.setup.levels);
  StreamDecoders streams(state, payload);
  const auto level_mask = static_cast<std::uint32_t>((std::uint64_t{1} << state.setup.levels.level_bits) - 1);
  for (const MutableFrameView& frame : frames) {
    std::vector<LaneRecord> cells = predictor.contexts();
    std::vector<CellLevels> levels(cells.size(), CellLevels{});
    for (std::size_t g = 0; g < cells.size() / kLanes; ++g)
      get_group(streams.of_group(g), g, cells, contexts, level_mask, levels);
    levels.resize(cell_shape(body.shape).pixels());
    predictor.learn(levels);
    write_pixels(state, levels, frame);
  }
  return streams.end();
}

}  // namespace ff::kernels::reference
