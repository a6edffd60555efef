// SPDX-License-Identifier: Apache-2.0
//
// Random plans of the model phases: all that block.md allows and an encoder might never choose, for tests that
// compare devices byte by byte. A plan is a function of state, pixels and the generator's state only.
//
//     wild       weights up to the range's ends, any classes, tables that know nothing of the pixels
//     sensible   averaging weights, classes that fit, counted tables: blocks that shrink
//
// Not here   blocks of plans that do not shrink (forced_block.hpp), plans worth having (kernels/reference/).
#pragma once

#include <algorithm>
#include <numeric>
#include <optional>

#include "common/base/check.hpp"
#include "kernels/format/frequencies.hpp"
#include "kernels/predictor_state.hpp"
#include "kernels/reference/plan_levels.hpp"
#include "kernels/reference/plan_mask.hpp"
#include "kernels/reference/predict.hpp"
#include "tests/support/group_images.hpp"

namespace ff::tests {

/// What a test wants to see; everything absent is drawn.
struct PhaseWishes {
  std::span<const std::int64_t> sentinels;
  std::span<const std::uint8_t> mask;  ///< rows x cols, 1 = to be masked where its value stays
  std::optional<kernels::ContextSource> source;
  std::optional<kernels::PhaseSetup> phases;
  std::optional<kernels::LevelMap> levels;
  std::optional<std::uint8_t> up, down, table_bits, streams;
  std::optional<bool> count;                                  ///< frequencies counted by the encoder
  std::optional<std::vector<kernels::ContextClass>> classes;  ///< where tables are sent
  bool sensible = false;
  bool hold = false;  ///< setup, tables and mixes go on wherever they can
};

class PhasePlans {
 public:
  PhasePlans(const kernels::TileState& state, const kernels::GroupPlace& place, kernels::GroupFrames frames,
             TestRandom& random, const PhaseWishes& wishes)
      : body_(state.body()), place_(place), frames_(frames), random_(random), wishes_(wishes) {}

  [[nodiscard]] kernels::EncodePlan make() {
    kernels::EncodePlan plan;
    plan.tile = body_.shape;
    plan.place = place_;
    plan.kind = kernels::BlockKind::predicted;
    choose_setup(plan);
    const bool large = setup_.phases.wide || setup_.phases.later_levels > 1;
    plan.profile = large ? kernels::Profile::max : kernels::Profile::small;
    plan.group = group_setup();
    choose_tables(plan);
    choose_mixes(plan);
    return plan;
  }

 private:
  using Plan = kernels::EncodePlan;

  [[nodiscard]] bool one_in(std::uint64_t n) { return random_.below(n) == 0; }
  template <typename T = std::uint8_t>
  [[nodiscard]] T upto(std::uint64_t last) {
    return static_cast<T>(random_.below(last + 1));
  }
  template <typename T>
  [[nodiscard]] T wished(const std::optional<T>& wish, T drawn) const {
    return wish ? *wish : drawn;
  }

  // ------------------------------------------------------------------------------------- setup and mask
  void choose_setup(Plan& plan) {
    using namespace kernels;
    const bool continues = !place_.key && body_.predictor && body_.predictor->phases;
    const auto& before = continues ? body_.predictor->mask : no_mask_;
    EncodeOptions options;
    options.mask = wishes_.mask;
    options.sentinels = wishes_.sentinels;
    const auto mask =
        reference::plan_mask(body_.shape, frames_, options, before, !continues && !wishes_.mask.empty());
    if (continues && reference::expresses(body_.predictor->codec, frames_, mask.get()) &&
        (wishes_.hold || !one_in(8))) {
      if (mask != before) plan.mask = mask;
      setup_ = body_.predictor->setup;
      return;
    }
    plan.mask = mask;
    PredictorSetup setup;
    setup.model = Model::phases;
    setup.source = wished(wishes_.source, one_in(2) ? ContextSource::rate : ContextSource::scale);
    setup.phases = wished(wishes_.phases, phase_setup());
    setup.levels = level_map(mask.get());
    choose_shifts(setup, mask.get());
    plan.setup = setup_ = setup;
    anew_ = true;
  }

  kernels::PhaseSetup phase_setup() {
    unsigned most = 1;
    while (kernels::levels_fit(body_.shape.rows, body_.shape.cols, most + 1)) ++most;
    const auto key = static_cast<std::uint8_t>(1 + upto(most - 1));
    const auto later = static_cast<std::uint8_t>(one_in(2) ? 1 : 1 + upto(std::min(most, 3u) - 1));
    return {key, later, one_in(2)};
  }

  // Calls visit(value) for every pixel that is neither masked nor a sentinel.
  template <typename Visit>
  void for_each_value(const kernels::MaskMap* mask, Visit&& visit) const {
    const FrameShape& tile = body_.shape;
    for (const FrameView& frame : frames_) {
      for (std::size_t p = 0; p < tile.pixels(); ++p) {
        const std::byte* pixel =
            frame.row(static_cast<std::uint32_t>(p / tile.cols)) + p % tile.cols * dtype_bytes(tile.dtype);
        const std::int64_t value = kernels::load_pixel(tile.dtype, pixel);
        const bool sentinel = std::ranges::find(wishes_.sentinels, value) != wishes_.sentinels.end();
        if (!sentinel && (mask == nullptr || mask->classes[p] == 0)) visit(value);
      }
    }
  }

  kernels::LevelMap level_map(const kernels::MaskMap* mask) {
    if (wishes_.levels) return *wishes_.levels;
    std::vector<std::int64_t> used;
    for_each_value(mask, [&](std::int64_t v) { used.push_back(v); });
    std::ranges::sort(used);
    used.erase(std::unique(used.begin(), used.end()), used.end());
    if (used.empty()) used.push_back(0);
    const auto full = static_cast<std::uint8_t>(8 * dtype_bytes(body_.shape.dtype));
    kernels::LevelMap map;
    map.sentinels.assign(wishes_.sentinels.begin(), wishes_.sentinels.end());
    for (int tries = 0; tries < 8; ++tries) {
      map.level_bits = static_cast<std::uint8_t>(full >> upto(full == 32 ? 2 : full == 16 ? 1 : 0));
      map.base = wishes_.sensible || one_in(2) ? used.front() : used[random_.below(used.size())];
      map.kind = kernels::LevelMapKind::offset;
      map.packed.clear();
      if (one_in(3) && packs(used, map)) {
        map.kind = kernels::LevelMapKind::packed;
        map.base = used.front();
        map.packed = used;
      }
      if (kernels::reference::expresses(kernels::LevelCodec(map, body_.shape.dtype), frames_, mask))
        return map;
    }
    map = {full, kernels::LevelMapKind::offset, one_in(2) ? 0 : used.front(), map.sentinels, {}};
    return map;
  }

  [[nodiscard]] static bool packs(const std::vector<std::int64_t>& used, const kernels::LevelMap& map) {
    return used.size() <= std::min<std::size_t>(map.first_sentinel_level(), 65535) &&
           used.back() - used.front() <= 65535;
  }

  void choose_shifts(kernels::PredictorSetup& setup, const kernels::MaskMap* mask) {
    const kernels::LevelCodec codec(setup.levels, body_.shape.dtype);
    std::uint32_t largest = 1;
    for_each_value(mask, [&](std::int64_t v) { largest = std::max(largest, codec.level(v)); });
    unsigned fits_up = 0, fits_down = 0;
    while (fits_up < 12 && std::uint64_t{largest} << (fits_up + 1) <= 32767) ++fits_up;
    while (largest >> fits_down > 32767) ++fits_down;
    const unsigned down_max = setup.levels.level_bits == 32 ? 16 : setup.levels.level_bits == 16 ? 1 : 0;
    const bool wild = !wishes_.sensible && one_in(3);
    setup.up = wished(wishes_.up, wild ? upto(12) : static_cast<std::uint8_t>(fits_up));
    const auto down = static_cast<std::uint8_t>(std::min(wild ? upto(16) : fits_down, down_max));
    setup.down = setup.up != 0 ? std::uint8_t{0} : wished(wishes_.down, down);
  }

  // ------------------------------------------------------------------------------------ group and tables
  kernels::GroupSetup group_setup() {
    const auto memory = [&] { return static_cast<std::uint8_t>(1 + upto(one_in(3) ? 63 : 15)); };
    kernels::GroupSetup group;
    group.smoothing = 0;
    group.mean_frames = memory();
    group.scale_frames = memory();
    group.fast_frames = one_in(4) ? memory() : static_cast<std::uint8_t>(1 + upto(5));
    group.streams = wished(wishes_.streams, static_cast<std::uint8_t>(1u << upto(3)));
    return group;
  }

  void choose_tables(Plan& plan) {
    using namespace kernels;
    if (!anew_ && body_.predictor->tables && (wishes_.hold || one_in(3))) return;  // the state's go on
    auto tables = std::make_shared<ContextTables>();
    tables->bits = wished(wishes_.table_bits, static_cast<std::uint8_t>(11 + upto(1)));
    tables->classes = wishes_.classes ? *wishes_.classes : classes();
    plan.count_frequencies = wished(wishes_.count, wishes_.sensible || one_in(2));
    for (const ContextClass& c : tables->classes) {
      for (std::size_t i = 0; i < c.contexts() && !plan.count_frequencies; ++i)
        tables->frequencies.push_back(frequencies_of(histogram(), tables->bits));
    }
    plan.tables = std::move(tables);
  }

  std::vector<kernels::ContextClass> classes() {
    const bool may_split = setup_.source == kernels::ContextSource::rate || setup_.up >= 2;
    std::vector<kernels::ContextClass> result;
    std::size_t covered = 0, contexts = 0;
    const std::size_t most = wishes_.sensible ? 12 : kernels::kContextsMax;
    const std::uint64_t longest = 1 + random_.below(one_in(2) ? 20 : 120);
    while (covered < kernels::kBuckets) {
      kernels::ContextClass c;
      c.residual = wishes_.sensible || !one_in(3);
      c.raw_bits = c.residual ? upto(wishes_.sensible ? 1 : 15) : std::uint8_t{0};
      c.split = may_split && one_in(3) && contexts + 5 <= most;
      const bool last = contexts + c.contexts() + 1 > most - 1;
      const std::size_t left = kernels::kBuckets - covered;
      c.buckets = static_cast<std::uint8_t>(last ? left : std::min(left, 1 + random_.below(longest)));
      covered += c.buckets;
      contexts += c.contexts();
      result.push_back(c);
    }
    return result;
  }

  kernels::Histogram histogram() {
    kernels::Histogram counts{};
    const std::uint64_t kind = random_.below(4);
    const std::uint64_t centre = random_.below(256), width = 1 + random_.below(40);
    for (std::size_t s = 0; s < counts.size(); ++s) {
      const std::uint64_t away = s > centre ? s - centre : centre - s;
      if (kind == 0) counts[s] = upto<std::uint32_t>(1000);                                 // anything
      if (kind == 1 && away < width) counts[s] = static_cast<std::uint32_t>(width - away);  // a hump
      if (kind == 2 && one_in(20)) counts[s] = upto<std::uint32_t>(100000);                 // a few symbols
    }
    return counts;  // kind 3: empty
  }

  // ---------------------------------------------------------------------------------------------- mixes
  void choose_mixes(Plan& plan) {
    using namespace kernels;
    const std::uint32_t rows = body_.shape.rows, cols = body_.shape.cols;
    FrameMix last =
        anew_ ? FrameMix(plane_count(setup_.phases.later_levels)) : body_.predictor->phases->last_mixes;
    for (std::size_t t = 0; t < frames_.size(); ++t) {
      const bool past = t > 0 || !(anew_ || body_.predictor->frames == 0);
      const unsigned levels = past ? setup_.phases.later_levels : setup_.phases.key_levels;
      FrameMix& mixes = plan.mixes.emplace_back(plane_count(levels));
      for (std::size_t p = 0; p < mixes.size(); ++p) {
        if (past && last[p] && (wishes_.hold || !one_in(3))) continue;
        const PhasePlaneShape plane = phase_plane(rows, cols, levels, p);
        mixes[p] = mix(mix_features(plane, past, setup_.phases.wide), past, plane.first);
        if (past) last[p] = mixes[p];
      }
    }
  }

  kernels::PlaneMix mix(std::size_t features, bool past, bool first) {
    using namespace kernels;
    PlaneMix result;
    const bool sensible = wishes_.sensible || !one_in(4);
    if (features > 0)
      share(sensible ? 4096 : upto<std::int32_t>(32767), !sensible,
            std::span(result.weights).first(features));
    share(sensible ? 4096 : upto<std::int32_t>(32767), false, result.scale_weights);
    if (sensible && !past) result.scale_weights[0] = result.scale_weights[1] = 0;
    if (sensible && first && !past) result.bias = static_cast<std::int16_t>(typical());
    if (!sensible) {
      result.bias = static_cast<std::int16_t>(upto<std::int32_t>(65534) - 32767);
      result.scale_bias = static_cast<std::int16_t>(upto<std::int32_t>(65534) - 32767);
    }
    result = storable_mix(result);
    if (sensible && features > 0)  // the first weight is exact: what the others' rounding left
      result.weights[0] = static_cast<std::int16_t>(
          4096 - std::accumulate(result.weights.begin() + 1, result.weights.end(), 0));
    FF_CHECK(mix_in_range(result));
    return result;
  }

  // Weights whose magnitudes sum to about `sum`, never to more.
  void share(std::int32_t sum, bool signs, std::span<std::int16_t> weights) {
    std::int64_t total = 0;
    std::vector<std::int64_t> parts;
    for (std::size_t j = 0; j < weights.size(); ++j) total += parts.emplace_back(1 + upto<std::int64_t>(99));
    for (std::size_t j = 0; j < weights.size(); ++j) {
      const auto part = static_cast<std::int16_t>(sum * parts[j] / total);
      weights[j] = signs && one_in(2) ? static_cast<std::int16_t>(-part) : part;
    }
  }

  // The state's value of a middling pixel.
  std::int32_t typical() {
    if (typical_) return *typical_;
    const kernels::LevelCodec codec(setup_.levels, body_.shape.dtype);
    std::vector<std::int32_t> seen;
    for_each_value(nullptr, [&](std::int64_t v) {
      if (codec.has_level(v)) seen.push_back(kernels::reference::seen(codec.level(v), setup_));
    });
    if (seen.empty()) seen.push_back(0);
    std::ranges::nth_element(seen, seen.begin() + static_cast<std::ptrdiff_t>(seen.size() / 2));
    return *(typical_ = seen[seen.size() / 2]);
  }

  const kernels::TileState::Body& body_;
  const kernels::GroupPlace& place_;
  kernels::GroupFrames frames_;
  TestRandom& random_;
  const PhaseWishes& wishes_;
  const std::shared_ptr<const kernels::MaskMap> no_mask_;
  kernels::PredictorSetup setup_;
  bool anew_ = false;
  std::optional<std::int32_t> typical_;
};

/// A plan for the next group of `state`: valid and storable. Precondition: the tile has two rows and two columns.
[[nodiscard]] inline kernels::EncodePlan random_phase_plan(const kernels::TileState& state,
                                                           const kernels::GroupPlace& place,
                                                           kernels::GroupFrames frames, TestRandom& random,
                                                           const PhaseWishes& wishes = {}) {
  return PhasePlans(state, place, frames, random, wishes).make();
}

}  // namespace ff::tests
