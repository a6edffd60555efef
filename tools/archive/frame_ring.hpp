// SPDX-License-Identifier: Apache-2.0
//
// FrameRing: room for whole frames on their way between a recording and an archive.
//
// Frame n lies at place n mod frames(). Nothing is written at allocation: memory is taken from the system when a
// worker first writes a frame, in large pages where the system gives them, so that this costs no thread alone.
// Not here   which frames are in it (archive_encode.cpp, archive_decode.cpp).
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"

namespace ff::tools {

class FrameRing {
 public:
  FrameRing() = default;
  FrameRing(FrameRing&& other) noexcept;
  FrameRing& operator=(FrameRing&& other) noexcept;
  ~FrameRing();

  /// Errors: too_large (the system has no such room).
  [[nodiscard]] static Result<FrameRing> allocate(std::uint64_t frames, std::size_t frame_bytes);

  [[nodiscard]] std::uint64_t frames() const noexcept { return frames_; }
  [[nodiscard]] std::byte* frame(std::uint64_t n) const noexcept {
    return first_ + (n % frames_) * frame_bytes_;
  }
  /// How many of the frames n, n + 1 ... lie behind each other before the ring begins anew.
  [[nodiscard]] std::uint64_t in_a_row(std::uint64_t n) const noexcept { return frames_ - n % frames_; }

 private:
  std::byte* first_ = nullptr;
  std::uint64_t frames_ = 0;
  std::size_t frame_bytes_ = 0, mapped_bytes_ = 0;
};

}  // namespace ff::tools
