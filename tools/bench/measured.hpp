// SPDX-License-Identifier: Apache-2.0
//
// What a benchmark of a codec measures: sizes, and times of one thread with their spread over repeats.
//
// Not here   what is measured (own_codec.hpp, frame_peers.hpp, tezip_peer.hpp, python_peers.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace ff::tools {

/// Repeated measurements of one thing.
class Spread {
 public:
  void add(double value) { values_.push_back(value); }
  [[nodiscard]] bool empty() const noexcept { return values_.empty(); }
  [[nodiscard]] std::size_t count() const noexcept { return values_.size(); }
  /// The middle value; the mean of the two middle ones where their number is even. 0 when empty.
  [[nodiscard]] double median() const;
  [[nodiscard]] double least() const;
  [[nodiscard]] double most() const;

 private:
  std::vector<double> values_;
};

/// `bytes` in each of `seconds`, as GB/s; times too short for the clock are left out.
[[nodiscard]] Spread gigabytes_per_second(double bytes, const std::vector<double>& seconds);

/// Processor time of this thread: work of other programs does not count.
[[nodiscard]] double thread_seconds();
[[nodiscard]] double seconds_of(const std::function<void()>& work);

enum class MeasureState : std::uint8_t { measured, not_installed, not_possible, not_asked, failed };
[[nodiscard]] const char* to_string(MeasureState state) noexcept;

/// One codec on the frames of one recording.
struct Measured {
  std::string codec;  ///< as --peers and --profile name it
  std::string label;  ///< as tables name it
  MeasureState state = MeasureState::measured;
  std::string note;  ///< why not measured; or what is special

  std::uint64_t frames = 0;     ///< that were coded: all, or evenly spread ones
  std::uint64_t raw_bytes = 0;  ///< of those frames
  std::uint64_t bytes = 0;      ///< coded, headers included
  Spread encode_gb_s, decode_gb_s;
  Spread encode_planned_gb_s;       ///< our codec alone: the plan is given
  Spread encode_steady_gb_s;        ///< our codec alone: plan and encode of a stream that the planner knows
  std::optional<double> max_error;  ///< lossy alone: largest |x - x'| over all pixels

  [[nodiscard]] double ratio() const noexcept;
  [[nodiscard]] double bits_per_pixel(std::size_t pixel_bytes) const noexcept;
};

/// A codec that could not be measured, and why.
[[nodiscard]] Measured not_measured(std::string codec, std::string label, MeasureState state,
                                    std::string note);

}  // namespace ff::tools
