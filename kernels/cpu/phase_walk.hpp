// SPDX-License-Identifier: Apache-2.0
//
// PhaseWalk: where the rows of a frame's planes lie while they are coded, and which can be coded together.
//
// Data path  level map > [predict, phases] > context > token > lanes
// Meaning    docs/formats/block.md §6.6 (order, borders), §6.7 (neighbours).
// Not here   arithmetic (avx512_phase_rows.hpp, generic_phases.inl): this class only hands out pointers.
//
// Rows have two border cells on each side that repeat the row's ends, so that a neighbour is a pointer with an offset.
// The values of the present frame lie in the state's `next` planes; distances from the expectation are needed for a
// few turns only and lie in rings of rows. Levels 2 and up have planes of their own, which are merged into the ee
// plane below when they are complete.
//
// Memory: rings of 4 x 8 half rows; with more than one level half a byte to two bytes a pixel of the tile.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/predictor_state.hpp"

namespace ff::kernels::cpu {

/// A row of a plane of the present frame; `plane` counts in coding order.
struct PhaseRow {
  std::uint8_t plane = 0;
  std::uint32_t y = 0;
};

/// Rows that see nothing of each other. In the turns of level 1, `turn` is the turn's number.
inline constexpr std::size_t kBatchRows = 8;
inline constexpr std::uint32_t kNoTurn = 0xffffffffu;
struct PhaseBatch {
  std::array<PhaseRow, kBatchRows> rows{};
  std::size_t count = 0;
  std::uint32_t turn = kNoTurn;

  [[nodiscard]] std::span<const PhaseRow> span() const noexcept { return {rows.data(), count}; }
};

/// A row's neighbours in the past of one quantity. The right one of two stands behind the left one.
struct RowAround {
  const std::uint16_t *up = nullptr, *down = nullptr, *left = nullptr, *up_left = nullptr,
                      *down_left = nullptr;
};

/// What a row's expectation and scale are made of. Pointers stand at the row's first pixel; all may be read up to the
/// row's last whole vector, and one pixel further.
struct RowInputs {
  using Row = const std::uint16_t*;
  enum class Past : std::uint8_t { none, around, means };
  Past past = Past::none;
  unsigned coded = 0;                 ///< how many rows of `seen` are there; with any, all of `miss` are
  std::array<Row, 4> own{};           ///< mean, fast, last, scale
  std::array<RowAround, 3> around{};  ///< past around: of mean, last, scale
  std::array<Row, 5> means{};         ///< past means: mE, mD, xE, xD, dN, made already
  std::array<Row, 12> seen{};         ///< coded neighbours
  std::array<Row, 4> miss{};          ///< distances of the first four from their expectations
};

class PhaseWalk {
 public:
  PhaseWalk(const FrameShape& tile, PredictorState& state);

  /// Takes the number of levels that the next frame has.
  void begin_frame();
  [[nodiscard]] bool past() const noexcept { return state_.frames != 0; }
  [[nodiscard]] unsigned levels() const noexcept { return levels_; }
  [[nodiscard]] const PhasePlaneShape& plane(std::size_t index) const noexcept { return planes_[index]; }
  /// Positions of a row of this plane: whole groups of 32.
  [[nodiscard]] std::size_t width(std::size_t index) const noexcept {
    return (std::size_t{planes_[index].cols} + 31) / 32 * 32;
  }
  [[nodiscard]] std::size_t width_max() const noexcept {
    return ((std::size_t{tile_.cols} + 1) / 2 + 31) / 32 * 32;
  }
  /// Positions of a frame of so many levels; and where each row of the present one begins, by plane and row.
  [[nodiscard]] std::size_t positions(unsigned levels) const noexcept;
  [[nodiscard]] std::vector<std::vector<std::size_t>> row_positions() const;

  /// Holds until the next call.
  [[nodiscard]] const RowInputs& inputs(const PhaseRow& row);
  [[nodiscard]] std::uint16_t* seen(const PhaseRow& row) noexcept;
  [[nodiscard]] std::uint16_t* miss(const PhaseRow& row) noexcept;
  /// The same rows of level 1, by phase.
  [[nodiscard]] std::uint16_t* seen(Phase phase, std::uint32_t y) noexcept;
  [[nodiscard]] std::uint16_t* miss(Phase phase, std::uint32_t y) noexcept;
  /// One bit a position: 1 where nothing is coded (masked, or behind the row's end). One word a group.
  [[nodiscard]] const std::uint32_t* idle(const PhaseRow& row) const noexcept;
  /// The row has been seen: its ends become its borders.
  void close(const PhaseRow& row) noexcept;
  /// Rows y of level 1 have learned.
  void close_learned(std::uint32_t y) noexcept;
  /// Moves `seen` and `miss` of a complete level 2 or up into the level below.
  void merge(unsigned level) noexcept;
  void end_frame() noexcept;

  /// Calls visit(batch) for all rows in coding order, merged(level) when a level above the first is complete.
  template <typename Visit, typename Merged>
  void for_each_batch(Visit&& visit, Merged&& merged) {
    const std::size_t last = plane_count(levels_) - 3, whole = levels_ == 1 ? 0 : last;
    for (std::size_t p = 0; p < whole; ++p) {
      for (std::uint32_t y = 0; y < planes_[p].rows; y += kBatchRows) visit(rows_of_plane(p, y));
      if (planes_[p].phase == Phase::oe) merged(unsigned{planes_[p].level});
    }
    const std::uint32_t turns = (tile_.rows + 1) / 2 + kPhaseLag[3];
    for (std::uint32_t turn = 0; turn < turns; ++turn) visit(rows_of_turn(levels_ == 1 ? 0 : last, turn));
  }

 private:
  struct LevelPlanes {
    std::array<PaddedPlane, kPhases> seen, miss;
  };
  // A row's neighbour row: row 0's, and how to find row y's. Rings keep rows modulo their size.
  struct RowRule {
    const std::uint16_t* first = nullptr;
    std::size_t stride = 0;
    std::int32_t offset = 0, last_row = 0;
    std::uint32_t ring = ~0u;

    [[nodiscard]] const std::uint16_t* at(std::uint32_t y) const noexcept {
      const std::int32_t row = std::clamp(static_cast<std::int32_t>(y) + offset, 0, last_row);
      return first + (static_cast<std::uint32_t>(row) & ring) * stride;
    }
  };
  struct CodedRules {
    unsigned coded = 0;
    std::array<RowRule, 12> seen;
    std::array<RowRule, 4> miss;
  };
  struct PastRules {
    std::array<RowRule, 4> own;
    std::array<std::array<RowRule, 5>, 3> around;
  };
  using IdleWords = std::vector<std::uint32_t>;

  [[nodiscard]] PhaseBatch rows_of_plane(std::size_t p, std::uint32_t y) const noexcept;
  [[nodiscard]] PhaseBatch rows_of_turn(std::size_t first, std::uint32_t turn) const noexcept;
  void make_idle(const PhasePlaneShape& plane);
  void make_past_rules() noexcept;
  [[nodiscard]] CodedRules coded_rules(const PhasePlaneShape& plane) noexcept;
  void past_of_level_1(RowInputs& in, Phase phase, std::uint32_t y) const noexcept;
  void past_of_upper_level(RowInputs& in, const PhaseRow& row);
  [[nodiscard]] PaddedPlane& seen_plane(unsigned level, Phase phase) noexcept;
  [[nodiscard]] PaddedPlane& miss_plane(unsigned level, Phase phase) noexcept;

  const FrameShape tile_;
  PredictorState& state_;
  unsigned levels_ = 0;
  std::vector<PhasePlaneShape> planes_;         // of this frame
  std::array<PastRules, kPhases> past_;         // of this frame
  std::vector<CodedRules> coded_;               // of this frame, by plane
  RowInputs inputs_;                            // of the last row asked for
  std::array<PaddedPlane, kPhases> miss_ring_;  // rows modulo kRing
  std::vector<LevelPlanes> upper_;              // levels 2 and up
  PaddedPlane first_miss_;                      // ee of level 1, where levels above have coded it
  std::array<std::array<IdleWords, kPhases>, kPhaseLevelsMax> idle_;
  std::vector<std::uint16_t> strided_;  // rows of the past at an upper level's pixels
};

}  // namespace ff::kernels::cpu
