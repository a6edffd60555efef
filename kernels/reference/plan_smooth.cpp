// SPDX-License-Identifier: Apache-2.0
//
// Smooth planning: coordinate descent on sampled costs; steady streams try one neighbouring choice a group.
#include "kernels/reference/plan_smooth.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "kernels/format/prior.hpp"
#include "kernels/reference/plan_prior.hpp"
#include "kernels/reference/plan_sample.hpp"
#include "kernels/reference/plan_tables.hpp"

namespace ff::kernels::reference {
namespace {

constexpr std::array<std::uint16_t, 5> kSmoothings{0, 8192, 16384, 24576, 32767};
constexpr std::array<std::uint8_t, 5> kMemories{2, 4, 8, 16, 64};
constexpr std::array<std::uint8_t, 5> kPriorWeights{0, 1, 2, 4, 8};

// Sampled pixels: enough for about 25 contexts of 25 symbols, and for telling choices apart by a few per mille.
constexpr std::size_t kTableSampleMin = 32768, kTableShare = 24;
constexpr std::size_t kTrialSampleMin = 8192, kTrialShare = 128;
constexpr std::size_t kTableBands = 8, kTrialBands = 3;  // fewer miss what is rare in an image

class SmoothPlanner {
 public:
  SmoothPlanner(const SmoothGroup& in, EncodePlan& plan) : in_(in), plan_(plan) {}

  void run() {
    if (in_.body.memory.known) {
      revise_group();
    } else {
      choose_group_afresh();
    }
    choose_tables();
  }

 private:
  [[nodiscard]] bool resets() const noexcept { return plan_.setup.has_value(); }
  [[nodiscard]] const PredictorSetup& setup() const noexcept {
    return resets() ? *plan_.setup : in_.body.predictor->setup;
  }

  [[nodiscard]] BandSample read_sample(GroupFrames frames, std::size_t pixels, std::size_t bands) const {
    BandSample sample(in_.body.shape, frames.size(), pixels, bands);
    sample.read(frames, in_.codec, in_.mask);
    return sample;
  }

  // Bits of the trial sample under a choice.
  FixedBits cost(const BandSample& sample, const PredictorSetup& with, const GroupSetup& group) {
    records_.clear();
    sample.run({with, group}, in_.frames.size(), records_);
    return estimate_cost(records_, with);
  }

  // Tries the values of one field on both sides of the present one: all of them for a tile that is not known yet,
  // else as long as they get better.
  template <typename Field, typename Values>
  void try_field(const BandSample& sample, Field GroupSetup::*field, const Values& values,
                 std::ptrdiff_t reach) {
    const auto here = std::ranges::find(values, plan_.group.*field) - values.begin();
    const auto from = std::max<std::ptrdiff_t>(0, here - reach);
    const auto to = std::min<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(values.size()) - 1, here + reach);
    FixedBits best = cost(sample, setup(), plan_.group);
    const auto better = [&](std::ptrdiff_t i) {
      GroupSetup other = plan_.group;
      other.*field = values[static_cast<std::size_t>(i)];
      const FixedBits bits = cost(sample, setup(), other);
      // Equal: the larger value, as a memory longer than the group may yet be of use.
      const bool gains = bits < best || (bits == best && other.*field > plan_.group.*field);
      if (gains) plan_.group = other, best = bits;
      return gains || !in_.body.memory.known;
    };
    const GroupSetup before = plan_.group;
    for (std::ptrdiff_t i = std::min(here, to) + 1; i <= to && better(i); ++i) {
    }
    if (!(plan_.group == before) && in_.body.memory.known) return;
    for (std::ptrdiff_t i = std::min(here, to + 1); i-- > from && better(i);) {
    }
  }

  // A tile that is known goes on as before, but for one neighbouring choice of the group's and one of the prior's.
  void revise_group() {
    const PlannerMemory& memory = in_.body.memory;
    if (resets()) plan_.prior = make_prior(setup(), memory.prior_block, memory.prior_weight);
    if (memory.trial_rest != 0) {
      plan_.trials = PlanTrials::rested;
      return;
    }
    try_group();
    if (resets()) choose_prior();
    const bool same_prior = !plan_.prior || (plan_.prior->log2_block == memory.prior_block &&
                                             plan_.prior->frames_weight == memory.prior_weight);
    plan_.trials = plan_.group == memory.group && same_prior ? PlanTrials::kept : PlanTrials::changed;
  }

  void try_group() {
    const std::size_t pixels = in_.body.shape.pixels() * in_.frames.size();
    BandSample sample = read_sample(in_.frames, std::max(kTrialSampleMin, pixels / kTrialShare), kTrialBands);
    start(sample, plan_.prior);
    // Young streams of short groups have not seen much yet: they try everything.
    const std::ptrdiff_t reach = in_.body.memory.trials < 16 ? 4 : 1;
    // The turn moves on by itself: windows are often of four groups.
    switch ((in_.body.memory.trials + in_.body.memory.trials / 4) % 4) {
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
    const std::size_t pixels = in_.body.shape.pixels() * in_.frames.size();
    BandSample sample =
        read_sample(in_.frames, std::max(4 * kTrialSampleMin, pixels / (kTrialShare / 2)), kTrialBands);
    plan_.group = GroupSetup{8192, 24576, 16, 16, 1};
    if (resets()) {
      std::array<FixedBits, 2> bits{};
      for (const ContextSource source : {ContextSource::rate, ContextSource::scale}) {
        plan_.setup->source = source;
        start(sample, make_prior(setup(), 4, in_.body.memory.prior_weight));
        bits[static_cast<std::size_t>(source)] = cost(sample, setup(), plan_.group);
      }
      plan_.setup->source = bits[1] < bits[0] ? ContextSource::scale : ContextSource::rate;
      plan_.prior = make_prior(setup(), 4, in_.body.memory.prior_weight);
      choose_prior();  // first: a prior that counts for too much makes short memories look good
    }
    start(sample, plan_.prior);
    try_field(sample, &GroupSetup::smoothing, kSmoothings, 4);
    if (in_.frames.size() > 2) try_field(sample, &GroupSetup::mean_frames, kMemories, 4);
    if (setup().source == ContextSource::scale)
      try_field(sample, &GroupSetup::scale_smoothing, kSmoothings, 4);
  }

  // The grid that makes first frame and grid together the cheapest; then how many frames it is worth.
  void choose_prior() {
    const std::size_t first_frames = std::min<std::size_t>(in_.frames.size(), 4);
    BandSample sample = read_sample(in_.frames.first(first_frames), kTrialSampleMin, kTrialBands);
    const auto whole_cost = [&](const Prior& prior) {
      sample.start(prior);
      records_.clear();
      sample.run({setup(), plan_.group}, first_frames, records_);
      return estimate_cost(records_, setup()) / 256 * sample.ratio_256() +
             (FixedBits{prior_bits(prior, in_.body.shape)} << kFixedBitsShift);
    };
    Prior& best = *plan_.prior;
    FixedBits best_cost = whole_cost(best);
    const auto consider = [&](Prior other) {
      const FixedBits bits = whole_cost(other);
      if (bits < best_cost) best = std::move(other), best_cost = bits;
    };
    // A tile whose streams are known tries one neighbour a window: finer, coarser, and the weight, in turn.
    const bool afresh = !in_.body.memory.known;
    const unsigned turn = in_.body.memory.trials % 3;
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

  // Trials start where coding will: from a prior of the first frame, or from the state.
  void start(BandSample& sample, const std::optional<Prior>& prior) const {
    if (prior) return sample.start(*prior);
    if (resets()) return sample.start(nullptr, nullptr, 0);
    const PredictorState& state = *in_.body.predictor;
    sample.start(state.mean.data(), state.scale.empty() ? nullptr : state.scale.data(), state.frames);
  }

  [[nodiscard]] Prior make_prior(const PredictorSetup& with, unsigned log2_block, unsigned weight) const {
    return plan_prior(in_.frames.front(), in_.codec, with, in_.mask, log2_block, weight);
  }

  void choose_tables() {
    const std::size_t pixels = in_.body.shape.pixels() * in_.frames.size();
    BandSample sample = read_sample(in_.frames, std::max(kTableSampleMin, pixels / kTableShare), kTableBands);
    start(sample, plan_.prior);
    records_.clear();
    sample.run({setup(), plan_.group}, in_.frames.size(), records_);
    BuiltTables built = build_tables(records_, setup(), sample.ratio_256());
    plan_.tables = std::make_shared<const ContextTables>(std::move(built.tables));
    std::uint64_t bits = built.bits;
    if (const auto old = reusable_tables(); old != nullptr) {
      const FixedBits old_cost = table_cost(records_, setup(), *old);
      const std::uint64_t old_bits = (old_cost / 256 * sample.ratio_256()) >> kFixedBitsShift;
      if (old_bits <= built.sample_bits) plan_.tables = nullptr, bits = old_bits;
    }
    plan_.group.streams = streams_for(bits);
    plan_.expected_bits = bits + (plan_.prior ? prior_bits(*plan_.prior, in_.body.shape) : 0);
    if (bits / 8 > pixels * dtype_bytes(in_.body.shape.dtype)) plan_.kind = BlockKind::raw_zstd;
  }

  [[nodiscard]] std::shared_ptr<const ContextTables> reusable_tables() const {
    return resets() ? nullptr : in_.body.predictor->tables;
  }

  const SmoothGroup& in_;
  EncodePlan& plan_;
  SampleRecords records_;
};

}  // namespace

void plan_smooth(const SmoothGroup& in, EncodePlan& plan) { SmoothPlanner(in, plan).run(); }

}  // namespace ff::kernels::reference
