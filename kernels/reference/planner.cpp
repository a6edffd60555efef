// SPDX-License-Identifier: Apache-2.0
//
// Planner: what all models need, the choices of the model phases, and which of the models codes a window.
#include "kernels/reference/planner.hpp"

#include <algorithm>

#include "kernels/reference/plan_levels.hpp"
#include "kernels/reference/plan_mask.hpp"
#include "kernels/reference/plan_phases.hpp"
#include "kernels/reference/plan_smooth.hpp"
#include "kernels/reference/plan_tables.hpp"

namespace ff::kernels::reference {
namespace {

// Levels of frames without a past; with profile max, where it pays, of all.
constexpr std::uint8_t kPyramidLevels = 3;
constexpr unsigned kProfileTurn = 16;        // groups after which profile auto weighs the models again
constexpr std::uint64_t kFasterShare = 100;  // of the bits: what the faster profile may cost more
constexpr unsigned kSourceTurn = 8;          // groups after which the other context source is tried again

// Whether a window that starts now is planned with both models.
bool weighs_models(const PlannerMemory& memory) noexcept {
  return (memory.groups + memory.phase_groups) % kProfileTurn == 0;
}

class Planner {
 public:
  Planner(const TileState::Body& body, const GroupPlace& place, GroupFrames frames,
          const EncodeOptions& options, std::uint8_t later_levels)
      : body_(body), frames_(frames), options_(options), later_levels_(later_levels), plan_(new EncodePlan) {
    plan_->tile = body.shape;
    plan_->place = place;
    plan_->profile = profile_for(body.shape, options.profile);
    plan_->kind = BlockKind::predicted;
    plan_->group = body.memory.group;
  }

  EncodePlanPtr run() {
    choose_mask_and_levels();
    if (setup().model == Model::phases) {
      choose_phases();
      return std::move(plan_);
    }
    plan_smooth({body_, frames_, codec_, mask()}, *plan_);
    return std::move(plan_);
  }

 private:
  [[nodiscard]] bool resets() const noexcept { return plan_->setup.has_value(); }
  [[nodiscard]] const PredictorSetup& setup() const noexcept {
    return resets() ? *plan_->setup : body_.predictor->setup;
  }
  [[nodiscard]] const MaskMap* mask() const noexcept { return mask_.get(); }

  // What the state's map loses is what is declared now, or nothing.
  [[nodiscard]] bool keeps_bound() const noexcept {
    const LossBound& bound = body_.predictor->setup.levels.bound;
    return !bound || bound == options_.bound;
  }

  void choose_mask_and_levels() {
    const bool carry_on =
        !plan_->place.key && body_.predictor.has_value() && body_.predictor->setup.model != Model::cells;
    const auto previous = body_.predictor ? body_.predictor->mask : nullptr;
    mask_ = plan_mask(body_.shape, frames_, options_, previous, !carry_on);
    plan_->exact_pixels = plan_exact_pixels(options_, mask());
    if (carry_on && keeps_bound() && expresses(body_.predictor->codec, frames_, mask())) {
      codec_ = body_.predictor->codec;
      if (mask_ != previous) plan_->mask = mask_;
      return;
    }
    const bool wide =
        carry_on && body_.predictor->setup.levels.level_bits < 8 * dtype_bytes(body_.shape.dtype);
    plan_->setup = plan_setup(body_.shape, frames_, options_, mask(), wide, body_.memory);
    plan_->setup->source = body_.memory.source;
    if (plan_->profile != Profile::fast) choose_pyramid();
    plan_->mask = mask_;
    codec_ = LevelCodec(plan_->setup->levels, body_.shape.dtype);
  }

  // A tile of one row or column has no phases.
  [[nodiscard]] static Profile profile_for(const FrameShape& tile, Profile wanted) noexcept {
    const bool phases = wanted == Profile::small || wanted == Profile::max;
    return phases && levels_fit(tile.rows, tile.cols, 1) ? wanted : Profile::fast;
  }

  void choose_pyramid() {
    PhaseSetup& phases = plan_->setup->phases;
    plan_->setup->model = Model::phases;
    phases = {kPyramidLevels, later_levels_, plan_->profile == Profile::max};
    while (!levels_fit(body_.shape.rows, body_.shape.cols, phases.key_levels)) --phases.key_levels;
    phases.later_levels = std::min(phases.later_levels, phases.key_levels);
  }

  // Model phases: mixes, source and classes; the encoder counts the frequencies.
  void choose_phases() {
    plan_->group = GroupSetup{0, 0, 64, 16, 4, 1};
    const PredictorState* before = resets() ? nullptr : &*body_.predictor;
    if (before != nullptr) plan_->profile = before->setup.phases.wide ? Profile::max : Profile::small;
    PhaseFit fit = fit_phases(body_.shape, setup(), plan_->group, codec_, mask(), before, frames_,
                              !weighs_models(body_.memory));
    plan_->mixes = std::move(fit.mixes);
    const BuiltTables built = build_phase_tables(fit.records);
    plan_->group.streams = streams_for(built.bits);
    plan_->expected_bits = built.bits + mix_bits();
    plan_->tables = std::make_shared<const ContextTables>(built.tables);
    plan_->count_frequencies = true;
    if (built.bits / 8 > frames_.size() * body_.shape.bytes()) plan_->kind = BlockKind::raw_zstd;
  }

  // About what the mix section takes.
  [[nodiscard]] std::uint64_t mix_bits() const {
    constexpr std::uint64_t kNumberBits = 8;
    std::uint64_t numbers = 0;
    for (const FrameMix& frame : plan_->mixes) {
      for (const auto& mix : frame)
        numbers += mix ? kHistoryFeatures + kScaleFeatures + static_cast<std::uint64_t>(kPhases) : 0;
    }
    return numbers * kNumberBits;
  }

  // Classes for the source in force; where the predictor starts anew, now and then for the other one as well.
  BuiltTables build_phase_tables(const PhaseRecords& records) {
    const auto build = [&](ContextSource source) {
      PredictorSetup with = setup();
      with.source = source;
      return build_tables(keyed_records(records, with), with, records.ratio_256, true);
    };
    const PlannerMemory& memory = body_.memory;
    if (resets() && memory.phase_groups != 0) plan_->setup->source = memory.phase_source;
    BuiltTables built = build(setup().source);
    if (!resets() || memory.phase_groups % kSourceTurn != 0) return built;
    const auto other = setup().source == ContextSource::rate ? ContextSource::scale : ContextSource::rate;
    BuiltTables tried = build(other);
    if (tried.bits >= built.bits) return built;
    plan_->setup->source = other;
    return tried;
  }

  const TileState::Body& body_;
  GroupFrames frames_;
  const EncodeOptions& options_;
  std::uint8_t later_levels_;  ///< model phases: of frames with a past
  EncodePlanPtr plan_;
  std::shared_ptr<const MaskMap> mask_;
  LevelCodec codec_;
};

}  // namespace

EncodePlanPtr plan_predicted(const TileState::Body& body, const GroupPlace& place, GroupFrames frames,
                             const EncodeOptions& options) {
  const Profile wanted = options.profile;
  if (wanted == Profile::fast) return Planner(body, place, frames, options, 1).run();
  EncodeOptions smooth = options, phases = options;
  smooth.profile = Profile::fast;
  if (wanted == Profile::automatic) phases.profile = Profile::small;
  const auto plan = [&](const EncodeOptions& as, std::uint8_t later_levels) {
    EncodePlanPtr made = Planner(body, place, frames, as, later_levels).run();
    if (wanted != Profile::automatic && made->profile == Profile::fast) made->profile = wanted;
    return made;
  };
  // Weighed when a window starts, and for a known stream only now and then.
  const bool starts = place.key || !body.predictor;
  const bool weigh = starts && weighs_models(body.memory);
  if (!weigh) {
    const Model last = starts ? body.memory.model : body.predictor->setup.model;
    return plan(last == Model::phases ? phases : smooth,
                wanted == Profile::max ? body.memory.phase_levels : std::uint8_t{1});
  }
  EncodePlanPtr quick = plan(smooth, 1), slow = plan(phases, 1);
  if (wanted == Profile::max) {
    EncodePlanPtr pyramids = plan(phases, kPyramidLevels);
    if (pyramids->expected_bits < slow->expected_bits) slow = std::move(pyramids);
  }
  const std::uint64_t speed = wanted == Profile::automatic ? slow->expected_bits / kFasterShare : 0;
  const bool fewer = slow->expected_bits + speed < quick->expected_bits;
  return fewer || quick->kind != BlockKind::predicted ? std::move(slow) : std::move(quick);
}

}  // namespace ff::kernels::reference
