// SPDX-License-Identifier: Apache-2.0
//
// Sample: a few bands of rows, followed through all frames of a group, on which the planner tries its
// choices.
//
// Data path  window > [sample] > plan
// Meaning    no part of the format. Bands rather than pixels, because the prediction looks at neighbours.
// Not here   the choices themselves (planner.hpp), the exact predictor (predict.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/predictor_state.hpp"

namespace ff::kernels::reference {

/// What the planner varies.
struct TrialSetup {
  PredictorSetup setup;
  GroupSetup group;
};

/// Sampled pixels as the coder would see them: all vectors have one entry a pixel.
struct SampleRecords {
  std::vector<std::uint8_t> bucket;
  std::vector<std::uint16_t> expected;
  std::vector<std::uint32_t> level;
  std::vector<std::uint8_t> ratio;  ///< of scale and root (phases with source = rate); else empty

  /// Appends the unmasked ones of `count` pixels; `masked` may be null.
  void append(const std::uint16_t* keys, const std::uint16_t* expectations, const std::uint32_t* levels,
              const std::uint8_t* masked, std::size_t count);
  void clear() noexcept { bucket.clear(), expected.clear(), level.clear(); }
  void reserve(std::size_t pixels) {
    bucket.reserve(pixels), expected.reserve(pixels), level.reserve(pixels);
  }
  [[nodiscard]] std::size_t size() const noexcept { return level.size(); }
};

/// Rows [first, first + rows) of each band are measured; one row above and below is followed as well.
class BandSample {
 public:
  /// About `pixels_wanted` pixels (frames counted each), in at least `bands_min` bands spread over the tile.
  BandSample(const FrameShape& tile, std::size_t frames, std::size_t pixels_wanted, std::size_t bands_min);

  /// Reads the bands' levels and mask. Values without a level (narrow maps) must not occur.
  void read(GroupFrames frames, const LevelCodec& codec, const MaskMap* mask);

  /// What `fill(frame, row, levels)` gives for each row that is followed; a row's frames come one after the other.
  using FillRow = std::function<void(std::size_t frame, std::uint32_t row, std::uint32_t* levels)>;
  void read(const FillRow& fill, const MaskMap* mask);

  /// Starts the bands' state from planes of the whole tile (scale may be null), or from zero.
  void start(const std::uint16_t* mean, const std::uint16_t* scale, std::uint32_t frames_before);

  /// Starts the bands' state from a prior.
  void start(const Prior& prior);

  /// Follows the bands through the first `frames_max` frames and appends what the coder would see.
  void run(const TrialSetup& trial, std::size_t frames_max, SampleRecords& out) const;

  [[nodiscard]] std::size_t frames() const noexcept { return frames_; }
  /// Pixels of a frame per sampled pixel of it, x 256.
  [[nodiscard]] std::uint64_t ratio_256() const noexcept;
  /// Of one frame.
  [[nodiscard]] std::size_t measured_pixels() const noexcept;

 private:
  struct Band {
    std::uint32_t first = 0, rows = 0;  ///< measured rows in the tile
    std::uint32_t top = 0, height = 0;  ///< followed rows in the tile
    std::size_t offset = 0;             ///< of the followed rows in the planes below, in pixels
  };
  struct Scratch {
    std::vector<std::uint16_t> vertical, expected, key;
  };

  /// Classes of some of a band's rows, null where none of their pixels is masked.
  [[nodiscard]] const std::uint8_t* hidden_rows(const Band& band, std::uint32_t first,
                                                std::uint32_t rows) const noexcept;
  void smooth_row(const Band& band, std::uint32_t row, const std::uint16_t* plane, std::uint32_t smoothing,
                  std::uint16_t* vertical, std::uint16_t* out) const;
  void run_band_frame(const Band& band, std::size_t frame, const TrialSetup& trial,
                      std::vector<std::uint16_t>& mean, std::vector<std::uint16_t>& scale, Scratch& scratch,
                      SampleRecords& out) const;

  FrameShape tile_;
  std::size_t frames_ = 0;
  std::size_t plane_pixels_ = 0;  ///< of all bands together
  std::vector<Band> bands_;
  std::vector<std::uint32_t> levels_;  ///< frame after frame
  std::vector<std::uint8_t> masked_;
  std::vector<std::uint8_t> row_masked_;  ///< by followed row: some pixel of it is masked
  std::vector<std::uint16_t> mean_, scale_;
  std::uint32_t frames_before_ = 0;
};

}  // namespace ff::kernels::reference
