// SPDX-License-Identifier: Apache-2.0
//
// Levels of a frame on their way between rows of pixels and rows of planes, for encoder and decoder.
//
// Data path  level map > [planes] > predict > context > token > lanes
// Meaning    docs/formats/block.md §6.6.
// Not here   which row comes when (phase_walk.hpp).
//
// `Level` is uint16_t or uint32_t. `Rows` has two functions for whole rows of one instruction set: split(row, cols, even,
// odd) takes every other element and may write up to the next multiple of 32 of each half; join(even, odd, cols, row) is
// the way back and writes no more than `cols`. Rows::Codec maps pixels and levels: a LevelCodec, or what takes its place.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <vector>

#include "kernels/cpu/cpu_paths.hpp"
#include "kernels/cpu/phase_walk.hpp"
#include "kernels/format/frequencies.hpp"

namespace ff::kernels::cpu {

template <typename Level>
class LevelPlane {
 public:
  LevelPlane() = default;
  LevelPlane(std::uint32_t rows, std::uint32_t cols)
      : rows_(rows), cols_(cols), stride_((std::size_t{cols} + 31) / 32 * 32), cells_(rows * stride_) {}

  [[nodiscard]] Level* row(std::uint32_t y) noexcept { return cells_.data() + y * stride_; }
  [[nodiscard]] std::uint32_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::uint32_t cols() const noexcept { return cols_; }

 private:
  std::uint32_t rows_ = 0, cols_ = 0;
  std::size_t stride_ = 0;
  std::vector<Level> cells_;
};

/// Planes of levels 2 and up, and ee of level 1 where these have coded it. Empty where there is one level only.
template <typename Level, typename Rows>
class UpperLevels {
 public:
  UpperLevels(const FrameShape& tile, unsigned levels) {
    if (levels > 1) first_ = LevelPlane<Level>((tile.rows + 1) / 2, (tile.cols + 1) / 2);
    for (unsigned level = 2; level <= levels; ++level) {
      auto& planes = upper_.emplace_back();
      for (std::size_t k = 0; k < kPhases; ++k) {
        const PhasePlaneShape shape = phase_plane(tile.rows, tile.cols, level, k);
        planes[k] = LevelPlane<Level>(shape.rows, shape.cols);
      }
    }
  }

  [[nodiscard]] LevelPlane<Level>& plane(unsigned level, Phase phase) noexcept {
    return level == 1 ? first_ : upper_[level - 2][static_cast<std::size_t>(phase)];
  }
  /// All planes of a level are there: they are ee of the one below.
  void merge(unsigned level) noexcept {
    LevelPlane<Level>& to = plane(level - 1, Phase::ee);
    for (std::uint32_t y = 0; y < to.rows(); ++y) {
      const bool odd = y % 2 != 0;
      Rows::join(plane(level, odd ? Phase::oe : Phase::ee).row(y / 2),
                 plane(level, odd ? Phase::oo : Phase::eo).row(y / 2), to.cols(), to.row(y));
    }
  }

 private:
  LevelPlane<Level> first_;
  std::vector<std::array<LevelPlane<Level>, kPhases>> upper_;
};

/// True where a row of pixels is a row of levels as it lies. A caller's rows may lie at any address.
template <typename Level, typename Codec>
[[nodiscard]] bool pixels_are_levels(const Codec& codec, const FrameShape& shape,
                                     const std::byte* row) noexcept {
  return codec.identity() && dtype_bytes(shape.dtype) == sizeof(Level) &&
         reinterpret_cast<std::uintptr_t>(row) % sizeof(Level) == 0;
}

/// Cuts one frame into the rows of its planes, in coding order.
template <typename Level, typename Rows>
class FrameSplitter {
 public:
  /// `levels` holds all positions of the frame.
  FrameSplitter(const PhaseWalk& walk, const typename Rows::Codec& codec, const FrameView& frame,
                Level* levels)
      : codec_(codec),
        frame_(frame),
        levels_of_frame_(walk.levels()),
        levels_(levels),
        row_at_(walk.row_positions()),
        upper_(frame.shape, walk.levels()),
        row_(frame.shape.cols) {}

  /// Pixel rows 2y and 2y + 1, where they exist.
  void split_pair(std::uint32_t y) {
    for (std::uint32_t r = 2 * y; r < std::min(2 * y + 2, frame_.shape.rows); ++r)
      split(1, r, level_row(r), frame_.shape.cols);
  }
  /// All of a frame whose upper levels are coded first.
  void split_whole() {
    for (std::uint32_t y = 0; y < (frame_.shape.rows + 1) / 2; ++y) split_pair(y);
    for (unsigned level = 2; level <= levels_of_frame_; ++level) {
      LevelPlane<Level>& from = upper_.plane(level - 1, Phase::ee);
      for (std::uint32_t r = 0; r < from.rows(); ++r) split(level, r, from.row(r), from.cols());
    }
  }
  [[nodiscard]] std::size_t row_at(const PhaseRow& row) const noexcept { return row_at_[row.plane][row.y]; }

 private:
  void split(unsigned level, std::uint32_t r, const Level* row, std::uint32_t cols) {
    const bool odd = r % 2 != 0;
    Rows::split(row, cols, target(level, odd ? Phase::oe : Phase::ee, r / 2),
                target(level, odd ? Phase::oo : Phase::eo, r / 2));
  }
  [[nodiscard]] const Level* level_row(std::uint32_t r) noexcept {
    if (pixels_are_levels<Level>(codec_, frame_.shape, frame_.row(r)))
      return reinterpret_cast<const Level*>(frame_.row(r));
    codec_.levels_of_row(frame_.row(r), frame_.shape.cols, row_.data());
    return row_.data();
  }
  [[nodiscard]] Level* target(unsigned level, Phase phase, std::uint32_t y) noexcept {
    const bool first = level == levels_of_frame_ && phase == Phase::ee;
    if (phase == Phase::ee && !first) return upper_.plane(level, phase).row(y);
    const std::size_t plane =
        first ? 0 : 3 * std::size_t{levels_of_frame_ - level} + static_cast<std::size_t>(phase);
    return levels_ + row_at_[plane][y];
  }

  const typename Rows::Codec& codec_;
  const FrameView& frame_;
  unsigned levels_of_frame_;
  Level* levels_;
  std::vector<std::vector<std::size_t>> row_at_;
  UpperLevels<Level, Rows> upper_;
  std::vector<Level> row_;
};

/// Decoded levels of the last turns' rows, until their pixels are complete; then writes these.
template <typename Level, typename Rows>
class FrameJoiner {
 public:
  FrameJoiner(const PredictorState& state, const typename Rows::Codec& codec, const FrameShape& tile,
              std::size_t width_max)
      : state_(state),
        codec_(codec),
        tile_(tile),
        slot_(kBatchRows * width_max),
        memory_(std::make_unique_for_overwrite<Level[]>(kSlots * slot_)),
        row_(tile.cols) {}

  void begin_frame(unsigned levels) {
    levels_ = levels;
    upper_.emplace(tile_, levels);
  }
  /// Where a batch's levels belong, row after row.
  [[nodiscard]] Level* batch_levels(const PhaseBatch& batch) const noexcept {
    return memory_.get() + (batch.turn == kNoTurn ? 0 : batch.turn % kSlots) * slot_;
  }
  /// A row of them is decoded.
  void keep(const PhasePlaneShape& plane, std::uint32_t y, const Level* levels) noexcept {
    if (plane.level == 1) {
      rows_[static_cast<std::size_t>(plane.phase)][y % kSlots] = levels;
    } else {
      std::memcpy(upper_->plane(plane.level, plane.phase).row(y), levels, plane.cols * sizeof(Level));
    }
  }
  void merge(unsigned level) noexcept { upper_->merge(level); }
  /// Pixel rows 2y and 2y + 1 of a frame all whose planes have row y.
  void write_pair(std::uint32_t y, const MutableFrameView& frame) noexcept {
    const Level* ee = levels_ > 1 ? upper_->plane(1, Phase::ee).row(y) : rows_[0][y % kSlots];
    write(2 * y, ee, rows_[2][y % kSlots], frame);
    if (2 * y + 1 < tile_.rows) write(2 * y + 1, rows_[3][y % kSlots], rows_[1][y % kSlots], frame);
  }

 private:
  static constexpr std::size_t kSlots = 8;  // turns that are kept: more than kPhaseStateLag

  void write(std::uint32_t row, const Level* even, const Level* odd, const MutableFrameView& frame) noexcept {
    const bool straight = pixels_are_levels<Level>(codec_, tile_, frame.row(row));
    Level* levels = straight ? reinterpret_cast<Level*>(frame.row(row)) : row_.data();
    Rows::join(even, odd, tile_.cols, levels);
    if (!straight) codec_.values_of_row(levels, tile_.cols, frame.row(row));
    write_masked(state_, row, frame);
  }

  const PredictorState& state_;
  const typename Rows::Codec& codec_;
  FrameShape tile_;
  unsigned levels_ = 1;
  std::size_t slot_;
  std::unique_ptr<Level[]> memory_;
  std::array<std::array<const Level*, kSlots>, kPhases> rows_{};
  std::optional<UpperLevels<Level, Rows>> upper_;
  std::vector<Level> row_;
};

/// True once all planes of level 1 have the row pair turn - kPhaseStateLag.
[[nodiscard]] inline bool pair_complete(const PhaseBatch& batch, const FrameShape& tile) noexcept {
  return batch.turn != kNoTurn && batch.turn >= kPhaseStateLag &&
         batch.turn - kPhaseStateLag < (tile.rows + 1) / 2;
}

/// Rows y of the state's planes move past the frame.
template <typename PhaseRows>
void learn_pair(PhaseWalk& walk, const PhaseRows& rows, PredictorState& state, std::uint32_t y) {
  for (std::size_t k = 0; k < kPhases; ++k) {
    PhasePlaneState& plane = state.phases->planes[k];
    const auto phase = static_cast<Phase>(k);
    if (y < plane.mean.rows()) rows.learn(plane, y, walk.seen(phase, y), walk.miss(phase, y));
  }
  walk.close_learned(y);
}

/// How often each symbol (context << 8 | token) of a group occurs. Positions take turns between tables, because a
/// counter that was just written is slow to read.
class SymbolCounts {
 public:
  explicit SymbolCounts(const ContextTables& classes) : classes_(classes) {
    for (const ContextClass& c : classes.classes) symbols_ += kSymbols * c.contexts();
    counts_.resize((symbols_ + kGap) * kTables);
  }

  /// `count` is a multiple of 32. Symbols of positions that code nothing lie above all others.
  template <typename Symbol>
  void add(const Symbol* symbols, std::size_t count) noexcept {
    const std::size_t idle = symbols_;
    std::array<std::uint32_t*, kTables> tables{};
    for (std::size_t j = 0; j < kTables; ++j) tables[j] = &counts_[(symbols_ + kGap) * j];
    for (std::size_t i = 0; i < count; i += kTables) {
#pragma GCC unroll 8
      for (std::size_t j = 0; j < kTables; ++j) ++tables[j][std::min<std::size_t>(symbols[i + j], idle)];
    }
  }
  [[nodiscard]] ContextTables tables() const {
    std::vector<Histogram> histograms(symbols_ / kSymbols, Histogram{});
    for (std::size_t i = 0; i < symbols_ * kTables; ++i) {
      const std::size_t symbol = i % symbols_;
      histograms[symbol / kSymbols][symbol % kSymbols] +=
          counts_[(symbols_ + kGap) * (i / symbols_) + symbol];
    }
    return counted_tables(classes_, histograms);
  }

 private:
  static constexpr std::size_t kTables = 8;
  static constexpr std::size_t kGap = 16;  // one for idle positions; tables begin on different lines

  const ContextTables& classes_;
  std::size_t symbols_ = 0;
  std::vector<std::uint32_t> counts_;
};

}  // namespace ff::kernels::cpu
