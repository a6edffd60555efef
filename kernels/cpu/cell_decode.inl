// SPDX-License-Identifier: Apache-2.0
//
// Decoding cells, frame by frame: contexts, lanes with the few values, then rows of pixels. Part of cell_codec.inl.

inline void refill_lane(CellStream& stream, std::size_t lane) noexcept {
  std::uint32_t& x = stream.state[lane];
  if (x < kLaneStart) x = x << 16 | *stream.in++;
}

// A value that is being decoded, in its lane.
struct LaneValue {
  std::uint8_t lane = 0, symbol = 0, bits = 0;
  std::uint32_t raw = 0;
};

// Values of one group, behind its symbols; the cells that have some join `found`.
inline void get_values(CellStream& stream, std::size_t first_cell, const std::uint16_t* tokens,
                       ValueMemory& memory, const ValueTables& tables,
                       const std::vector<std::uint32_t>& entries, unsigned level_bits,
                       std::vector<ValueCell>& found) noexcept {
  const auto level_mask = static_cast<std::uint32_t>((std::uint64_t{1} << level_bits) - 1);
  const std::uint32_t slot_mask = (1u << tables.bits) - 1;
  std::array<std::array<std::uint32_t, kCellPixels>, kLanes> levels{};
  std::array<std::uint8_t, kLanes> earlier{};
  std::array<LaneValue, kLanes> values;
  for (std::size_t p = 0; p < kCellPixels; ++p) {
    std::size_t count = 0;
    for (std::uint8_t lane = 0; lane < kLanes; ++lane) {
      levels[lane][p] = cell_digit(tokens[lane], p);
      if (levels[lane][p] != kDigitMax) continue;
      const std::uint32_t context = memory.context(first_cell + lane, p, earlier[lane]);
      std::uint32_t& x = stream.state[lane];
      const std::uint32_t entry = entries[context << tables.bits | (x & slot_mask)];
      x = (entry >> 20) * (x >> tables.bits) + (entry >> 8 & 0xfff);
      refill_lane(stream, lane);
      const auto symbol = static_cast<std::uint8_t>(entry);
      values[count++] = {lane, symbol,
                         static_cast<std::uint8_t>(symbol == kEscape ? level_bits : value_raw_bits(symbol)),
                         0};
    }
    const auto step = [&](auto&& bits_of) {
      for (std::size_t i = 0; i < count; ++i) {
        const unsigned bits = bits_of(values[i].bits);
        if (bits == 0) continue;
        std::uint32_t& x = stream.state[values[i].lane];
        values[i].raw = values[i].raw << bits | (x & ((1u << bits) - 1));
        x >>= bits;
        refill_lane(stream, values[i].lane);
      }
    };
    step([](unsigned bits) { return bits > 16 ? bits - 16 : bits; });
    step([](unsigned bits) { return bits > 16 ? 16u : 0u; });
    for (std::size_t i = 0; i < count; ++i) {
      const LaneValue& value = values[i];
      const std::uint32_t floor = value.symbol == kEscape ? 0 : value_floor(value.symbol);
      const std::uint32_t level = levels[value.lane][p] = (floor + value.raw) & level_mask;
      memory.settle(first_cell + value.lane, p, level, earlier[value.lane]);
    }
  }
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    if (has_values(tokens[lane]))
      found.push_back({static_cast<std::uint32_t>(first_cell + lane), levels[lane]});
  }
}

// Sums and pixels of a decoded frame's rows; `valued` are its cells with values, ascending.
template <typename Level>
void finish_cell_rows(const FrameShape& shape, const std::uint16_t* tokens, std::span<const ValueCell> valued,
                      std::uint64_t first_sentinel, CellRowPredictor& predictor, CellRows<Level>& rows,
                      std::uint16_t* sums, const MutableFrameView& frame) {
  std::size_t next = 0;
  for (std::uint32_t row = 0; row < shape.rows; ++row) {
    const std::size_t at = std::size_t{row} * shape.cols;
    for (std::size_t c = 0; c < shape.cols; ++c) {
      const std::uint32_t token = tokens[at + c];
      const std::uint32_t pairs = (token & 0x33) + (token >> 2 & 0x33);
      sums[c] = static_cast<std::uint16_t>((pairs & 15) + (pairs >> 4));
    }
    rows.unpack(shape.cols, tokens + at);
    for (; next < valued.size() && valued[next].cell < at + shape.cols; ++next) {
      rows.set(valued[next].cell - at, valued[next].levels);
      sums[valued[next].cell - at] = sum_of_cell(valued[next].levels, first_sentinel);
    }
    predictor.learn_row(row, sums);
    rows.write(frame, row);
  }
}

template <typename Level>
Status decode_cells_typed(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  PredictorState& state = *body.predictor;
  const unsigned level_bits = state.setup.levels.level_bits;
  const FrameShape shape = cell_shape(body.shape);
  const std::size_t cells = shape.pixels(), groups = (cells + kLanes - 1) / kLanes;
  const auto contexts = std::make_unique_for_overwrite<CellSymbol[]>(groups * kLanes + 64);
  const auto tokens = std::make_unique_for_overwrite<std::uint16_t[]>(groups * kLanes + 64);
  std::vector<std::uint16_t> bases(shape.cols + 128), sums(shape.cols + 128);
  const std::vector<std::uint32_t> entries = decoder_entries(*state.tables);
  const ValueTables tables(*state.tables);
  ValueMemory memory(*state.cells, *state.tables, state.setup.levels);
  CellRowPredictor predictor(shape, state.cells->image, payload.group);
  CellRows<Level> rows(body.shape, state);
  std::vector<CellStream> streams(payload.group.streams);
  for (std::size_t s = 0; s < streams.size(); ++s) streams[s].open(payload.streams[s]);
  std::vector<ValueCell> valued;
  for (const MutableFrameView& frame : frames) {
    for (std::uint32_t row = 0; row < shape.rows; ++row)
      predictor.predict_row(row, contexts.get() + std::size_t{row} * shape.cols, bases.data());
    std::fill_n(contexts.get() + cells, kLanes, kInactive);
    valued.clear();
    for (std::size_t g = 0; g < groups; ++g) {
      CellStream& stream = streams[g % streams.size()];
      std::uint16_t* group_tokens = tokens.get() + g * kLanes;
      if (get_cells(stream, contexts.get() + g * kLanes, entries.data(), tables.bits, group_tokens))
          [[unlikely]]
        get_values(stream, g * kLanes, group_tokens, memory, tables, entries, level_bits, valued);
      if (stream.in > stream.in_end) [[unlikely]] {
        stream.in = stream.in_end;
        stream.ran_out = true;
      }
    }
    finish_cell_rows(shape, tokens.get(), valued, memory.first_sentinel, predictor, rows, sums.data(), frame);
    predictor.end_frame();
  }
  return lanes_status(std::ranges::all_of(streams, [](const CellStream& stream) {
    const bool at_start = std::ranges::all_of(stream.state, [](std::uint32_t x) { return x == kLaneStart; });
    return !stream.ran_out && stream.in == stream.in_end && at_start;
  }));
}

Status decode_cells(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  return with_level_type(
      body, [&](auto level) { return decode_cells_typed<decltype(level)>(body, payload, frames); });
}
