// SPDX-License-Identifier: Apache-2.0
//
// Mix as bits: differences to the plane's last weights, in codes whose order follows their size.
#include "kernels/format/phase_mix.hpp"

#include <cstdlib>
#include <functional>

namespace ff::kernels {
namespace {

// Order of the next Exp-Golomb code of one kind of number, learned from the last ones (block.md §5.7).
class DifferenceOrder {
 public:
  explicit DifferenceOrder(std::uint32_t start) noexcept : mean_(start) {}
  [[nodiscard]] unsigned order() const noexcept { return static_cast<unsigned>(std::bit_width(mean_ >> 4)); }
  void learn(std::uint32_t z) noexcept { mean_ += 2 * z - (mean_ >> 2); }

 private:
  std::uint32_t mean_;
};

struct MixOrders {
  DifferenceOrder first{4096}, weight{256}, bias{4096}, scale_weight{128}, scale_bias{1024};
};

constexpr PlaneMix kNoMix{};

// Visits the numbers of a mix in the order of the file: fn(order, number, before, unit).
template <typename Mix, typename Fn>
bool visit_mix(Mix& mix, const PlaneMix& before, std::size_t features, MixOrders& orders, Fn&& fn) {
  bool good = true;
  for (std::size_t j = 0; j < features; ++j) {
    const bool first = j == 0;
    good = good &&
           fn(first ? orders.first : orders.weight, mix.weights[j], before.weights[j], first ? 1 : kMixStep);
  }
  good = good && fn(orders.bias, mix.bias, before.bias, 1);
  for (std::size_t j = 0; j < kScaleFeatures; ++j) {
    good = good && fn(orders.scale_weight, mix.scale_weights[j], before.scale_weights[j], kScaleStep);
  }
  return good && fn(orders.scale_bias, mix.scale_bias, before.scale_bias, 1);
}

void write_mix(const PlaneMix& mix, const PlaneMix& before, std::size_t features, MixOrders& orders,
               BitWriter& out) {
  const auto put = [&](DifferenceOrder& order, std::int16_t now, std::int16_t then, std::int32_t unit) {
    const std::uint32_t z = zigzag((now - then) / unit);
    out.golomb(z, order.order());
    order.learn(z);
    return true;
  };
  visit_mix(mix, before, features, orders, put);
}

bool parse_mix(BitReader& in, const PlaneMix& before, std::size_t features, MixOrders& orders,
               PlaneMix& mix) {
  const auto get = [&](DifferenceOrder& order, std::int16_t& now, std::int16_t then, std::int32_t unit) {
    const std::uint32_t z = in.golomb(order.order());
    if (!in.ok() || z > 2 * 65535u) return false;
    order.learn(z);
    const std::int32_t value = then + unzigzag(z) * unit;
    if (std::abs(value) > 32767) return false;
    now = static_cast<std::int16_t>(value);
    return true;
  };
  return visit_mix(mix, before, features, orders, get) && mix_in_range(mix);
}

// Calls fn(frame, plane index, plane, past): every plane in file order, until one gives false.
template <typename Fn>
bool for_each_plane(std::size_t frames, std::uint32_t rows, std::uint32_t cols, const PhaseSetup& setup,
                    bool starts_anew, Fn&& fn) {
  for (std::size_t t = 0; t < frames; ++t) {
    const bool past = t > 0 || !starts_anew;
    const unsigned levels = past ? setup.later_levels : setup.key_levels;
    for (std::size_t p = 0; p < plane_count(levels); ++p) {
      if (!fn(t, p, phase_plane(rows, cols, levels, p), past)) return false;
    }
  }
  return true;
}

}  // namespace

bool mix_in_range(const PlaneMix& mix) noexcept {
  std::int32_t sum = 0, scale_sum = 0;
  bool good = true;
  for (const std::int16_t w : mix.weights) sum += std::abs(std::int32_t{w});
  for (const std::int16_t u : mix.scale_weights) good = good && u >= 0, scale_sum += u;
  return good && sum <= kMixSumMax && scale_sum <= kMixSumMax && mix.bias >= -32767 &&
         mix.scale_bias >= -32767;
}

PlaneMix storable_mix(PlaneMix mix) noexcept {
  const auto cut = [](std::int16_t v, std::int32_t unit) {
    return static_cast<std::int16_t>(v / unit * unit);
  };
  for (std::size_t j = 1; j < kMixFeaturesMax; ++j) mix.weights[j] = cut(mix.weights[j], kMixStep);
  for (std::int16_t& u : mix.scale_weights) u = cut(u, kScaleStep);
  return mix;
}

void write_frame_mixes(const std::vector<FrameMix>& mixes, std::uint32_t rows, std::uint32_t cols,
                       const PhaseSetup& setup, bool starts_anew, FrameMix last, BitWriter& out) {
  MixOrders orders;
  for_each_plane(mixes.size(), rows, cols, setup, starts_anew,
                 [&](std::size_t t, std::size_t p, const PhasePlaneShape& plane, bool past) {
                   const std::optional<PlaneMix>& mix = mixes[t][p];
                   out.bits(mix ? 1 : 0, 1);
                   if (!mix) return true;
                   const PlaneMix& before = past && last[p] ? *last[p] : kNoMix;
                   write_mix(*mix, before, mix_features(plane, past, setup.wide), orders, out);
                   if (past) last[p] = mix;
                   return true;
                 });
}

Result<std::vector<FrameMix>> parse_frame_mixes(BitReader& in, std::size_t frames, std::uint32_t rows,
                                                std::uint32_t cols, const PhaseSetup& setup, bool starts_anew,
                                                FrameMix last) {
  MixOrders orders;
  std::vector<FrameMix> mixes(frames);
  const bool good = for_each_plane(
      frames, rows, cols, setup, starts_anew,
      [&](std::size_t t, std::size_t p, const PhasePlaneShape& plane, bool past) {
        std::optional<PlaneMix>& mix = mixes[t].emplace_back();
        const bool known = past && last[p].has_value();
        if (in.bits(1) == 0) return in.ok() && known;
        const PlaneMix& before = known ? *last[p] : kNoMix;
        if (!parse_mix(in, before, mix_features(plane, past, setup.wide), orders, mix.emplace()))
          return false;
        if (past) last[p] = mix;
        return true;
      });
  if (!good) return fail(Errc::malformed, "block: the mix section lacks weights or has impossible ones");
  return mixes;
}

void hold_frame_mixes(std::vector<FrameMix>& mixes, bool starts_anew, FrameMix& last) {
  for (std::size_t t = 0; t < mixes.size(); ++t) {
    if (t == 0 && starts_anew) continue;
    for (std::size_t p = 0; p < mixes[t].size(); ++p) {
      if (!mixes[t][p]) mixes[t][p] = last[p];
      last[p] = mixes[t][p];
    }
  }
}

}  // namespace ff::kernels
