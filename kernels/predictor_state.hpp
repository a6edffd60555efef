// SPDX-License-Identifier: Apache-2.0
//
// TileState::Body: what encoder and decoder remember of one tile from group to group of a window.
//
// Data path  window > [plan > encode] ... [decode] > store
// Meaning    docs/formats/block.md §6 (state). Everything the decoder reads is set by transmitted values
//            only.
// Not here   the arithmetic that moves the state (kernels/reference/predict.hpp, kernels/cpu/).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/codec.hpp"
#include "kernels/format/encode_plan.hpp"
#include "kernels/format/sections.hpp"
#include "kernels/phase_state.hpp"
#include "kernels/planner_memory.hpp"

namespace ff::kernels {

struct CellState;

/// The predictor between two frames. `mean` and `scale` are 15-bit fixed point, rows x cols, densely packed,
/// and have room behind them for a vector that reads past the last pixel.
struct PredictorState {
  PredictorState();
  PredictorState(PredictorState&&) noexcept;
  PredictorState& operator=(PredictorState&&) noexcept;
  ~PredictorState();

  PredictorSetup setup;
  LevelCodec codec;
  std::shared_ptr<const MaskMap> mask;          ///< null: no pixel is masked
  std::shared_ptr<const ContextTables> tables;  ///< the last ones sent
  std::uint32_t frames = 0;                     ///< frames in the running mean, the prior's weight included
  LineVector mean, mean_next;
  LineVector scale, scale_next;      ///< empty unless the context source is scale
  std::optional<PhaseState> phases;  ///< model phases: instead of the four above
  std::unique_ptr<CellState> cells;  ///< model cells: instead of all these
};

/// The model cells is the model smooth on the image of cells: `image` predicts their sums.
struct CellState {
  PredictorState image;  ///< level = a cell's sum; mask: cells without a coded pixel; no phases
  std::vector<std::uint8_t> last_value;  ///< half octave of each pixel's last value, cell by cell, four each
};

/// Mask of the image of cells: class 1 where no pixel of the cell is coded; null where there is no such cell.
[[nodiscard]] std::shared_ptr<const MaskMap> cell_mask(const MaskMap* mask, const FrameShape& tile);

inline constexpr std::size_t kStatePadding = 64;  ///< pixels

struct TileState::Body {
  explicit Body(const FrameShape& tile) : shape(tile) {}

  FrameShape shape;

  // Place in the window: the next group starts at or after `next_frame` and links to `link`.
  bool window_open = false;
  std::uint8_t next_frame = 0;
  std::uint32_t link = 0;

  /// Nothing until a setup has come, and again after a raw block.
  std::optional<PredictorState> predictor;
  PlannerMemory memory;
};

/// Applies what a predicted block says before its first frame: a setup resets the predictor, mask and tables
/// replace the state's. The same for encoder and decoder.
/// Errors: malformed (no setup, tables or memory of them where the block needs one).
[[nodiscard]] Status prepare_predictor(TileState::Body& body, const std::optional<PredictorSetup>& setup,
                                       const std::optional<Prior>& prior, std::shared_ptr<const MaskMap> mask,
                                       std::shared_ptr<const ContextTables> tables);

/// Reads a block's mix section for `frames` present frames, after prepare_predictor; nothing with the smooth
/// model. Errors: malformed.
[[nodiscard]] Result<std::vector<FrameMix>> read_mixes(TileState::Body& body,
                                                       std::optional<ByteSpan> mix_bits, std::size_t frames);
/// The mix section's content, and `mixes` made complete; after prepare_predictor.
[[nodiscard]] std::vector<std::byte> write_mixes(TileState::Body& body, std::vector<FrameMix>& mixes);

}  // namespace ff::kernels
