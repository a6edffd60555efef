// SPDX-License-Identifier: Apache-2.0
//
// Phase planning: the mixes of a group's frames, fitted on bands of the very frames, and what the coder would then see.
//
// Data path  window > [plan] > encode
// Meaning    no part of the format: any legal mixes decode. Whole numbers and ordered double arithmetic: the same plan
//            on every machine.
// Not here   features and state (plan_bands.hpp), the fit (plan_mix.hpp), contexts (plan_tables.hpp).
#pragma once

#include <vector>

#include "kernels/predictor_state.hpp"
#include "kernels/reference/plan_sample.hpp"

namespace ff::kernels::reference {

/// Sampled pixels as the coder would see them, before a context source is chosen.
struct PhaseRecords {
  std::vector<std::uint16_t> expected, scale;
  std::vector<std::uint32_t> level;
  std::uint64_t ratio_256 = 256;  ///< pixels coded per record, x 256

  [[nodiscard]] std::size_t size() const noexcept { return level.size(); }
};

struct PhaseFit {
  std::vector<FrameMix> mixes;  ///< one for each frame
  PhaseRecords records;
};

/// `before`: the state to go on from, null where `setup` starts anew. `known`: the model is not in question, and
/// weights are all that is asked: fewer pixels do.
[[nodiscard]] PhaseFit fit_phases(const FrameShape& tile, const PredictorSetup& setup,
                                  const GroupSetup& group, const LevelCodec& codec, const MaskMap* mask,
                                  const PredictorState* before, GroupFrames frames, bool known);

/// The records with the contexts' keys of a source.
[[nodiscard]] SampleRecords keyed_records(const PhaseRecords& records, const PredictorSetup& setup);

}  // namespace ff::kernels::reference
