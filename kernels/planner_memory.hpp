// SPDX-License-Identifier: Apache-2.0
//
// PlannerMemory: what the planner learned of a tile from the windows before.
//
// Data path  window > [plan] > encode
// Meaning    no part of the format: never read by a decoder.
// Not here   the choices that rest on it (kernels/reference/planner.hpp).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/format/encode_plan.hpp"

namespace ff::kernels {

struct PlannerMemory {
  bool known = false;
  Model model = Model::smooth;
  ContextSource source = ContextSource::rate;
  std::uint8_t level_bits = 0;
  std::vector<std::int64_t> packed;  ///< every value that a list of used values has had
  std::uint8_t repacked = 0;         ///< how often a list proved too short inside a window
  GroupSetup group;
  std::uint8_t prior_weight = 2;
  std::uint8_t prior_block = 4;
  std::uint32_t groups = 0;
  std::uint32_t trials = 0;         ///< of these, the ones that tried something
  std::uint8_t trial_pause = 0;     ///< groups between two that try, where trials have changed nothing
  std::uint8_t trial_rest = 0;      ///< of these, the ones left
  std::uint64_t expected_rate = 0;  ///< bits a pixel of the last group, x 1024
  // The same of the model phases.
  ContextSource phase_source = ContextSource::rate;
  std::uint8_t phase_levels = 1;  ///< of frames with a past: profile max has the choice
  std::uint32_t phase_groups = 0;
};

/// Moves the memory past a group that was coded as planned; `setup` is the one it was coded with.
void remember(PlannerMemory& memory, const EncodePlan& plan, const PredictorSetup& setup);

}  // namespace ff::kernels
