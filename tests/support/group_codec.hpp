// SPDX-License-Identifier: Apache-2.0
//
// Codes a whole recording window by window, decodes every block again and compares every byte: what codec
// tests and benchmarks share.
#pragma once

#include <algorithm>
#include <cstring>
#include <ctime>
#include <vector>

#include "common/base/check.hpp"
#include "kernels/codec.hpp"
#include "tests/support/recording_for_tests.hpp"

namespace ff::tests {

class GroupCodec {
 public:
  /// Windows of `window_frames`, in groups of `group_frames` (0: one group a window).
  GroupCodec(const Recording& recording, kernels::Device device, std::uint32_t window_frames,
             std::uint32_t group_frames = 0)
      : recording_(recording),
        device_(device),
        window_frames_(window_frames),
        group_frames_(group_frames == 0 ? window_frames : group_frames) {
    if (recording.shape.dtype == Dtype::u16) options_.sentinels = kSentinelU16;
    if (recording.shape.dtype == Dtype::i32) options_.sentinels = kSentinelsI32;
  }

  void run() {
    auto writer = kernels::TileState::create(recording_.shape);
    auto reader = kernels::TileState::create(recording_.shape);
    FF_CHECK(writer.ok() && reader.ok());
    for (std::uint32_t window = 0; window < recording_.frames; window += window_frames_) {
      const std::uint32_t end = std::min(window + window_frames_, recording_.frames);
      for (std::uint32_t first = window; first < end; first += group_frames_) {
        code_group(*writer, *reader, window, first, std::min(group_frames_, end - first));
      }
    }
  }

  [[nodiscard]] std::size_t coded_bytes() const noexcept { return coded_bytes_; }
  [[nodiscard]] double plan_seconds() const noexcept { return plan_s_; }
  [[nodiscard]] double encode_seconds() const noexcept { return encode_s_; }
  [[nodiscard]] double decode_seconds() const noexcept { return decode_s_; }

 private:
  static constexpr std::int64_t kSentinelU16[] = {65535};
  static constexpr std::int64_t kSentinelsI32[] = {-1, -2};

  void code_group(kernels::TileState& writer, kernels::TileState& reader, std::uint32_t window,
                  std::uint32_t first, std::uint32_t count) {
    std::vector<FrameView> frames;
    for (std::uint32_t i = 0; i < count; ++i) frames.push_back(recording_.frame(first + i));
    const std::uint64_t present = count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
    const kernels::GroupPlace place{static_cast<std::uint8_t>(first - window),
                                    static_cast<std::uint8_t>(count), present, first == window};
    block_.resize(kernels::encoded_size_bound(recording_.shape, count));
    pixels_.resize(count * recording_.shape.bytes());
    std::vector<MutableFrameView> targets;
    for (std::uint32_t i = 0; i < count; ++i) {
      targets.push_back(dense_view(recording_.shape, pixels_.data() + i * recording_.shape.bytes()));
    }
    const auto start = now();
    auto plan = kernels::plan_group(writer, place, frames, options_);
    FF_CHECK(plan.ok());
    const auto planned = now();
    const auto bytes = kernels::encode_group(device_, writer, **plan, frames, block_);
    FF_CHECK(bytes.ok());
    const auto encoded = now();
    const auto status = kernels::decode_group(device_, reader, ByteSpan(block_).first(*bytes), targets);
    FF_CHECK(status.ok());
    const auto decoded = now();
    FF_CHECK(std::memcmp(pixels_.data(), frames.front().pixels, pixels_.size()) == 0);
    plan_s_ += planned - start;
    encode_s_ += encoded - planned;
    decode_s_ += decoded - encoded;
    coded_bytes_ += *bytes;
  }

  static double now() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);  // other work on the machine does not count
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }

  const Recording& recording_;
  kernels::Device device_;
  std::uint32_t window_frames_, group_frames_;
  kernels::EncodeOptions options_;
  std::vector<std::byte> block_, pixels_;
  std::size_t coded_bytes_ = 0;
  double plan_s_ = 0, encode_s_ = 0, decode_s_ = 0;
};

}  // namespace ff::tests
