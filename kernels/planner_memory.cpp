// SPDX-License-Identifier: Apache-2.0
//
// Planner memory: what a coded group leaves behind for the next plan.
#include "kernels/planner_memory.hpp"

#include <algorithm>
#include <bit>

namespace ff::kernels {
namespace {

constexpr unsigned kTrialPauseMax = 7;   // groups
constexpr std::uint64_t kRateStep = 16;  // a stream whose bits change by a share of this asks again

// A stream whose trials change nothing tries ever more seldom, until its bits a pixel change.
void remember_trials(PlannerMemory& memory, const EncodePlan& plan) {
  const std::uint64_t pixels = std::popcount(plan.place.present) * plan.tile.pixels();
  const std::uint64_t rate = plan.expected_bits * 1024 / pixels, before = memory.expected_rate;
  const std::uint64_t change = rate > before ? rate - before : before - rate;
  if (plan.trials != PlanTrials::rested) ++memory.trials;
  if (change > before / kRateStep) {
    memory.trial_pause = memory.trial_rest = 0;
  } else if (plan.trials == PlanTrials::rested) {
    memory.trial_rest = static_cast<std::uint8_t>(std::max(memory.trial_rest, std::uint8_t{1}) - 1);
  } else {
    const unsigned longer = std::min(2u * memory.trial_pause + 1, kTrialPauseMax);
    memory.trial_pause =
        static_cast<std::uint8_t>(plan.trials == PlanTrials::changed ? memory.trial_pause / 2 : longer);
    memory.trial_rest = memory.trial_pause;
  }
  memory.expected_rate = rate;
}

}  // namespace

void remember(PlannerMemory& memory, const EncodePlan& plan, const PredictorSetup& setup) {
  if (plan.setup && plan.setup->levels.kind == LevelMapKind::packed) {
    if (!plan.place.key && memory.repacked < 255) ++memory.repacked;
    memory.packed = plan.setup->levels.packed;
  }
  memory.model = setup.model;
  if (setup.model == Model::phases) {
    memory.phase_source = setup.source;
    memory.phase_levels = setup.phases.later_levels;
    ++memory.phase_groups;
    return;
  }
  remember_trials(memory, plan);
  memory.known = true;
  memory.source = setup.source;
  memory.level_bits = setup.levels.level_bits;
  memory.group = plan.group;
  if (plan.prior) {
    memory.prior_weight = plan.prior->frames_weight;
    memory.prior_block = plan.prior->log2_block;
  }
  ++memory.groups;
}

}  // namespace ff::kernels
