// SPDX-License-Identifier: Apache-2.0
//
// Anonymous memory that begins at a large page.
#include "tools/archive/frame_ring.hpp"

#include <cerrno>
#include <cstring>
#include <string>
#include <sys/mman.h>
#include <utility>

#include "common/base/check.hpp"
#include "common/base/units.hpp"

namespace ff::tools {

namespace {

constexpr std::size_t kLargePageBytes = 2u << 20;

void* map(void* wanted, std::size_t bytes, int protection, int flags) {
  return ::mmap(wanted, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

/// `bytes` of memory that begin at a multiple of the large page; null where there is no room.
std::byte* map_aligned(std::size_t bytes) {
  // Addresses alone, until it is known where the large page begins: they count for no limit.
  void* const room = map(nullptr, bytes + kLargePageBytes, PROT_NONE, MAP_NORESERVE);
  if (room == MAP_FAILED) return nullptr;
  const std::size_t before = -reinterpret_cast<std::uintptr_t>(room) % kLargePageBytes;
  std::byte* const first = static_cast<std::byte*>(room) + before;
  const bool mapped = map(first, bytes, PROT_READ | PROT_WRITE, MAP_FIXED) != MAP_FAILED;
  if (before > 0) ::munmap(room, before);
  ::munmap(first + bytes, kLargePageBytes - before);
  if (mapped) return first;
  ::munmap(first, bytes);
  return nullptr;
}

}  // namespace

Result<FrameRing> FrameRing::allocate(std::uint64_t frames, std::size_t frame_bytes) {
  FF_CHECK(frames > 0 && frame_bytes > 0);
  constexpr std::size_t kPageBytes = 4096;
  const std::uint64_t bytes = (frames * frame_bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  FrameRing ring;
  ring.first_ = frames > (1ull << 62) / frame_bytes ? nullptr : map_aligned(bytes);
  if (ring.first_ == nullptr) {
    return fail(Errc::too_large, "no memory for " + std::to_string(frames) + " frames, " +
                                     human_bytes(static_cast<double>(bytes)) + ": " + std::strerror(ENOMEM));
  }
  ring.frames_ = frames;
  ring.frame_bytes_ = frame_bytes;
  ring.mapped_bytes_ = bytes;
  ::madvise(ring.first_, bytes, MADV_HUGEPAGE);  // a wish: without it, only slower
  return ring;
}

FrameRing::FrameRing(FrameRing&& other) noexcept { *this = std::move(other); }

FrameRing& FrameRing::operator=(FrameRing&& other) noexcept {
  std::swap(first_, other.first_);
  std::swap(frames_, other.frames_);
  std::swap(frame_bytes_, other.frame_bytes_);
  std::swap(mapped_bytes_, other.mapped_bytes_);
  return *this;
}

FrameRing::~FrameRing() {
  if (first_ != nullptr) ::munmap(first_, mapped_bytes_);
}

}  // namespace ff::tools
