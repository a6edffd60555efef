// SPDX-License-Identifier: Apache-2.0
//
// FramePool: a fixed number of equal slots for raw frames, in one file that is mapped into memory.
//
// Data path  detector > [pool slot] > window > encode > spool
// On tmpfs (the default) the file costs no disk I/O, and frames taken but not yet spooled outlive the
// process: each slot's header says what it holds, so that a restarted agent can find them.
//
//   byte 0        file header: magic, version, slot count and size, CRC-32C; the rest of the first page is zero
//   byte 4096     slot 0: SlotHeader, pixels, user data; then slot 1 ...
//
// Order of writing: pixels, header with its CRC, then the magic, released. A process can die between any two
// stores; whoever finds the magic finds all that was stored before it. (A machine that dies takes a tmpfs along.)
// Thread-safe. Taking and giving back a slot is O(1) and allocates nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"

namespace ff {

/// What a slot holds; lies in the mapped file in front of the pixels. 128 bytes, little-endian.
struct SlotHeader {
  std::uint32_t magic;       ///< kSlotMagic while the slot holds a frame, else 0
  std::uint32_t header_crc;  ///< CRC-32C of all bytes behind it; set by commit()
  std::uint32_t stream;
  std::uint32_t user_data_bytes;  ///< kept behind the pixels
  std::uint8_t series_uid[16];
  std::uint64_t frame;  ///< frame number in the series
  std::uint64_t pixel_bytes;
  std::int64_t detector_time_ns;  ///< UTC by the detector's clock; kNoTime if it sent none
  std::int64_t received_utc_ns;
  std::int64_t received_monotonic_ns;
  std::uint8_t reserved[56];
};
static_assert(sizeof(SlotHeader) == 128);

inline constexpr std::uint32_t kSlotMagic = 0x4d465246;  // "FRFM"
inline constexpr std::int64_t kNoTime = INT64_MIN;

class FramePool;

/// One slot, owned and moved; goes back to its pool when destroyed.
class PooledFrame {
 public:
  PooledFrame() = default;
  PooledFrame(PooledFrame&& other) noexcept;
  PooledFrame& operator=(PooledFrame&& other) noexcept;
  PooledFrame(const PooledFrame&) = delete;
  PooledFrame& operator=(const PooledFrame&) = delete;
  ~PooledFrame();

  [[nodiscard]] bool empty() const noexcept { return pool_ == nullptr; }
  [[nodiscard]] SlotHeader& header() const noexcept { return *header_; }
  /// The slot's whole room; the frame uses the first header().pixel_bytes of it. 64-byte aligned.
  [[nodiscard]] MutableByteSpan room() const noexcept;
  [[nodiscard]] ByteSpan pixels() const noexcept { return room().first(header_->pixel_bytes); }
  [[nodiscard]] ByteSpan user_data() const noexcept {
    return room().subspan(header_->pixel_bytes, header_->user_data_bytes);
  }
  /// Keeps a copy behind the pixels; false when there is no room for it (it then does not outlive the process).
  bool keep_user_data(ByteSpan data) const noexcept;
  /// Marks the slot as holding a frame, after pixels and header are complete.
  void commit() const noexcept;
  void reset() noexcept;

 private:
  friend class FramePool;
  PooledFrame(FramePool* pool, std::uint32_t slot, SlotHeader* header) noexcept
      : pool_(pool), slot_(slot), header_(header) {}

  FramePool* pool_ = nullptr;
  std::uint32_t slot_ = 0;
  SlotHeader* header_ = nullptr;
};

/// A pool file of a process that has died, opened again, with the whole frames it held.
struct SalvagedPool;

class FramePool {
 public:
  /// Maps a new file of `slot_count` slots at `path` (an old file there is replaced).
  /// Errors: io_error, disk_full (all pages are allocated now, so that no later write can fail).
  [[nodiscard]] static Result<std::unique_ptr<FramePool>> create(const std::filesystem::path& path,
                                                                 std::uint32_t slot_count,
                                                                 std::size_t slot_bytes);
  /// Opens a file that create() made in a process that is gone. Every number in it is checked before it is used.
  /// Errors: not_found, refused (a living process holds it, or another user's file), bad_magic, truncated,
  /// unsupported_version, crc_mismatch, malformed, io_error.
  [[nodiscard]] static Result<SalvagedPool> salvage(const std::filesystem::path& path);
  ~FramePool();
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;

  /// A free slot with a zeroed header, or nothing when all are in use.
  [[nodiscard]] std::optional<PooledFrame> take() noexcept;

  /// From now on slots that are given back stay marked in the file, and the file stays when the pool goes: for a
  /// process that must end before its frames are safe. The next one salvages them.
  void leave_for_next_process() noexcept { leave_.store(true, std::memory_order_release); }

  [[nodiscard]] std::uint32_t slot_count() const noexcept { return slot_count_; }
  [[nodiscard]] std::size_t slot_bytes() const noexcept { return slot_bytes_; }
  [[nodiscard]] std::uint32_t in_use() const noexcept { return in_use_.load(std::memory_order_relaxed); }
  /// Bytes of the mapped file for such a pool.
  [[nodiscard]] static std::size_t file_bytes(std::uint32_t slot_count, std::size_t slot_bytes) noexcept;

 private:
  friend class PooledFrame;
  FramePool() = default;
  [[nodiscard]] Status map(int fd, std::uint32_t slot_count, std::size_t slot_bytes);
  [[nodiscard]] std::byte* slot_address(std::uint32_t slot) const noexcept;
  void give_back(std::uint32_t slot) noexcept;

  std::filesystem::path path_;
  std::byte* mapped_ = nullptr;
  int fd_ = -1;  ///< holds the lock that tells a living process from a dead one
  std::size_t mapped_bytes_ = 0;
  std::uint32_t slot_count_ = 0;
  std::size_t slot_bytes_ = 0;
  std::size_t slot_stride_ = 0;
  std::atomic<std::uint32_t> in_use_{0};
  std::atomic<bool> leave_{false};
  /// Head of the free list: slot + 1 in the low half (0 = empty), a change count in the high half
  /// against ABA. next_free_[s] is the following slot + 1.
  std::atomic<std::uint64_t> free_head_{0};
  std::unique_ptr<std::atomic<std::uint32_t>[]> next_free_;
};

struct SalvagedPool {
  std::unique_ptr<FramePool> pool;  ///< before `frames`: destroyed after them
  std::vector<PooledFrame> frames;  ///< by slot
  std::uint32_t damaged = 0;        ///< slots marked as holding a frame that don't; free again
};

}  // namespace ff
