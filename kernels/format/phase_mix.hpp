// SPDX-License-Identifier: Apache-2.0
//
// Mix: the integer weights with which a plane's expectation and scale are made of what is known.
//
//     lambda = (sum of weight x feature + bias x 4096 + 2048) >> 12         0 ... 32767
//     scale  = (sum of weight x scale feature + bias x 4096 + 2048) >> 12   1 ... 32767
//
// Data path  plan > [sections] > envelope > ... > [sections] > decode
// Meaning    docs/formats/block.md §5.7 (bits), §6.7 (features and their order).
// Not here   fitting the weights (kernels/reference/plan_mix.hpp).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/result.hpp"
#include "kernels/format/bit_code.hpp"
#include "kernels/format/phase_grid.hpp"

namespace ff::kernels {

inline constexpr std::size_t kHistoryFeatures = 7;  ///< mean, fast, last, their neighbours' means: §6.7
inline constexpr std::size_t kMixFeaturesMax = kHistoryFeatures + 12;
inline constexpr std::size_t kScaleFeatures =
    4;                                         ///< own scale, neighbours' scale, coded neighbours' miss, root
inline constexpr std::int32_t kMixOne = 4096;  ///< weight 1
inline constexpr std::int32_t kMixSumMax = 32767;  ///< of the weights' magnitudes: no sum leaves 32 bits
inline constexpr std::int32_t kMixStep = 16;       ///< weights behind the first are multiples of it
inline constexpr std::int32_t kScaleStep = 64;     ///< scale weights are multiples of it

struct PlaneMix {
  std::array<std::int16_t, kMixFeaturesMax> weights{};
  std::int16_t bias = 0;                                     ///< in the state's fixed point
  std::array<std::int16_t, kScaleFeatures> scale_weights{};  ///< not negative
  std::int16_t scale_bias = 0;

  friend bool operator==(const PlaneMix&, const PlaneMix&) = default;
};

/// Features of a plane's mix: the past's first where there is one, then the coded neighbours.
[[nodiscard]] constexpr std::size_t mix_features(const PhasePlaneShape& plane, bool past,
                                                 bool wide) noexcept {
  const PhaseNeighbours& around = kPhaseNeighbours[static_cast<std::size_t>(plane.phase)];
  const std::size_t coded = plane.first ? 0 : wide ? around.wide : around.near;
  return (past ? kHistoryFeatures : 0) + coded;
}

/// New weights of one frame's planes, in coding order; absent: the plane's last ones go on.
using FrameMix = std::vector<std::optional<PlaneMix>>;

/// True where sums stay inside 32 bits and scale weights are not negative.
[[nodiscard]] bool mix_in_range(const PlaneMix& mix) noexcept;

/// Rounds to what a file can hold: multiples of kMixStep and kScaleStep.
[[nodiscard]] PlaneMix storable_mix(PlaneMix mix) noexcept;

/// Writes and reads the mix section as it is sent: a mix that is absent is held. The first of the present frames
/// has no past where `starts_anew`; `last` holds the later planes' weights before the group (empty optionals: none
/// yet). Precondition of write: every plane without last weights has new ones; all are storable.
void write_frame_mixes(const std::vector<FrameMix>& mixes, std::uint32_t rows, std::uint32_t cols,
                       const PhaseSetup& setup, bool starts_anew, FrameMix last, BitWriter& out);
/// Errors: malformed (weights missing or out of range).
[[nodiscard]] Result<std::vector<FrameMix>> parse_frame_mixes(BitReader& in, std::size_t frames,
                                                              std::uint32_t rows, std::uint32_t cols,
                                                              const PhaseSetup& setup, bool starts_anew,
                                                              FrameMix last);

/// Puts the plane's last mix where one is held, and moves `last` past the group: what coding needs.
/// Precondition: mixes that were written or parsed with the same `starts_anew` and `last`.
void hold_frame_mixes(std::vector<FrameMix>& mixes, bool starts_anew, FrameMix& last);

}  // namespace ff::kernels
