// SPDX-License-Identifier: Apache-2.0
//
// Phase planning: frame by frame, plane by plane; new weights where what they save has grown to what they cost.
#include "kernels/reference/plan_phases.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/reference/phases.hpp"
#include "kernels/reference/plan_bands.hpp"
#include "kernels/reference/plan_mix.hpp"

namespace ff::kernels::reference {
namespace {

constexpr std::size_t kSampleMin = 16384, kSampleOfKnown = 8192;  // pixels of a frame, all planes
constexpr std::size_t kSampleShare = 12;
constexpr std::size_t kThinMax = 4;      // of the runs of planes that are sampled whole
constexpr std::size_t kRunPixels = 512;  // of a sum of products: shorter ones take longer
constexpr std::size_t kRecordsMin = 65536, kRecordsOfKnown = 32768;  // of a group: enough to find its classes
constexpr std::size_t kRecordShare = 32;
constexpr double kRidge = 2e-4;
constexpr double kBitsPerSquare =
    0.7213475204444817;  // half of log2 e: bits a squared standard deviation costs
constexpr std::array<double, 3> kFadings{0, 0.5, 0.875};  // share of the sums of before
constexpr unsigned kPauseMax = 7;  // frames: weights that still serve are looked at ever more seldom

// What is remembered of a plane from frame to frame inside a group.
struct PlaneHistory {
  std::array<Moments, kFadings.size()> expectation{}, scale{};
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
        roots_(root_table(setup.up)),
        wanted_(std::max(known ? kSampleOfKnown : kSampleMin, tile.pixels() / kSampleShare)),
        bands_(tile, setup, group, codec, mask, wanted_),
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
      bands_.sample(p, sample_);
      shape_ = phase_plane(bands_.tile().rows, bands_.tile().cols, bands_.levels(), p);
      form_ = {mix_features(shape_, bands_.past(), setup_.phases.wide), bands_.past(), setup_.up};
      mixes[p] = bands_.past() ? fit_with_past(history_[p]) : fit_alone();
      bands_.settle(p, sample_);
      append(records);
    }
    bands_.learn();
    ++frame_turn_;
    records.ratio_256 = bands_.ratio_256() * record_step_;
    return mixes;
  }

 private:
  using Sums = std::array<std::array<std::int64_t, kMomentSums>, 2>;

  [[nodiscard]] std::size_t pitch() const noexcept { return sample_.pitch; }

  // Calls sum(first element, elements, turn) for runs of whole rows. Of planes that are sampled whole, because others
  // are predicted from them, some runs are enough for sums: one pair of so many, which is returned; other ones with
  // every frame.
  template <typename Sum>
  std::size_t for_runs(Sum&& sum) const {
    const std::size_t pixels = kPhases * sample_.rows * sample_.cols;
    const std::size_t most = bands_.past() ? kThinMax : 1;  // a frame alone has no other to add to
    const std::size_t thin = std::clamp<std::size_t>(pixels / wanted_, 1, most);
    const std::size_t step = std::max<std::size_t>(kRunPixels / pitch(), 1) * pitch();
    for (std::size_t at = 0, turn = 0; at < sample_.size(); at += step, ++turn) {
      if ((turn / 2 + frame_turn_) % thin == 0) sum(at, std::min(step, sample_.size() - at), turn);
    }
    return thin;
  }

  // Products of a plane's rows, every other run of them apart, so that one half can judge what the other half says.
  std::array<Moments, 2> expectation_moments() {
    MomentRows rows;
    const bool has_reference = form_.features != 0;
    std::array<const std::int16_t*, kMixFeaturesMax> features{};
    rows.features = features.data();
    rows.count = has_reference ? form_.features - 1 : 0;
    rows.floor = 0.3f * level();
    rows.one = level();
    Sums sums{};
    const std::size_t thin = for_runs([&](std::size_t at, std::size_t count, std::size_t turn) {
      for (std::size_t j = 0; j < rows.count; ++j) features[j] = &sample_.features[j + 1][at];
      rows.reference = has_reference ? &sample_.reference[at] : nullptr;
      rows.target = &sample_.target[at];
      rows.spread = &sample_.spread[at];
      rows.live = &sample_.live[at];
      loops_.add_moments(rows, count, sums[turn % 2].data());
    });
    rows.reference = has_reference ? sample_.reference.data() : nullptr;
    return {moments_of(sums[0].data(), rows.columns(), has_reference, thin),
            moments_of(sums[1].data(), rows.columns(), has_reference, thin)};
  }

  [[nodiscard]] float level() const noexcept { return static_cast<float>(1u << setup_.up); }

  void expect(const PlaneMix& mix) {
    std::array<const std::int16_t*, kMixFeaturesMax> features{};
    for (std::size_t j = 0; j < form_.features; ++j) features[j] = sample_.features[j].data();
    loops_.mix(features.data(), mix.weights.data(), form_.features, mix.bias, 0, sample_.size(),
               sample_.expected.data());
  }

  // Roots and misses of expectations just made.
  void measure_misses() {
    const std::size_t n = sample_.size();
    root_.resize(n);
    for (std::size_t i = 0; i < n; ++i)
      root_[i] =
          static_cast<std::int16_t>(roots_[bucket_of(static_cast<std::uint32_t>(sample_.expected[i]))]);
    for (std::size_t i = 0; i < n; ++i)
      sample_.miss[i] = static_cast<std::int16_t>(std::abs(sample_.target[i] - sample_.expected[i]));
  }

  // Products for the scale, under expectations just made.
  Moments scale_moments() {
    measure_misses();
    const std::size_t n = sample_.size();
    const auto& f = sample_.scale_features;
    if (bands_.past()) {
      for (std::size_t i = 0; i < n; ++i)
        sample_.spread[i] = static_cast<std::int16_t>((f[0][i] + 2 * f[1][i] + f[2][i]) >> 2);
    } else {
      for (std::size_t i = 0; i < n; ++i)
        sample_.spread[i] = static_cast<std::int16_t>(std::min(32767, f[2][i] + sample_.spread[i] * 3 / 4));
    }
    std::array<const std::int16_t*, kScaleFeatures> features{};
    MomentRows rows;
    rows.features = features.data();
    rows.count = kScaleFeatures;
    rows.floor = 0.16f * level();
    rows.one = level();
    rows.outlier = 4;
    std::array<std::int64_t, kMomentSums> sums{};
    const std::size_t thin = for_runs([&](std::size_t at, std::size_t count, std::size_t) {
      for (std::size_t j = 0; j < 3; ++j) features[j] = &f[j][at];
      features[3] = &root_[at];
      rows.target = &sample_.miss[at];
      rows.spread = &sample_.spread[at];
      rows.live = &sample_.live[at];
      loops_.add_moments(rows, count, sums.data());
    });
    return moments_of(sums.data(), rows.columns(), false, thin);
  }

  [[nodiscard]] std::array<bool, kScaleFeatures> usable_scales() const noexcept {
    return {bands_.past(), bands_.past(), !shape_.first, true};
  }

  void apply_scale(const PlaneMix& mix) {
    const auto& f = sample_.scale_features;
    const std::array<const std::int16_t*, kScaleFeatures> features{f[0].data(), f[1].data(), f[2].data(),
                                                                   root_.data()};
    loops_.mix(features.data(), mix.scale_weights.data(), kScaleFeatures, mix.scale_bias, 1, sample_.size(),
               sample_.scale.data());
  }

  // Nothing is known but this frame: its own weights.
  PlaneMix fit_alone() {
    PlaneMix mix;
    if (form_.features == 0) {
      mix.bias = mean_of_sample();
    } else {
      auto halves = expectation_moments();
      halves[0].add(halves[1], 1);
      set_expectation(mix, form_, least_squares(halves[0], kRidge));
    }
    expect(mix);
    fit_scale(mix, form_, scale_moments(), usable_scales());
    apply_scale(mix);
    return mix;
  }

  std::int16_t mean_of_sample() const noexcept {
    std::int64_t sum = 0, count = 0;
    for (std::size_t i = 0; i < sample_.size(); ++i) {
      sum += sample_.live[i] != 0 ? sample_.target[i] : 0;
      count += sample_.live[i];
    }
    return static_cast<std::int16_t>(count == 0 ? 0 : (sum + count / 2) / count);
  }

  // Weights from this frame and some of the past; the share of the past is what one half of the rows, fitted so,
  // says best about the other half.
  std::optional<PlaneMix> fit_with_past(PlaneHistory& history) {
    if (history.mix && history.rest > 0) return hold(history);
    const std::array<Moments, 2> halves = expectation_moments();
    Moments all = halves[0];
    all.add(halves[1], 1);
    std::size_t best = 0;
    double best_left = 0;
    const bool fades = history.expectation[0].columns != 0;
    for (std::size_t i = 0; i < (fades ? kFadings.size() : 1); ++i) {
      double left = 0;
      for (std::size_t half = 0; half < 2; ++half) {
        Moments known = halves[half];
        if (fades) known.add(history.expectation[i], kFadings[i]);
        left += left_over(halves[1 - half], least_squares(known, kRidge));
      }
      if (i == 0 || left < best_left) best = i, best_left = left;
    }
    for (std::size_t i = 0; i < kFadings.size(); ++i) {
      Moments next = all;
      if (fades) next.add(history.expectation[i], kFadings[i]);
      history.expectation[i] = next;
    }
    PlaneMix fitted;
    if (history.mix) fitted = *history.mix;
    set_expectation(fitted, form_, least_squares(history.expectation[best], kRidge));
    const double ratio = static_cast<double>(bands_.ratio_256()) / 256;
    const PlaneMix none;
    const unsigned cost = mix_bits(fitted, history.mix ? *history.mix : none, form_.features);
    if (history.mix) {
      const double old_left = left_over(all, expectation_coefficients(*history.mix, form_));
      history.regret +=
          std::max(0.0, (old_left - best_left) * kBitsPerSquare * ratio * noise_share(best_left)) *
          (1 + history.pause);
    }
    const bool fresh = !history.mix || history.regret >= cost;
    history.pause = fresh ? history.pause / 2 : std::min(2 * history.pause + 1, kPauseMax);
    history.rest = history.pause;
    expect(fresh ? fitted : *history.mix);
    const Moments scales = scale_moments();
    for (std::size_t i = 0; i < kFadings.size(); ++i) {
      Moments next = scales;
      if (history.scale[i].columns != 0) next.add(history.scale[i], kFadings[i]);
      history.scale[i] = next;
    }
    if (fresh) {
      fit_scale(fitted, form_, history.scale[best], usable_scales());
      history.mix = fitted;
      history.regret = 0;
    }
    apply_scale(*history.mix);
    return fresh ? std::optional<PlaneMix>(fitted) : std::nullopt;
  }

  // The weights in force, unquestioned.
  std::optional<PlaneMix> hold(PlaneHistory& history) {
    --history.rest;
    expect(*history.mix);
    measure_misses();
    apply_scale(*history.mix);
    return std::nullopt;
  }

  // The spread is a mean distance, so squares left are about 1.6 a pixel; bits go with squares over their mean.
  [[nodiscard]] double noise_share(double left) const noexcept {
    const double live = static_cast<double>(std::count(sample_.live.begin(), sample_.live.end(), 1));
    return left > 0 ? std::min(live / left, 4.0) : 1.0;
  }

  void append(PhaseRecords& records) {
    // Levels above the first are sampled whole: thinned to the bands' share.
    const std::size_t step =
        record_step_ * (shape_.level == 1 ? 1 : std::max<std::size_t>(bands_.ratio_256() / 256, 1));
    for (std::size_t y = record_turn_++ % step; y < sample_.rows; y += step) {
      for (std::size_t i = y * pitch(); i < y * pitch() + sample_.cols; ++i) {
        if (sample_.coded[i] == 0) continue;
        records.expected.push_back(static_cast<std::uint16_t>(sample_.expected[i]));
        records.scale.push_back(static_cast<std::uint16_t>(sample_.scale[i]));
        records.level.push_back(sample_.levels[i]);
      }
    }
  }

  const PredictorSetup& setup_;
  const PlanLoops& loops_ = plan_loops();
  RootTable roots_;
  std::size_t wanted_;  // pixels of a frame
  PhaseBands bands_;
  std::vector<PlaneHistory> history_;
  std::size_t frame_turn_ = 0;
  std::size_t record_step_ = 1, record_turn_ = 0;  // rows of the sample for one that is recorded
  PlaneSample sample_;
  PhasePlaneShape shape_;
  MixForm form_;
  std::vector<std::int16_t> root_;
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
