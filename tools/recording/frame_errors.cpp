// SPDX-License-Identifier: Apache-2.0
//
// FrameErrors: one pass over both frames.
#include "tools/recording/frame_errors.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/format/level_map.hpp"

namespace ff::tools {

FrameErrors::FrameErrors(const FrameShape& shape, const kernels::LossBound& bound, ExactParts exact)
    : shape_(shape), bound_(bound), exact_(std::move(exact)) {}

void FrameErrors::add(ByteSpan original, ByteSpan decoded) {
  const std::size_t width = dtype_bytes(shape_.dtype);
  pixels += shape_.pixels();
  for (std::size_t p = 0; p < shape_.pixels(); ++p) {
    if (dtype_is_float(shape_.dtype)) {
      const bool differs = std::memcmp(&original[p * width], &decoded[p * width], width) != 0;
      changed += differs ? 1 : 0;
      over_bound += differs ? 1 : 0;
      continue;
    }
    const bool masked = !exact_.pixel_mask.empty() && exact_.pixel_mask[p] != 0;
    add_pixel(kernels::load_pixel(shape_.dtype, &original[p * width]),
              kernels::load_pixel(shape_.dtype, &decoded[p * width]), masked);
  }
}

void FrameErrors::add_pixel(std::int64_t original, std::int64_t decoded, bool masked) {
  const std::int64_t error = decoded - original;
  changed += error != 0 ? 1 : 0;
  const auto is_sentinel = [&](std::int64_t value) {
    return std::ranges::find(exact_.sentinels, value) != exact_.sentinels.end();
  };
  if (masked || is_sentinel(original)) {
    exact_parts_changed += error != 0 ? 1 : 0;
    return;
  }
  ++regular_pixels;
  const std::int64_t bin = error < -kHistogramReach  ? 2 * kHistogramReach + 1
                           : error > kHistogramReach ? 2 * kHistogramReach + 2
                                                     : error + kHistogramReach;
  ++histogram[static_cast<std::size_t>(bin)];
  poisson_pixels += original > 0 ? 1 : 0;
  if (error == 0) return;
  false_sentinels += is_sentinel(decoded) ? 1 : 0;
  over_bound += kernels::within_bound(bound_, original, decoded) ? 0 : 1;
  const auto size = static_cast<double>(std::abs(error));
  error_max = std::max(error_max, static_cast<std::uint64_t>(std::abs(error)));
  error_sum += static_cast<double>(error);
  error_square_sum += size * size;
  if (original <= 0) return;
  error_over_root_max = std::max(error_over_root_max, size / std::sqrt(static_cast<double>(original)));
  poisson_square_sum += size * size / static_cast<double>(original);
}

namespace {

double ratio(double sum, std::uint64_t count) noexcept {
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

}  // namespace

double FrameErrors::mean() const noexcept { return ratio(error_sum, regular_pixels); }
double FrameErrors::rms() const noexcept { return std::sqrt(ratio(error_square_sum, regular_pixels)); }
double FrameErrors::rms_over_sigma() const noexcept {
  return std::sqrt(ratio(poisson_square_sum, poisson_pixels));
}

}  // namespace ff::tools
