// SPDX-License-Identifier: Apache-2.0
//
// Phase planning: frame by frame, plane by plane; new weights where what they save has grown to what they cost.
#include "kernels/reference/plan_phases.hpp"

#include <algorithm>
#include <array>

#include "kernels/reference/phases.hpp"
#include "kernels/reference/plan_bands.hpp"
#include "kernels/reference/plan_plane_fit.hpp"

namespace ff::kernels::reference {
namespace {

constexpr std::size_t kSampleMin = 16384, kSampleOfKnown = 8192;  // pixels of a frame, all planes
constexpr std::size_t kSampleShare = 12;
constexpr std::size_t kRecordsMin = 65536, kRecordsOfKnown = 32768;  // of a group: enough to find its classes
constexpr std::size_t kRecordShare = 32;
constexpr double kBitsPerSquare =
    0.7213475204444817;  // half of log2 e: bits a squared standard deviation costs
constexpr std::array<double, 3> kFadings{0, 0.5, 0.875};  // share of the sums of before
constexpr unsigned kPauseMax = 7;  // frames: weights that still serve are looked at ever more seldom

// Sums of this frame and of those before, once for each share; empty ones before the first frame.
using FadingMoments = std::array<Moments, kFadings.size()>;

void add_frame(FadingMoments& fading, const Moments& now) {
  for (std::size_t i = 0; i < kFadings.size(); ++i) {
    Moments next = now;
    if (fading[i].columns != 0) next.add(fading[i], kFadings[i]);
    fading[i] = next;
  }
}

struct ChosenFading {
  std::size_t index = 0;
  double left = 0;  // squares
};

// The share of the past is what one half of the rows, fitted so, says best about the other half.
ChosenFading choose_fading(const FadingMoments& fading, const std::array<Moments, 2>& halves) {
  ChosenFading best;
  const bool fades = fading[0].columns != 0;
  for (std::size_t i = 0; i < (fades ? kFadings.size() : 1); ++i) {
    double left = 0;
    for (std::size_t half = 0; half < 2; ++half) {
      Moments known = halves[half];
      if (fades) known.add(fading[i], kFadings[i]);
      left += left_over(halves[1 - half], fitted_coefficients(known));
    }
    if (i == 0 || left < best.left) best = {i, left};
  }
  return best;
}

// What is remembered of a plane from frame to frame inside a group.
struct PlaneHistory {
  FadingMoments expectation{}, scale{};
  std::optional<PlaneMix> mix;   // in force
  double regret = 0;             // bits that newer weights would have saved since
  unsigned pause = 0, rest = 0;  // frames between two fits; of these, the ones left
};

class PhaseFitter {
 public:
  PhaseFitter(const FrameShape& tile, const PredictorSetup& setup, const GroupSetup& group,
              const LevelCodec& codec, const MaskMap* mask, const PredictorState* before, std::size_t frames,
              bool known)
      : setup_(setup),
        fit_(setup.up, sample_pixels(tile, known)),
        bands_(tile, setup, group, codec, mask, sample_pixels(tile, known)),
        history_(plane_count(setup.phases.later_levels)) {
    const std::size_t pixels = tile.pixels() * frames;
    const std::size_t sampled = pixels * 256 / bands_.ratio_256();
    record_step_ = std::max<std::size_t>(
        sampled / std::max(known ? kRecordsOfKnown : kRecordsMin, pixels / kRecordShare), 1);
    if (before == nullptr || before->frames == 0) return;
    bands_.start(*before->phases, before->frames);
    for (std::size_t p = 0; p < history_.size(); ++p) history_[p].mix = before->phases->last_mixes[p];
  }

  FrameMix fit_frame(const FrameView& frame, PhaseRecords& records) {
    bands_.read(frame);
    const std::size_t planes = plane_count(bands_.levels());
    FrameMix mixes(planes);
    for (std::size_t p = 0; p < planes; ++p) {
      const PhasePlaneShape shape = phase_plane(bands_.tile().rows, bands_.tile().cols, bands_.levels(), p);
      bands_.sample(p, fit_.sample);
      fit_.begin(shape, bands_.past(), setup_.phases.wide, frame_turn_);
      mixes[p] = bands_.past() ? fit_with_past(history_[p]) : fit_.fit_alone();
      bands_.settle(p, fit_.sample);
      append(shape, records);
    }
    bands_.learn();
    ++frame_turn_;
    records.ratio_256 = bands_.ratio_256() * record_step_;
    return mixes;
  }

 private:
  static std::size_t sample_pixels(const FrameShape& tile, bool known) noexcept {
    return std::max(known ? kSampleOfKnown : kSampleMin, tile.pixels() / kSampleShare);
  }

  // Weights from this frame and some of the past, where they are worth their bits.
  std::optional<PlaneMix> fit_with_past(PlaneHistory& history) {
    if (history.mix && history.rest > 0) return hold(history);
    const std::array<Moments, 2> halves = fit_.expectation_moments();
    const ChosenFading fading = choose_fading(history.expectation, halves);
    Moments all = halves[0];
    all.add(halves[1], 1);
    add_frame(history.expectation, all);
    PlaneMix fitted = history.mix.value_or(PlaneMix{});
    set_expectation(fitted, fit_.form(), fitted_coefficients(history.expectation[fading.index]));
    const bool fresh = worth_sending(history, fitted, all, fading.left);
    fit_.expect(fresh ? fitted : *history.mix);
    add_frame(history.scale, fit_.scale_moments());
    if (fresh) {
      fit_.fit_scale(fitted, history.scale[fading.index]);
      history.mix = fitted;
      history.regret = 0;
    }
    fit_.apply_scale(*history.mix);
    return fresh ? std::optional<PlaneMix>(fitted) : std::nullopt;
  }

  // Whether the regret has grown to what new weights cost; also decides when to look again.
  bool worth_sending(PlaneHistory& history, const PlaneMix& fitted, const Moments& now, double left) const {
    const MixForm& form = fit_.form();
    const unsigned cost = mix_bits(fitted, history.mix.value_or(PlaneMix{}), form.features);
    if (history.mix) {
      const double ratio = static_cast<double>(bands_.ratio_256()) / 256;
      const double old_left = left_over(now, expectation_coefficients(*history.mix, form));
      history.regret += std::max(0.0, (old_left - left) * kBitsPerSquare * ratio * fit_.noise_share(left)) *
                        (1 + history.pause);
    }
    const bool fresh = !history.mix || history.regret >= cost;
    history.pause = fresh ? history.pause / 2 : std::min(2 * history.pause + 1, kPauseMax);
    history.rest = history.pause;
    return fresh;
  }

  // The weights in force, unquestioned.
  std::optional<PlaneMix> hold(PlaneHistory& history) {
    --history.rest;
    fit_.expect(*history.mix);
    fit_.measure_misses();
    fit_.apply_scale(*history.mix);
    return std::nullopt;
  }

  void append(const PhasePlaneShape& shape, PhaseRecords& records) {
    const PlaneSample& sample = fit_.sample;
    // Levels above the first are sampled whole: thinned to the bands' share.
    const std::size_t step =
        record_step_ * (shape.level == 1 ? 1 : std::max<std::size_t>(bands_.ratio_256() / 256, 1));
    for (std::size_t y = record_turn_++ % step; y < sample.rows; y += step) {
      for (std::size_t i = y * sample.pitch; i < y * sample.pitch + sample.cols; ++i) {
        if (sample.coded[i] == 0) continue;
        records.expected.push_back(static_cast<std::uint16_t>(sample.expected[i]));
        records.scale.push_back(static_cast<std::uint16_t>(sample.scale[i]));
        records.level.push_back(sample.levels[i]);
      }
    }
  }

  const PredictorSetup& setup_;
  PlaneFit fit_;
  PhaseBands bands_;
  std::vector<PlaneHistory> history_;
  std::size_t frame_turn_ = 0;
  std::size_t record_step_ = 1, record_turn_ = 0;  // rows of the sample for one that is recorded
};

}  // namespace

PhaseFit fit_phases(const FrameShape& tile, const PredictorSetup& setup, const GroupSetup& group,
                    const LevelCodec& codec, const MaskMap* mask, const PredictorState* before,
                    GroupFrames frames, bool known) {
  PhaseFitter fitter(tile, setup, group, codec, mask, before, frames.size(), known);
  PhaseFit fit;
  for (const FrameView& frame : frames) fit.mixes.push_back(fitter.fit_frame(frame, fit.records));
  return fit;
}

SampleRecords keyed_records(const PhaseRecords& records, const PredictorSetup& setup) {
  const RootTable roots = root_table(setup.up);
  const bool by_rate = setup.source == ContextSource::rate;
  SampleRecords keyed;
  keyed.expected = records.expected;
  keyed.level = records.level;
  keyed.bucket.resize(records.size());
  if (by_rate) keyed.ratio.resize(records.size());
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::uint32_t rate_bucket = bucket_of(records.expected[i]);
    keyed.bucket[i] = static_cast<std::uint8_t>(by_rate ? rate_bucket : bucket_of(records.scale[i]));
    if (by_rate)
      keyed.ratio[i] = static_cast<std::uint8_t>(ratio_index(records.scale[i], roots[rate_bucket]));
  }
  return keyed;
}

}  // namespace ff::kernels::reference
