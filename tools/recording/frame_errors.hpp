// SPDX-License-Identifier: Apache-2.0
//
// FrameErrors: what a decoded recording differs from its original by, pixel by pixel, held against a declared bound.
//
// Not here   reading the two (recording.hpp, ArchiveRecording); what is printed (command/verify_command.cpp).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/base/frame_view.hpp"
#include "kernels/loss_bound.hpp"

namespace ff::tools {

/// What must come back bit for bit under every bound.
struct ExactParts {
  std::vector<std::int64_t> sentinels;
  std::vector<std::uint32_t> pixel_mask;  ///< rows x cols, not 0: masked; may be empty
};

class FrameErrors {
 public:
  static constexpr std::int64_t kHistogramReach = 64;

  FrameErrors(const FrameShape& shape, const kernels::LossBound& bound, ExactParts exact);

  /// Both of shape.bytes(), little-endian. Floats are compared bit by bit.
  void add(ByteSpan original, ByteSpan decoded);

  std::uint64_t pixels = 0, changed = 0;
  std::uint64_t over_bound = 0;           ///< must be 0
  std::uint64_t exact_parts_changed = 0;  ///< masked pixels and sentinels that differ; must be 0
  std::uint64_t false_sentinels = 0;      ///< counts that were decoded to a sentinel; must be 0
  std::uint64_t error_max = 0;            ///< |decoded - original|
  double error_over_root_max = 0;         ///< |decoded - original| / sqrt(original), original > 0
  double error_sum = 0, error_square_sum = 0;
  double poisson_square_sum = 0;     ///< of error^2 / original ...
  std::uint64_t poisson_pixels = 0;  ///< ... over the regular pixels with original > 0
  std::uint64_t regular_pixels = 0;  ///< neither masked nor sentinels: what the sums are over
  /// decoded - original from -kHistogramReach to kHistogramReach, regular pixels; then all below, all above.
  std::array<std::uint64_t, 2 * kHistogramReach + 3> histogram{};

  [[nodiscard]] bool promise_kept() const noexcept {
    return over_bound == 0 && exact_parts_changed == 0 && false_sentinels == 0;
  }
  [[nodiscard]] double mean() const noexcept;
  [[nodiscard]] double rms() const noexcept;
  /// rms of error / sqrt(original): added noise in units of the counting noise.
  [[nodiscard]] double rms_over_sigma() const noexcept;

 private:
  void add_pixel(std::int64_t original, std::int64_t decoded, bool masked);

  FrameShape shape_;
  kernels::LossBound bound_;
  ExactParts exact_;
};

}  // namespace ff::tools
