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
#include "kernels/format/context_tables.hpp"
#include "kernels/format/level_map.hpp"
#include "kernels/format/mask_map.hpp"

namespace ff::kernels {

/// What the context key is made of.
enum class ContextSource : std::uint8_t {
  rate = 0,   ///< the predicted level: counting detectors, whose noise follows the rate
  scale = 1,  ///< the mean distance from the prediction so far: integrating detectors
};

/// What stays until the predictor is reset: the meaning of levels and of the state's fixed point.
struct PredictorSetup {
  LevelMap levels;
  ContextSource source = ContextSource::rate;
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
  std::uint8_t streams = 1;           ///< 1, 2, 4 or 8 streams of 32 lanes

  friend bool operator==(const GroupSetup&, const GroupSetup&) = default;
};

struct EncodePlan {
  FrameShape tile;
  GroupPlace place;
  Profile profile = Profile::raw;
  BlockKind kind = BlockKind::stored;

  // Kind predicted only. Absent parts are inherited from the state.
  std::optional<PredictorSetup> setup;  ///< present: the predictor starts anew
  std::optional<Prior> prior;           ///< only beside a setup
  std::shared_ptr<const MaskMap> mask;  ///< null: the state's
  GroupSetup group;
  std::shared_ptr<const ContextTables> tables;  ///< null: the state's
};

}  // namespace ff::kernels
