// SPDX-License-Identifier: Apache-2.0
//
// The model cells on the CPU: one source, included once per instruction set behind the lanes of that set.
//
// Data path  window > plan > [encode] > envelope > ... > [decode] > store
// Meaning    docs/formats/block.md §6.10 to §6.12 and §7; as kernels/reference/codec_cells.cpp. Almost all cells have no
//            values: these are few scalar steps, and everything else is loops over rows that become vectors.
// Not here   CellSymbol, CellEntries, CellRowPredictor, put_cells and get_cells: each instruction set has its own.
//
// Before including: the namespace is open, and these five are defined.

// One stream's lanes, between two groups; `out` writes downwards, `in` reads upwards.
struct CellStream {
  alignas(64) std::array<std::uint32_t, kLanes> state;
  std::uint16_t* out = nullptr;
  std::uint16_t* out_end = nullptr;
  std::vector<std::uint16_t> words;  ///< to read, with zeros behind them
  const std::uint16_t* in = nullptr;
  const std::uint16_t* in_end = nullptr;
  bool ran_out = false;

  void open(ByteSpan bytes) {
    constexpr std::size_t kGroupWordsMax = 16 * kLanes;
    const std::size_t count = bytes.size() / 2;
    words.assign(count + kGroupWordsMax, 0);
    std::memcpy(words.data(), bytes.data(), 2 * count);
    std::memcpy(state.data(), bytes.data(), 4 * kLanes);
    ran_out = std::ranges::any_of(state, [](std::uint32_t x) { return x < kLaneStart; });
    in = words.data() + 2 * kLanes;
    in_end = words.data() + count;
  }
};

// A cell that has values, and its levels.
struct ValueCell {
  std::uint32_t cell = 0;
  std::array<std::uint32_t, kCellPixels> levels{};
};

// A value, ready for its lane.
struct ValueRecord {
  std::uint32_t cell = 0, level = 0;
  std::uint8_t pixel = 0, context = 0, symbol = 0, raw_bits = 0;
};

// Frequencies of all contexts with their sums, for the few scalar steps of values.
struct ValueTables {
  explicit ValueTables(const ContextTables& tables)
      : frequencies(tables.frequencies), starts(tables.frequencies.size()), bits(tables.bits) {
    for (std::size_t c = 0; c < starts.size(); ++c) {
      std::uint32_t sum = 0;
      for (std::size_t s = 0; s < kSymbols; ++s) {
        starts[c][s] = static_cast<std::uint16_t>(sum);
        sum += frequencies[c][s];
      }
    }
  }
  const std::vector<Frequencies>& frequencies;
  std::vector<Frequencies> starts;
  unsigned bits;
};

// Key and memory of values: ValueContexts of the reference.
struct ValueMemory {
  ValueMemory(CellState& cells, const ContextTables& tables, const LevelMap& map)
      : last(cells.last_value.data()),
        contexts(value_contexts(tables)),
        first_sentinel(map.sentinels.empty() ? std::uint64_t{1} << 32 : map.first_sentinel_level()) {}

  [[nodiscard]] std::uint8_t context(std::size_t cell, std::size_t pixel,
                                     std::uint8_t earlier) const noexcept {
    return contexts[value_key(last[cell * kCellPixels + pixel], earlier)];
  }
  void settle(std::size_t cell, std::size_t pixel, std::uint32_t level, std::uint8_t& earlier) noexcept {
    if (level < first_sentinel) last[cell * kCellPixels + pixel] = earlier = half_octave(level);
  }

  std::uint8_t* last;
  std::vector<std::uint8_t> contexts;
  std::uint64_t first_sentinel;
};

inline std::uint16_t sum_of_cell(const std::array<std::uint32_t, kCellPixels>& levels,
                                 std::uint64_t first_sentinel) noexcept {
  std::uint32_t sum = 0;
  for (const std::uint32_t level : levels) {
    if (level >= first_sentinel) return kCellUnseen;
    sum += std::min(level, kCellLevelMax);
  }
  return static_cast<std::uint16_t>(sum);
}

// Levels of two rows of pixels, masked ones and those outside the tile 0.
template <typename Level>
class CellRows {
 public:
  CellRows(const FrameShape& tile, const PredictorState& state)
      : tile_(tile),
        state_(state),
        rows_{std::vector<Level>(tile.cols + 66, 0), std::vector<Level>(tile.cols + 66, 0)} {}

  void read(const FrameView& frame, std::uint32_t cell_row) noexcept {
    for (std::uint32_t half = 0; half < 2; ++half) {
      Level* levels = rows_[half].data();
      const std::uint32_t row = 2 * cell_row + half;
      if (row >= tile_.rows) {
        std::fill_n(levels, tile_.cols, Level{0});
        continue;
      }
      state_.codec.levels_of_row(frame.row(row), tile_.cols, levels);
      if (state_.mask == nullptr) continue;
      const std::uint8_t* hidden = &state_.mask->classes[std::size_t{row} * tile_.cols];
      for (std::size_t i = 0; i < tile_.cols; ++i) levels[i] = hidden[i] != 0 ? Level{0} : levels[i];
    }
  }

  // Digits of the cells into the symbols, and sums. True where some level is large enough for a value.
  bool pack(std::size_t cells, CellSymbol* symbols, std::uint16_t* sums) const noexcept {
    const Level* top = rows_[0].data();
    const Level* bottom = rows_[1].data();
    Level most = 0;
    for (std::size_t c = 0; c < cells; ++c) {
      const Level a = top[2 * c], b = top[2 * c + 1], d = bottom[2 * c], e = bottom[2 * c + 1];
      const auto digit = [](Level level) { return std::min(level, static_cast<Level>(kDigitMax)); };
      const auto share = [](Level level) { return std::min(level, static_cast<Level>(kCellLevelMax)); };
      const auto token = static_cast<CellSymbol>(digit(a) | digit(b) << 2 | digit(d) << 4 | digit(e) << 6);
      symbols[c] = static_cast<CellSymbol>(symbols[c] | token);
      sums[c] = static_cast<std::uint16_t>(share(a) + share(b) + share(d) + share(e));
      most = std::max(std::max(std::max(a, b), std::max(d, e)), most);
    }
    return most >= kDigitMax;
  }

  [[nodiscard]] std::array<std::uint32_t, kCellPixels> cell(std::size_t c) const noexcept {
    return {rows_[0][2 * c], rows_[0][2 * c + 1], rows_[1][2 * c], rows_[1][2 * c + 1]};
  }

  // The cells' digits as levels; write() has the rows' pixels made of them. Two at a time make a word of the CPU's
  // (little-endian) memory.
  void unpack(std::size_t cells, const std::uint16_t* tokens) noexcept {
    using Pair = std::conditional_t<sizeof(Level) == 2, std::uint32_t, std::uint64_t>;
    constexpr unsigned kShift = 8 * sizeof(Level) - 2;
    const auto pair = [](Pair digits) { return (digits & 3) | (digits & 12) << kShift; };
    Level* top = rows_[0].data();
    Level* bottom = rows_[1].data();
    for (std::size_t c = 0; c < cells; ++c) {
      const Pair above = pair(tokens[c]), below = pair(Pair{tokens[c]} >> 4);
      std::memcpy(top + 2 * c, &above, sizeof(Pair));
      std::memcpy(bottom + 2 * c, &below, sizeof(Pair));
    }
  }
  void set(std::size_t c, const std::array<std::uint32_t, kCellPixels>& levels) noexcept {
    for (std::size_t p = 0; p < kCellPixels; ++p) rows_[p / 2][2 * c + p % 2] = static_cast<Level>(levels[p]);
  }
  void write(const MutableFrameView& frame, std::uint32_t cell_row) const noexcept {
    for (std::uint32_t half = 0; half < 2; ++half) {
      if (2 * cell_row + half < tile_.rows) write_row(state_, rows_[half].data(), 2 * cell_row + half, frame);
    }
  }

 private:
  const FrameShape& tile_;
  const PredictorState& state_;
  std::array<std::vector<Level>, 2> rows_;
};

#include "kernels/cpu/cell_decode.inl"
#include "kernels/cpu/cell_encode.inl"
