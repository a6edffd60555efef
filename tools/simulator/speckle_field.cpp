// SPDX-License-Identifier: Apache-2.0
//
// First-order autoregressive field in 32-bit integers.
#include "tools/simulator/speckle_field.hpp"

#include <algorithm>
#include <cmath>

#include "tools/simulator/seeded_random.hpp"

namespace ff::tools {

namespace {

constexpr std::uint64_t kFieldStream = 3ull << 60;
constexpr double kReferenceRate = 1.0;
constexpr std::size_t kIntensitySteps = 8192;
/// Four 16-bit uniforms, halved three times: standard deviation 65536 · sqrt(4 / 12) / 8.
constexpr double kNoiseVariance = 65536.0 * 65536.0 * 4 / 12 / 64;
constexpr int kIntensityShift = 16;

std::int32_t noise(SeededRandom& random) noexcept {
  const std::uint64_t bits = random.next();
  const auto sum = static_cast<std::int32_t>((bits & 0xffff) + ((bits >> 16) & 0xffff) +
                                             ((bits >> 32) & 0xffff) + (bits >> 48));
  return (sum - 2 * 65535) >> 3;
}

}  // namespace

SpeckleField::SpeckleField(const SimulatorSpec& spec, const PoissonLevels& levels)
    : seed_(spec.seed), across_((spec.shape.cols + kSpecklePixels - 1) / kSpecklePixels) {
  // 1 - 1/tau and not exp(-1/tau): the same to first order, and the same on every machine.
  const double keep = spec.tau_frames <= 1 ? 0 : 1 - 1 / spec.tau_frames;
  keep_q15_ = static_cast<std::int32_t>(keep * 32768);
  const double kept = keep_q15_ / 32768.0;
  renew_q15_ = static_cast<std::int32_t>(std::sqrt(1 - kept * kept) * 32768);
  const std::size_t cells = std::size_t{(spec.shape.rows + kSpecklePixels - 1) / kSpecklePixels} * across_;
  real_.resize(cells);
  imaginary_.resize(cells);
  shifts_.resize(cells);
  const double mean_step = 2 * kNoiseVariance / static_cast<double>(1 << kIntensityShift);
  const std::int32_t reference = levels.level_of(kReferenceRate);
  for (std::size_t i = 0; i < kIntensitySteps; ++i) {
    const double relative = (static_cast<double>(i) + 0.5) / mean_step;
    shift_of_intensity_.push_back(
        static_cast<std::int16_t>(levels.level_of(kReferenceRate * relative) - reference));
  }
  restart();
}

void SpeckleField::restart() {
  SeededRandom random(seed_, kFieldStream);
  frame_ = 0;
  for (std::size_t i = 0; i < real_.size(); ++i) {
    real_[i] = noise(random);
    imaginary_[i] = noise(random);
  }
  refresh_shifts();
}

void SpeckleField::step() {
  SeededRandom random(seed_, kFieldStream + ++frame_);
  const auto renew = [&](std::int32_t field) {
    return (keep_q15_ * field + renew_q15_ * noise(random) + (1 << 14)) >> 15;
  };
  for (std::size_t i = 0; i < real_.size(); ++i) {
    real_[i] = renew(real_[i]);
    imaginary_[i] = renew(imaginary_[i]);
  }
  refresh_shifts();
}

void SpeckleField::refresh_shifts() {
  for (std::size_t i = 0; i < real_.size(); ++i) {
    const std::int64_t intensity =
        std::int64_t{real_[i]} * real_[i] + std::int64_t{imaginary_[i]} * imaginary_[i];
    shifts_[i] = shift_of_intensity_[std::min<std::size_t>(
        static_cast<std::size_t>(intensity >> kIntensityShift), kIntensitySteps - 1)];
  }
}

}  // namespace ff::tools
