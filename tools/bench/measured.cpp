// SPDX-License-Identifier: Apache-2.0
//
// Medians, clocks and derived figures.
#include "tools/bench/measured.hpp"

#include <algorithm>
#include <ctime>

namespace ff::tools {

double Spread::median() const {
  if (values_.empty()) return 0;
  std::vector<double> sorted = values_;
  std::ranges::sort(sorted);
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

double Spread::least() const { return values_.empty() ? 0 : *std::ranges::min_element(values_); }

double Spread::most() const { return values_.empty() ? 0 : *std::ranges::max_element(values_); }

Spread gigabytes_per_second(double bytes, const std::vector<double>& seconds) {
  constexpr double kClockSeconds = 1e-6;
  Spread speeds;
  for (const double time : seconds) {
    if (time > kClockSeconds) speeds.add(bytes / time / 1e9);
  }
  return speeds;
}

double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double seconds_of(const std::function<void()>& work) {
  const double start = thread_seconds();
  work();
  return thread_seconds() - start;
}

const char* to_string(MeasureState state) noexcept {
  switch (state) {
    case MeasureState::measured: return "measured";
    case MeasureState::not_installed: return "not installed";
    case MeasureState::not_possible: return "not possible";
    case MeasureState::not_asked: return "not asked";
    case MeasureState::failed: return "failed";
  }
  return "failed";
}

double Measured::ratio() const noexcept {
  return bytes == 0 ? 0 : static_cast<double>(raw_bytes) / static_cast<double>(bytes);
}

double Measured::bits_per_pixel(std::size_t pixel_bytes) const noexcept {
  if (raw_bytes == 0) return 0;
  return 8 * static_cast<double>(pixel_bytes) * static_cast<double>(bytes) / static_cast<double>(raw_bytes);
}

Measured not_measured(std::string codec, std::string label, MeasureState state, std::string note) {
  Measured result;
  result.codec = std::move(codec);
  result.label = std::move(label);
  result.state = state;
  result.note = std::move(note);
  return result;
}

}  // namespace ff::tools
