// SPDX-License-Identifier: Apache-2.0
//
// Reflections of a rotating crystal.
#include "tools/simulator/bragg_spots.hpp"

#include <algorithm>
#include <cmath>

#include "tools/simulator/seeded_random.hpp"

namespace ff::tools {

namespace {

constexpr std::uint64_t kSpotStream = 4ull << 60;
constexpr std::uint64_t kCycleFrames = 3600;
constexpr double kWidthsShown = 3;
constexpr int kSpotRadius = 5;
constexpr std::size_t kPixelsPerSpot = 400;  // about 1 % of the spots shine in a frame

double peak(double squared_distance) { return 1 / ((1 + squared_distance) * (1 + squared_distance)); }

}  // namespace

BraggSpots::BraggSpots(const SimulatorSpec& spec) : shape_(spec.shape), cycle_frames_(kCycleFrames) {
  SeededRandom random(spec.seed, kSpotStream);
  const std::size_t count = std::max<std::size_t>(8, spec.shape.pixels() / kPixelsPerSpot);
  for (std::size_t i = 0; i < count; ++i) {
    Spot spot{};
    spot.row = random.unit() * spec.shape.rows;
    spot.col = random.unit() * spec.shape.cols;
    spot.brightest_frame = random.unit() * static_cast<double>(kCycleFrames);
    spot.width_frames = 2 + 10 * random.unit();
    spot.drift_pixels = 3 * random.unit() - 1.5;
    const double strength = random.unit();
    spot.photons = 10 + 2000 * strength * strength * strength * strength;  // few strong ones, many weak ones
    spots_.push_back(spot);
  }
}

void BraggSpots::add_to(std::uint64_t frame, const PoissonLevels& levels,
                        std::vector<std::uint16_t>& pixel_levels) const {
  const auto cycle = static_cast<double>(cycle_frames_), now = static_cast<double>(frame % cycle_frames_);
  for (const Spot& spot : spots_) {
    double distance = now - spot.brightest_frame;
    if (distance > cycle / 2) distance -= cycle;
    if (distance < -cycle / 2) distance += cycle;
    if (distance > kWidthsShown * spot.width_frames || distance < -kWidthsShown * spot.width_frames) continue;
    add_spot(spot, distance, levels, pixel_levels);
  }
}

void BraggSpots::add_spot(const Spot& spot, double distance_frames, const PoissonLevels& levels,
                          std::vector<std::uint16_t>& pixel_levels) const {
  const double widths = distance_frames / spot.width_frames;
  const double photons = spot.photons * peak(widths * widths);
  const double centre_col = spot.col + spot.drift_pixels * widths;
  const int first_row = std::max(0, static_cast<int>(spot.row) - kSpotRadius);
  const int last_row = std::min(static_cast<int>(shape_.rows) - 1, static_cast<int>(spot.row) + kSpotRadius);
  const int first_col = std::max(0, static_cast<int>(centre_col) - kSpotRadius);
  const int last_col =
      std::min(static_cast<int>(shape_.cols) - 1, static_cast<int>(centre_col) + kSpotRadius);
  for (int row = first_row; row <= last_row; ++row) {
    for (int col = first_col; col <= last_col; ++col) {
      std::uint16_t& level =
          pixel_levels[static_cast<std::size_t>(row) * shape_.cols + static_cast<std::size_t>(col)];
      if (level == 0) continue;
      const double down = row - spot.row, across = col - centre_col;
      level = levels.level_of(levels.rate(level) + photons * peak((down * down + across * across) / 2));
    }
  }
}

}  // namespace ff::tools
