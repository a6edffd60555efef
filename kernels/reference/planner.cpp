// SPDX-License-Identifier: Apache-2.0
//
// Planner: coordinate descent on sampled costs; steady streams try one neighbouring choice a group.
#include "kernels/reference/planner.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "kernels/format/prior.hpp"
#include "kernels/reference/plan_levels.hpp"
#include "kernels/reference/plan_mask.hpp"
#include "kernels/reference/plan_phases.hpp"
#include "kernels/reference/plan_prior.hpp"
#include "kernels/reference/plan_sample.hpp"
#include "kernels/reference/plan_tables.hpp"

namespace ff::kernels::reference {
namespace {

constexpr std::array<std::uint16_t, 5> kSmoothings{0, 8192, 16384, 24576, 32767};
constexpr std::array<std::uint8_t, 5> kMemories{2, 4, 8, 16, 64};
constexpr std::array<std::uint8_t, 5> kPriorWeights{0, 1, 2, 4, 8};

// Sampled pixels: enough for about 25 contexts of 25 symbols, and for telling choices apart by a few per
// mille.
constexpr std::size_t kTableSampleMin = 32768, kTableShare = 24;
constexpr std::uint8_t kPyramidLevels =
    3;                                 // of frames without a past; with profile max, where it pays, of all
constexpr unsigned kProfileTurn = 16;  // groups after which profile auto weighs the models again
constexpr std::uint64_t kFasterShare = 100;  // of the bits: what the faster profile may cost more
constexpr unsigned kSourceTurn = 8;          // groups after which the other context source is tried again
constexpr std::size_t kTableBands = 8, kTrialBands = 3;  // fewer miss what is rare in an image
constexpr std::size_t kTrialSampleMin = 8192, kTrialShare = 128;

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
    if (!body_.memory.known) {
      choose_group_afresh();
    } else {
      revise_group();
    }
    choose_tables();
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
    plan_->group.streams = streams_for(built.bits / 8);
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

  // Trials start where coding will: from a prior of the first frame, or from the state.
  void start(BandSample& sample, const std::optional<Prior>& prior) const {
    if (prior) return sample.start(*prior);
    if (resets()) return sample.start(nullptr, nullptr, 0);
    const PredictorState& state = *body_.predictor;
    sample.start(state.mean.data(), state.scale.empty() ? nullptr : state.scale.data(), state.frames);
  }

  [[nodiscard]] Prior make_prior(const PredictorSetup& with, unsigned log2_block, unsigned weight) const {
    return plan_prior(frames_.front(), codec_, with, mask(), log2_block, weight);
  }

  // Bits of the trial sample under a choice.
  FixedBits cost(const BandSample& sample, const PredictorSetup& with, const GroupSetup& group) {
    records_.clear();
    sample.run({with, group}, frames_.size(), records_);
    return estimate_cost(records_, with);
  }

  // Tries the values of one field on both sides of the present one: all of them for a tile that is not known yet,
  // else as long as they get better.
  template <typename Field, typename Values>
  void try_field(const BandSample& sample, Field GroupSetup::*field, const Values& values,
                 std::ptrdiff_t reach) {
    const auto here = std::ranges::find(values, plan_->group.*field) - values.begin();
    const auto from = std::max<std::ptrdiff_t>(0, here - reach);
    const auto to = std::min<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(values.size()) - 1, here + reach);
    FixedBits best = cost(sample, setup(), plan_->group);
    const auto better = [&](std::ptrdiff_t i) {
      GroupSetup other = plan_->group;
      other.*field = values[static_cast<std::size_t>(i)];
      const FixedBits bits = cost(sample, setup(), other);
      // Equal: the larger value, as a memory longer than the group may yet be of use.
      const bool gains = bits < best || (bits == best && other.*field > plan_->group.*field);
      if (gains) plan_->group = other, best = bits;
      return gains || !body_.memory.known;
    };
    const GroupSetup before = plan_->group;
    for (std::ptrdiff_t i = std::min(here, to) + 1; i <= to && better(i); ++i) {
    }
    if (!(plan_->group == before) && body_.memory.known) return;
    for (std::ptrdiff_t i = std::min(here, to + 1); i-- > from && better(i);) {
    }
  }

  // A tile that is known goes on as before, but for one neighbouring choice of the group's and one of the prior's.
  void revise_group() {
    const PlannerMemory& memory = body_.memory;
    if (resets()) plan_->prior = make_prior(setup(), memory.prior_block, memory.prior_weight);
    if (memory.trial_rest != 0) {
      plan_->trials = PlanTrials::rested;
      return;
    }
    try_group();
    if (resets()) choose_prior();
    const bool same_prior = !plan_->prior || (plan_->prior->log2_block == memory.prior_block &&
                                              plan_->prior->frames_weight == memory.prior_weight);
    plan_->trials = plan_->group == memory.group && same_prior ? PlanTrials::kept : PlanTrials::changed;
  }

  void try_group() {
    const std::size_t pixels = body_.shape.pixels() * frames_.size();
    BandSample sample(body_.shape, frames_.size(), std::max(kTrialSampleMin, pixels / kTrialShare),
                      kTrialBands);
    sample.read(frames_, codec_, mask());
    start(sample, plan_->prior);
    // Young streams of short groups have not seen much yet: they try everything.
    const std::ptrdiff_t reach = body_.memory.trials < 16 ? 4 : 1;
    // The turn moves on by itself: windows are often of four groups.
    switch ((body_.memory.trials + body_.memory.trials / 4) % 4) {
      case 0: try_field(sample, &GroupSetup::mean_frames, kMemories, reach); break;
      case 2:
        if (setup().source == ContextSource::scale) {
          try_field(sample, &GroupSetup::scale_smoothing, kSmoothings, reach);
          break;
        }
        [[fallthrough]];
      default: try_field(sample, &GroupSetup::smoothing, kSmoothings, reach); break;
    }
  }

  // Nothing is known of this tile yet: both sources, all values.
  void choose_group_afresh() {
    // This group decides for long: it may look at more.
    const std::size_t pixels = body_.shape.pixels() * frames_.size();
    BandSample sample(body_.shape, frames_.size(), std::max(4 * kTrialSampleMin, pixels / (kTrialShare / 2)),
                      kTrialBands);
    sample.read(frames_, codec_, mask());
    plan_->group = GroupSetup{8192, 24576, 16, 16, 1};
    if (resets()) {
      std::array<FixedBits, 2> bits{};
      for (const ContextSource source : {ContextSource::rate, ContextSource::scale}) {
        plan_->setup->source = source;
        start(sample, make_prior(setup(), 4, body_.memory.prior_weight));
        bits[static_cast<std::size_t>(source)] = cost(sample, setup(), plan_->group);
      }
      plan_->setup->source = bits[1] < bits[0] ? ContextSource::scale : ContextSource::rate;
      plan_->prior = make_prior(setup(), 4, body_.memory.prior_weight);
      choose_prior();  // first: a prior that counts for too much makes short memories look good
    }
    start(sample, plan_->prior);
    try_field(sample, &GroupSetup::smoothing, kSmoothings, 4);
    if (frames_.size() > 2) try_field(sample, &GroupSetup::mean_frames, kMemories, 4);
    if (setup().source == ContextSource::scale)
      try_field(sample, &GroupSetup::scale_smoothing, kSmoothings, 4);
  }

  // The grid that makes first frame and grid together the cheapest; then how many frames it is worth.
  void choose_prior() {
    const std::size_t first_frames = std::min<std::size_t>(frames_.size(), 4);
    BandSample sample(body_.shape, first_frames, kTrialSampleMin, kTrialBands);
    sample.read(frames_.first(first_frames), codec_, mask());
    const auto whole_cost = [&](const Prior& prior) {
      sample.start(prior);
      records_.clear();
      sample.run({setup(), plan_->group}, first_frames, records_);
      return estimate_cost(records_, setup()) / 256 * sample.ratio_256() +
             (FixedBits{prior_bits(prior, body_.shape)} << kFixedBitsShift);
    };
    Prior& best = *plan_->prior;
    FixedBits best_cost = whole_cost(best);
    const auto consider = [&](Prior other) {
      const FixedBits bits = whole_cost(other);
      if (bits < best_cost) best = std::move(other), best_cost = bits;
    };
    // A tile whose streams are known tries one neighbour a window: finer, coarser, and the weight, in turn.
    const bool afresh = !body_.memory.known;
    const unsigned turn = body_.memory.trials % 3;
    for (unsigned log2_block = 2; log2_block <= 5; ++log2_block) {
      const bool neighbour = turn != 2 && log2_block + 1 == best.log2_block + 2 * turn;
      if (log2_block != best.log2_block && (afresh || neighbour)) {
        consider(make_prior(setup(), log2_block, best.frames_weight));
        if (!afresh) break;
      }
    }
    for (const std::uint8_t weight : kPriorWeights) {
      if (first_frames < 2 || (!afresh && turn != 2)) break;
      Prior other = best;
      other.frames_weight = weight;
      consider(std::move(other));
    }
  }

  void choose_tables() {
    const std::size_t pixels = body_.shape.pixels() * frames_.size();
    BandSample sample(body_.shape, frames_.size(), std::max(kTableSampleMin, pixels / kTableShare),
                      kTableBands);
    sample.read(frames_, codec_, mask());
    start(sample, plan_->prior);
    records_.clear();
    sample.run({setup(), plan_->group}, frames_.size(), records_);
    BuiltTables built = build_tables(records_, setup(), sample.ratio_256());
    plan_->tables = std::make_shared<const ContextTables>(std::move(built.tables));
    std::uint64_t bits = built.bits;
    if (const auto old = reusable_tables(); old != nullptr) {
      const FixedBits old_cost = table_cost(records_, setup(), *old);
      const std::uint64_t old_bits = (old_cost / 256 * sample.ratio_256()) >> kFixedBitsShift;
      if (old_bits <= built.sample_bits) plan_->tables = nullptr, bits = old_bits;
    }
    plan_->group.streams = streams_for(bits / 8);
    plan_->expected_bits = bits + (plan_->prior ? prior_bits(*plan_->prior, body_.shape) : 0);
    if (bits / 8 > pixels * dtype_bytes(body_.shape.dtype)) plan_->kind = BlockKind::raw_zstd;
  }

  [[nodiscard]] std::shared_ptr<const ContextTables> reusable_tables() const {
    return resets() ? nullptr : body_.predictor->tables;
  }

  // A stream costs 128 bytes; four of them decode faster than one. Never more than about 0.3 % for that.
  [[nodiscard]] static std::uint8_t streams_for(std::uint64_t payload_bytes) noexcept {
    return payload_bytes >= 131072 ? 4 : payload_bytes >= 65536 ? 2 : 1;
  }

  const TileState::Body& body_;
  GroupFrames frames_;
  const EncodeOptions& options_;
  std::uint8_t later_levels_;  ///< model phases: of frames with a past
  EncodePlanPtr plan_;
  std::shared_ptr<const MaskMap> mask_;
  LevelCodec codec_;
  SampleRecords records_;
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
