// SPDX-License-Identifier: Apache-2.0
//
// EncodePlan: every choice a decoder needs for one group, and nothing else.
//
// Data path  window > [plan] > encode > envelope
// Meaning    docs/formats/block.md §5; all of it is transmitted.
// Not here   how the choices are made (kernels/reference/planner.hpp).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/codec.hpp"
#include "kernels/format/block_header.hpp"
#include "kernels/format/cell_values.hpp"
#include "kernels/format/context_tables.hpp"
#include "kernels/format/level_map.hpp"
#include "kernels/format/mask_map.hpp"
#include "kernels/format/phase_grid.hpp"
#include "kernels/format/phase_mix.hpp"

namespace ff::kernels {

/// What the context key is made of.
enum class ContextSource : std::uint8_t {
  rate = 0,   ///< the predicted level: counting detectors, whose noise follows the rate
  scale = 1,  ///< the mean distance from the prediction so far: integrating detectors
};

/// How a pixel's expectation is made.
enum class Model : std::uint8_t {
  smooth = 0,  ///< running mean, smoothed over the neighbours; all pixels of a frame at once (profile fast)
  phases = 1,  ///< least-squares mix of the past and of coded neighbours, phase by phase (small, max)
  cells = 2,   ///< smooth, on 2 x 2 pixels at a time that make one symbol: sparse data (cell_values.hpp)
};

/// The image that a model predicts: the tile, or its cells.
[[nodiscard]] constexpr FrameShape model_shape(const FrameShape& tile, Model model) noexcept {
  return model == Model::cells ? cell_shape(tile) : tile;
}

/// What stays until the predictor is reset: the meaning of levels and of the state's fixed point.
struct PredictorSetup {
  LevelMap levels;
  ContextSource source = ContextSource::rate;
  Model model = Model::smooth;
  PhaseSetup phases;      ///< model phases only
  std::uint8_t up = 0;    ///< state = level << up (0 ... 12); one of up and down is 0
  std::uint8_t down = 0;  ///< state = level >> down (0 ... 16)

  friend bool operator==(const PredictorSetup&, const PredictorSetup&) = default;
};

/// A coarse image to start from: state values on a grid of (1 << log2_block) square pixels.
struct Prior {
  std::uint8_t log2_block = 3;       ///< 2 ... 6
  std::uint8_t frames_weight = 0;    ///< how many frames the image counts for in the running mean, 0 ... 15
  std::uint8_t quantum = 0;          ///< grid values are multiples of 1 << quantum
  std::vector<std::uint16_t> mean;   ///< grid rows x grid cols, 0 ... 32767
  std::vector<std::uint16_t> scale;  ///< the same for the scale; empty with ContextSource::rate
};

/// What each group may choose anew.
struct GroupSetup {
  std::uint16_t smoothing = 0;        ///< share of the neighbours' mean in the prediction, / 32768
  std::uint16_t scale_smoothing = 0;  ///< the same for the scale
  std::uint8_t mean_frames = 16;      ///< the running mean's memory, 1 ... 64 frames
  std::uint8_t scale_frames = 16;     ///< the running scale's memory, 1 ... 64 frames
  std::uint8_t fast_frames = 4;       ///< model phases: the fast running mean's memory, 1 ... 64 frames
  std::uint8_t streams = 1;           ///< 1, 2, 4 or 8 streams of 32 lanes

  friend bool operator==(const GroupSetup&, const GroupSetup&) = default;
};

/// What the coding of a group's pixels needs beside the state.
struct GroupCoding {
  const GroupSetup& group;
  const std::vector<FrameMix>& mixes;  ///< complete; empty with the smooth model
  /// True: the state's tables have classes only; the encoder puts counted ones (frequencies.hpp) in their place.
  bool count_frequencies = false;
};

/// What the planner did to a stream's choices: no part of the format, but the next plans rest on it.
enum class PlanTrials : std::uint8_t { rested, kept, changed };

struct EncodePlan {
  FrameShape tile;
  GroupPlace place;
  Profile profile = Profile::raw;
  BlockKind kind = BlockKind::stored;

  // Kind predicted only. Absent parts are inherited from the state.
  std::optional<PredictorSetup> setup;  ///< present: the predictor starts anew
  std::optional<Prior> prior;           ///< only beside a setup
  std::shared_ptr<const MaskMap> mask;  ///< null: the state's
  /// Lossy map only: unmasked pixels whose values are given back exactly (exact_pixels.hpp), ascending.
  std::vector<std::uint32_t> exact_pixels;
  GroupSetup group;
  std::vector<FrameMix> mixes;                  ///< model phases: one for each present frame
  std::shared_ptr<const ContextTables> tables;  ///< null: the state's
  /// `tables` has classes only: the encoder counts this group's tokens and makes the frequencies of them
  /// (frequencies.hpp), the same on every device.
  bool count_frequencies = false;

  std::uint64_t expected_bits = 0;  ///< what the planner thinks the payload takes; 0: it did not say
  PlanTrials trials = PlanTrials::kept;
};

}  // namespace ff::kernels
