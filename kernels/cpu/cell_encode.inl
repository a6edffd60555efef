// SPDX-License-Identifier: Apache-2.0
//
// Encoding cells: symbols of the whole group, then the values in them, then the lanes from the last group to the
// first. Part of cell_codec.inl.

struct CellGroup {
  std::size_t cells = 0, stride = 0;                ///< of a frame; padded to whole groups
  std::unique_ptr<CellSymbol[]> symbols;            ///< frame after frame
  std::vector<std::vector<ValueCell>> value_cells;  ///< of each frame, ascending
  std::vector<std::vector<ValueRecord>> values;     ///< of each frame, by cell and pixel

  [[nodiscard]] CellSymbol* frame(std::size_t t) const noexcept { return symbols.get() + t * stride; }
};

// Calls visit(c) for the few cells whose symbols pass the test, which is asked of eight at a time without a branch;
// with skip_zeros, not of groups in which all tokens are 0. Groups are read whole.
template <typename Test, typename Visit>
void for_each_found(const CellSymbol* symbols, std::size_t count, bool skip_zeros, Test&& test,
                    Visit&& visit) {
  constexpr std::size_t kLook = 8;
  for (std::size_t first = 0; first < count; first += kLook) {
    if (skip_zeros && first % kLanes == 0) {
      std::uint32_t any = 0;
      for (std::size_t k = 0; k < kLanes; ++k) any |= symbols[first + k];
      if ((any & 255u) == 0) {
        first += kLanes - kLook;
        continue;
      }
    }
    const std::size_t end = std::min(first + kLook, count);
    if (end == first + kLook) {
      std::uint32_t any = 0;
      for (std::size_t k = 0; k < kLook; ++k) any |= test(symbols[first + k]);
      if (any == 0) [[likely]]
        continue;
    }
    for (std::size_t c = first; c < end; ++c) {
      if (test(symbols[c]) != 0) visit(c);
    }
  }
}

template <typename Level>
CellGroup tokenize_cells(TileState::Body& body, const GroupSetup& setup, GroupFrames frames) {
  PredictorState& state = *body.predictor;
  const FrameShape shape = cell_shape(body.shape);
  const std::uint64_t first_sentinel =
      ValueMemory(*state.cells, *state.tables, state.setup.levels).first_sentinel;
  CellGroup group;
  group.cells = shape.pixels();
  group.stride = (group.cells + kLanes - 1) / kLanes * kLanes + 64;
  group.symbols = std::make_unique_for_overwrite<CellSymbol[]>(group.stride * frames.size());
  CellRowPredictor predictor(shape, state.cells->image, setup);
  CellRows<Level> rows(body.shape, state);
  std::vector<std::uint16_t> bases(shape.cols + 128), sums(shape.cols + 128);
  for (std::size_t t = 0; t < frames.size(); ++t) {
    auto& found = group.value_cells.emplace_back();
    for (std::uint32_t row = 0; row < shape.rows; ++row) {
      const std::size_t at = std::size_t{row} * shape.cols;
      CellSymbol* symbols = group.frame(t) + at;
      rows.read(frames[t], row);
      predictor.predict_row(row, symbols, bases.data());
      if (rows.pack(shape.cols, symbols, sums.data())) {
        const auto valued = [](std::uint32_t symbol) { return symbol & symbol >> 1 & 0x55u; };
        for_each_found(symbols, shape.cols, false, valued, [&](std::size_t c) {
          found.push_back({static_cast<std::uint32_t>(at + c), rows.cell(c)});
          sums[c] = sum_of_cell(found.back().levels, first_sentinel);
        });
      }
      predictor.learn_row(row, sums.data());
    }
    std::fill_n(group.frame(t) + group.cells, kLanes, kInactive);
    predictor.end_frame();
  }
  return group;
}

inline void count_cells(const CellGroup& group, std::size_t frames, std::vector<Histogram>& counts) {
  // Several counters for each symbol: the likeliest one would wait for itself.
  constexpr std::size_t kWays = 4;
  std::vector<std::uint32_t> ways(kWays * kContextsMax * kSymbols, 0);
  for (std::size_t t = 0; t < frames; ++t) {
    const CellSymbol* symbols = group.frame(t);
    for (std::size_t c = 0; c < group.cells; ++c) {
      if (symbols[c] != kInactive) ++ways[c % kWays * kContextsMax * kSymbols + symbols[c]];
    }
  }
  for (std::size_t way = 0; way < kWays; ++way) {
    for (std::size_t i = 0; i < counts.size() * kSymbols; ++i)
      counts[i / kSymbols][i % kSymbols] += ways[way * kContextsMax * kSymbols + i];
  }
}

// By symbol: 1 where the tables lack it, 2 where it has values. The last entry is for idle cells.
inline std::vector<std::uint8_t> symbol_kinds(const ContextTables& tables) {
  std::vector<std::uint8_t> kinds(tables.pixel_contexts() * kSymbols + 1, 0);
  for (std::uint32_t i = 0; i + 1 < kinds.size(); ++i) {
    const bool absent = tables.frequencies[i / kSymbols][i % kSymbols] == 0;
    kinds[i] = static_cast<std::uint8_t>((absent ? 1 : 0) | (has_values(i & 255u) ? 2 : 0));
  }
  return kinds;
}

// Cells whose symbols the tables lack escape, and so have values too.
inline void escape_absent(const ContextTables& tables, CellGroup& group, std::size_t frames) {
  const std::vector<std::uint8_t> kinds = symbol_kinds(tables);
  const auto kind = [&](CellSymbol symbol) -> std::uint32_t {
    return kinds[std::min<std::size_t>(symbol, kinds.size() - 1)];
  };
  bool zero_found = false;
  for (std::size_t i = 0; i < kinds.size(); i += kSymbols) zero_found = zero_found || kinds[i] != 0;
  for (std::size_t t = 0; t < frames; ++t) {
    CellSymbol* symbols = group.frame(t);
    std::vector<ValueCell> known = std::move(group.value_cells[t]);
    std::vector<ValueCell>& cells = group.value_cells[t] = {};
    std::size_t next = 0;
    for_each_found(symbols, group.cells, !zero_found, kind, [&](std::size_t c) {
      const std::uint32_t token = symbols[c] & 255u;
      const bool lacks = (kind(symbols[c]) & 1) != 0;
      if (has_values(token)) {
        cells.push_back(known[next++]);
      } else {
        ValueCell& cell = cells.emplace_back();
        cell.cell = static_cast<std::uint32_t>(c);
        for (std::size_t p = 0; p < kCellPixels; ++p) cell.levels[p] = cell_digit(token, p);
      }
      if (lacks) symbols[c] = static_cast<CellSymbol>(symbols[c] | kEscape);
    });
  }
}

inline void make_values(PredictorState& state, CellGroup& group) {
  ValueMemory memory(*state.cells, *state.tables, state.setup.levels);
  for (std::size_t t = 0; t < group.value_cells.size(); ++t) {
    auto& values = group.values.emplace_back();
    for (const ValueCell& cell : group.value_cells[t]) {
      const std::uint32_t token = group.frame(t)[cell.cell] & 255u;
      std::uint8_t earlier = 0;
      for (std::uint8_t p = 0; p < kCellPixels; ++p) {
        if (cell_digit(token, p) != kDigitMax) continue;
        const ValueSymbol value = value_symbol(cell.levels[p]);
        values.push_back({cell.cell, cell.levels[p], p, memory.context(cell.cell, p, earlier), value.symbol,
                          value.raw_bits});
        memory.settle(cell.cell, p, cell.levels[p], earlier);
      }
    }
  }
}

// Counts and replaces the tables: rare cells escape, and only then it is known which values there are.
inline void count_group(PredictorState& state, CellGroup& group, std::size_t frames) {
  const std::size_t contexts = state.tables->pixel_contexts() + state.tables->value_keys.size();
  std::vector<Histogram> counts(contexts, Histogram{});
  count_cells(group, frames, counts);
  for (std::size_t c = 0; c < state.tables->pixel_contexts(); ++c)
    counts[c] = with_rare_escaped(counts[c], state.tables->bits);
  escape_absent(counted_tables(*state.tables, counts), group, frames);
  make_values(state, group);
  for (const auto& values : group.values) {
    for (const ValueRecord& value : values) ++counts[value.context][value.symbol];
  }
  state.tables = std::make_shared<const ContextTables>(counted_tables(*state.tables, counts));
}

inline void put_raw_step(CellStream& stream, std::size_t lane, std::uint32_t value, unsigned bits) noexcept {
  std::uint32_t& x = stream.state[lane];
  if ((std::uint64_t{x} << bits) >> 32 != 0) {
    *--stream.out = static_cast<std::uint16_t>(x);
    x >>= 16;
  }
  x = x << bits | (value & ((1u << bits) - 1));
}

// Values of one group's pixels `pixel`, backwards: raw steps, then symbols.
inline void put_values(CellStream& stream, std::span<const ValueRecord> values, std::size_t pixel,
                       const ValueTables& tables, unsigned level_bits) noexcept {
  const auto each = [&](auto&& put) {
    for (std::size_t i = values.size(); i-- > 0;) {
      const ValueRecord& value = values[i];
      if (value.pixel != pixel) continue;
      const bool escapes = tables.frequencies[value.context][value.symbol] == 0;
      put(value, value.cell % kLanes, escapes ? kEscape : value.symbol,
          escapes ? level_bits : value.raw_bits);
    }
  };
  each([&](const ValueRecord& value, std::size_t lane, std::uint8_t, unsigned bits) {
    if (bits > 16) put_raw_step(stream, lane, value.level, 16);
  });
  each([&](const ValueRecord& value, std::size_t lane, std::uint8_t, unsigned bits) {
    if (bits != 0)
      put_raw_step(stream, lane, bits > 16 ? value.level >> 16 : value.level, bits > 16 ? bits - 16 : bits);
  });
  each([&](const ValueRecord& value, std::size_t lane, std::uint8_t symbol, unsigned) {
    std::uint32_t& x = stream.state[lane];
    const std::uint32_t f = tables.frequencies[value.context][symbol];
    if (x >> (32 - tables.bits) >= f) {
      *--stream.out = static_cast<std::uint16_t>(x);
      x >>= 16;
    }
    x = (x / f << tables.bits) + x % f + tables.starts[value.context][symbol];
  });
}

// Lanes of a frame, last group first.
inline void put_cell_frame(std::span<CellStream> streams, const CellGroup& group, std::size_t t,
                           const CellEntries& entries, const ValueTables& tables,
                           unsigned level_bits) noexcept {
  const std::span<const ValueRecord> values = group.values[t];
  std::size_t end = values.size();
  for (std::size_t g = (group.cells + kLanes - 1) / kLanes; g-- > 0;) {
    CellStream& stream = streams[g % streams.size()];
    std::size_t begin = end;
    while (begin > 0 && values[begin - 1].cell >= g * kLanes) --begin;
    for (std::size_t p = kCellPixels; begin != end && p-- > 0;)
      put_values(stream, values.subspan(begin, end - begin), p, tables, level_bits);
    end = begin;
    put_cells(stream, group.frame(t) + g * kLanes, entries, tables.bits);
  }
}

template <typename Level>
std::optional<StreamWords> encode_cells_typed(TileState::Body& body, const GroupCoding& coding,
                                              GroupFrames frames, std::size_t bytes_max) {
  PredictorState& state = *body.predictor;
  const unsigned level_bits = state.setup.levels.level_bits;
  CellGroup group = tokenize_cells<Level>(body, coding.group, frames);
  if (coding.count_frequencies) {
    count_group(state, group, frames.size());
  } else {
    escape_absent(*state.tables, group, frames.size());
    make_values(state, group);
  }
  const ValueTables tables(*state.tables);
  const CellEntries entries = cell_encoder_entries(*state.tables);
  // A cell gives one word at most, a value three.
  std::size_t words_max = frames.size() * (group.stride + kLanes) + 4 * kLanes;
  for (const auto& values : group.values) words_max += 3 * values.size();
  std::vector<CellStream> streams(coding.group.streams);
  const auto memory = std::make_unique_for_overwrite<std::uint16_t[]>(streams.size() * words_max);
  for (std::size_t s = 0; s < streams.size(); ++s) {
    streams[s].state.fill(kLaneStart);
    streams[s].out = streams[s].out_end = memory.get() + (s + 1) * words_max;
  }
  for (std::size_t t = frames.size(); t-- > 0;) {
    put_cell_frame(streams, group, t, entries, tables, level_bits);
    std::size_t words = 0;
    for (const CellStream& stream : streams) words += static_cast<std::size_t>(stream.out_end - stream.out);
    if (2 * words > bytes_max) return std::nullopt;
  }
  StreamWords words;
  for (CellStream& stream : streams) {
    stream.out -= 2 * kLanes;
    std::memcpy(stream.out, stream.state.data(), 4 * kLanes);
    words.emplace_back(stream.out, stream.out_end);
  }
  return words;
}

std::optional<StreamWords> encode_cells(TileState::Body& body, const GroupCoding& coding, GroupFrames frames,
                                        std::size_t bytes_max) {
  return with_level_type(
      body, [&](auto level) { return encode_cells_typed<decltype(level)>(body, coding, frames, bytes_max); });
}
