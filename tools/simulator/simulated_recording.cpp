// SPDX-License-Identifier: Apache-2.0
//
// The simulator as a recording: counting kinds draw Poisson counts, the integrating kind adds electronics.
#include <algorithm>
#include <limits>

#include "tools/simulator/bragg_spots.hpp"
#include "tools/simulator/rate_map.hpp"
#include "tools/simulator/seeded_random.hpp"
#include "tools/simulator/simulator.hpp"
#include "tools/simulator/speckle_field.hpp"

namespace ff::tools {

namespace {

constexpr double kBrightestSpotPhotons = 4000;
constexpr double kBrightestSpeckle = 16;

double highest_rate(const SimulatorSpec& spec) {
  const double powder = spec.photons_per_pixel * 40 + 5;
  if (spec.kind == SimulatedKind::rotation) return powder + kBrightestSpotPhotons;
  if (spec.kind == SimulatedKind::speckle) return std::max(powder, kBrightestSpeckle * 2) * kBrightestSpeckle;
  return powder;
}

/// A run of masked pixels that all hold the same sentinel.
struct MaskedRun {
  std::size_t first, count;
  std::int64_t value;
};

std::vector<MaskedRun> masked_runs(const std::vector<std::uint32_t>& mask, Dtype dtype) {
  const std::vector<std::int64_t> sentinels = conventional_sentinels(dtype);
  std::vector<MaskedRun> runs;
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (mask[i] == 0) continue;
    const std::int64_t value = mask[i] == kPixelGap ? sentinels.front() : sentinels.back();
    if (!runs.empty() && runs.back().first + runs.back().count == i && runs.back().value == value)
      ++runs.back().count;
    else
      runs.push_back({i, 1, value});
  }
  return runs;
}

/// Poisson counts of `levels`, as the detector's type; counts above its range saturate below the sentinel.
template <typename Pixel>
void draw_counts(const PoissonLevels& ladder, const std::vector<std::uint16_t>& levels, SeededRandom& random,
                 const std::vector<MaskedRun>& masked, std::span<Pixel> pixels) {
  constexpr auto kSaturated =
      static_cast<std::uint32_t>(std::numeric_limits<Pixel>::max()) - (std::is_unsigned_v<Pixel> ? 1u : 0u);
  const auto count = [&](std::size_t i, std::uint32_t bits) {
    return static_cast<Pixel>(std::min(ladder.sample(levels[i], bits), kSaturated));
  };
  std::size_t i = 0;
  for (; i + 2 <= pixels.size(); i += 2) {
    const std::uint64_t bits = random.next();
    pixels[i] = count(i, static_cast<std::uint32_t>(bits));
    pixels[i + 1] = count(i + 1, static_cast<std::uint32_t>(bits >> 32));
  }
  if (i < pixels.size()) pixels[i] = count(i, static_cast<std::uint32_t>(random.next()));
  for (const MaskedRun& run : masked)
    std::fill_n(pixels.begin() + static_cast<std::ptrdiff_t>(run.first), run.count,
                static_cast<Pixel>(run.value));
}

class CountingReader final : public FrameReader {
 public:
  CountingReader(RecordingInfo info, const SimulatorSpec& spec, PoissonLevels ladder, RateMap map)
      : FrameReader(std::move(info)),
        spec_(spec),
        ladder_(std::move(ladder)),
        map_(std::move(map)),
        masked_(masked_runs(map_.pixel_mask, spec.shape.dtype)) {
    if (spec.kind == SimulatedKind::rotation) spots_.emplace(spec);
    if (spec.kind == SimulatedKind::speckle) speckle_.emplace(spec, ladder_);
  }

  std::uint64_t memory_bytes() const noexcept override { return simulator_memory_bytes(info_.shape); }

  Status read(std::uint64_t index, MutableByteSpan pixels) override {
    FF_TRY(check_read(index, pixels));
    const std::vector<std::uint16_t>& levels = levels_of(index);
    SeededRandom random(spec_.seed, index);
    switch (spec_.shape.dtype) {
      case Dtype::u8: draw<std::uint8_t>(levels, random, pixels); break;
      case Dtype::u16: draw<std::uint16_t>(levels, random, pixels); break;
      case Dtype::i16: draw<std::int16_t>(levels, random, pixels); break;
      case Dtype::u32: draw<std::uint32_t>(levels, random, pixels); break;
      default: draw<std::int32_t>(levels, random, pixels); break;
    }
    return {};
  }

 private:
  template <typename Pixel>
  void draw(const std::vector<std::uint16_t>& levels, SeededRandom& random, MutableByteSpan pixels) {
    const auto count = spec_.shape.pixels();
    draw_counts(ladder_, levels, random, masked_, std::span(reinterpret_cast<Pixel*>(pixels.data()), count));
  }

  const std::vector<std::uint16_t>& levels_of(std::uint64_t index) {
    if (spots_) {
      frame_levels_ = map_.levels;
      spots_->add_to(index, ladder_, frame_levels_);
      return frame_levels_;
    }
    return speckle_ ? speckle_levels(index) : map_.levels;
  }

  const std::vector<std::uint16_t>& speckle_levels(std::uint64_t index) {
    if (index < speckle_frame_) {
      speckle_->restart();
      speckle_frame_ = 0;
    }
    for (; speckle_frame_ < index; ++speckle_frame_) speckle_->step();
    frame_levels_.resize(map_.levels.size());
    std::size_t i = 0;
    for (std::uint32_t row = 0; row < spec_.shape.rows; ++row) {
      for (std::uint32_t col = 0; col < spec_.shape.cols; ++col, ++i) {
        const std::int32_t level = map_.levels[i] + speckle_->level_shift(row, col);
        frame_levels_[i] =
            map_.levels[i] == 0
                ? std::uint16_t{0}
                : static_cast<std::uint16_t>(std::clamp<std::int32_t>(level, 1, ladder_.highest()));
      }
    }
    return frame_levels_;
  }

  SimulatorSpec spec_;
  PoissonLevels ladder_;
  RateMap map_;
  std::vector<MaskedRun> masked_;
  std::optional<BraggSpots> spots_;
  std::optional<SpeckleField> speckle_;
  std::uint64_t speckle_frame_ = 0;
  std::vector<std::uint16_t> frame_levels_;
};

/// Charge-integrating pixels: ADU = pedestal + gain · photons + noise; a pixel that would saturate switches
/// to a lower gain and says so in its two top bits (00, 01, 11), where the signal counts downwards.
class IntegratingReader final : public FrameReader {
 public:
  IntegratingReader(RecordingInfo info, const SimulatorSpec& spec, PoissonLevels ladder, RateMap map)
      : FrameReader(std::move(info)),
        spec_(spec),
        ladder_(std::move(ladder)),
        map_(std::move(map)),
        masked_(masked_runs(map_.pixel_mask, Dtype::u16)) {
    SeededRandom random(spec.seed, kPixelStream);
    for (std::size_t i = 0; i < map_.levels.size(); ++i) {
      const std::uint64_t bits = random.next();
      pixels_.push_back({static_cast<std::int16_t>(2700 + (bits & 0xff)),
                         static_cast<std::int16_t>(15000 + ((bits >> 8) & 0xff)),
                         static_cast<std::int16_t>(14700 + ((bits >> 16) & 0xff)),
                         static_cast<std::int16_t>(248 + ((bits >> 24) & 0xf))});
    }
  }

  std::uint64_t memory_bytes() const noexcept override { return simulator_memory_bytes(info_.shape); }

  Status read(std::uint64_t index, MutableByteSpan pixels) override {
    FF_TRY(check_read(index, pixels));
    SeededRandom random(spec_.seed, index);
    auto* const out = reinterpret_cast<std::uint16_t*>(pixels.data());
    for (std::size_t i = 0; i < pixels_.size(); ++i) {
      const std::uint64_t bits = random.next();
      const std::uint32_t photons = ladder_.sample(map_.levels[i], static_cast<std::uint32_t>(bits));
      out[i] = adu(pixels_[i], static_cast<std::int32_t>(photons),
                   read_noise(static_cast<std::uint32_t>(bits >> 32)));
    }
    for (const MaskedRun& run : masked_)
      std::fill_n(out + run.first, run.count, static_cast<std::uint16_t>(run.value));
    return {};
  }

 private:
  static constexpr std::uint64_t kPixelStream = 5ull << 60;
  static constexpr std::int32_t kGainQ8[3] = {41 * 256, 358, 26};  ///< ADU a photon in each stage, times 256
  static constexpr std::int32_t kSwitchAdu = 14000, kLowestAdu = 300;

  struct PixelElectronics {
    std::int16_t pedestal[3];
    std::int16_t gain_spread_q8;  ///< 1 ± 3 %
  };

  /// Four bytes summed: nearly Gaussian, standard deviation 148 / 20 = 7.4 ADU.
  static std::int32_t read_noise(std::uint32_t bits) noexcept {
    const auto sum = static_cast<std::int32_t>((bits & 0xff) + ((bits >> 8) & 0xff) + ((bits >> 16) & 0xff) +
                                               (bits >> 24));
    return (sum - 510) / 20;
  }

  static std::uint16_t adu(const PixelElectronics& pixel, std::int32_t photons, std::int32_t noise) noexcept {
    const auto signal = [&](int stage) {
      return static_cast<std::int32_t>((std::int64_t{photons} * kGainQ8[stage] * pixel.gain_spread_q8) >> 16);
    };
    const std::int32_t high = pixel.pedestal[0] + signal(0) + noise;
    if (high < kSwitchAdu) return static_cast<std::uint16_t>(std::max(high, 0));
    const std::int32_t medium = pixel.pedestal[1] - signal(1) + noise;
    if (medium > kLowestAdu) return static_cast<std::uint16_t>(0x4000 | std::min(medium, 0x3fff));
    const std::int32_t low = std::max(pixel.pedestal[2] - signal(2) + noise, 0);
    return static_cast<std::uint16_t>(0xc000 | std::min(low, 0x3ffe));
  }

  SimulatorSpec spec_;
  PoissonLevels ladder_;
  RateMap map_;
  std::vector<MaskedRun> masked_;
  std::vector<PixelElectronics> pixels_;
};

}  // namespace

Result<FrameReaderPtr> open_simulated_recording(const std::string& source) {
  FF_ASSIGN(const SimulatorSpec spec, parse_simulator_spec(source));
  PoissonLevels ladder(highest_rate(spec));
  RateMap map = make_rate_map(spec, ladder);
  RecordingInfo info;
  info.source = source;
  info.description = "simulated " + spec.preset;
  info.detector_mode = spec.kind == SimulatedKind::integrating ? "integrating, gain switching, simulated"
                                                               : "photon-counting, simulated";
  info.shape = spec.shape;
  info.frames = spec.frames;
  info.frame_time_s = spec.frame_time_s;
  info.sentinels = conventional_sentinels(spec.shape.dtype);
  info.pixel_mask = map.pixel_mask;
  if (spec.kind == SimulatedKind::statics) info.entropy_bits_per_pixel = map.entropy_bits_per_pixel;
  if (spec.kind == SimulatedKind::integrating) {
    return FrameReaderPtr(
        std::make_unique<IntegratingReader>(std::move(info), spec, std::move(ladder), std::move(map)));
  }
  return FrameReaderPtr(
      std::make_unique<CountingReader>(std::move(info), spec, std::move(ladder), std::move(map)));
}

}  // namespace ff::tools
