// SPDX-License-Identifier: Apache-2.0
#include "common/base/frame_pool.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/check.hpp"

namespace ff {
namespace {

constexpr std::size_t kAlignment = 64;

std::size_t slot_stride(std::size_t slot_bytes) noexcept {
  return sizeof(SlotHeader) + (slot_bytes + kAlignment - 1) / kAlignment * kAlignment;
}

Error os_error(const std::string& what, int code) {
  const bool full = code == ENOSPC || code == EDQUOT;
  return fail(full ? Errc::disk_full : Errc::io_error, what + ": " + std::strerror(code));
}

}  // namespace

PooledFrame::PooledFrame(PooledFrame&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      slot_(other.slot_),
      header_(std::exchange(other.header_, nullptr)) {}

PooledFrame& PooledFrame::operator=(PooledFrame&& other) noexcept {
  if (this != &other) {
    reset();
    pool_ = std::exchange(other.pool_, nullptr);
    slot_ = other.slot_;
    header_ = std::exchange(other.header_, nullptr);
  }
  return *this;
}

PooledFrame::~PooledFrame() { reset(); }

MutableByteSpan PooledFrame::room() const noexcept {
  return {reinterpret_cast<std::byte*>(header_) + sizeof(SlotHeader), pool_->slot_bytes()};
}

void PooledFrame::commit() const noexcept {
  // Release order: whoever finds the magic after a crash finds complete pixels.
  std::atomic_ref<std::uint32_t>(header_->magic).store(kSlotMagic, std::memory_order_release);
}

void PooledFrame::reset() noexcept {
  if (pool_ == nullptr) return;
  std::atomic_ref<std::uint32_t>(header_->magic).store(0, std::memory_order_release);
  std::exchange(pool_, nullptr)->give_back(slot_);
  header_ = nullptr;
}

std::size_t FramePool::file_bytes(std::uint32_t slot_count, std::size_t slot_bytes) noexcept {
  return slot_count * slot_stride(slot_bytes);
}

Result<std::unique_ptr<FramePool>> FramePool::create(const std::filesystem::path& path,
                                                     std::uint32_t slot_count, std::size_t slot_bytes) {
  FF_CHECK(slot_count > 0 && slot_bytes > 0);
  std::unique_ptr<FramePool> pool(new FramePool);
  pool->path_ = path;
  pool->slot_count_ = slot_count;
  pool->slot_bytes_ = slot_bytes;
  pool->slot_stride_ = slot_stride(slot_bytes);
  pool->mapped_bytes_ = file_bytes(slot_count, slot_bytes);

  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return os_error("frame pool " + path.string() + " can't be created", errno);
  const int full = posix_fallocate(fd, 0, static_cast<off_t>(pool->mapped_bytes_));
  void* mapped =
      full == 0 ? mmap(nullptr, pool->mapped_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
  const int code = full != 0 ? full : errno;
  close(fd);
  if (mapped == MAP_FAILED) {
    std::filesystem::remove(path, ignored);
    return os_error("frame pool " + path.string() + " of " + std::to_string(pool->mapped_bytes_) +
                        " bytes can't be mapped; lower pool.frames or point pool.path at a larger tmpfs",
                    code);
  }
  pool->mapped_ = static_cast<std::byte*>(mapped);

  pool->next_free_ = std::make_unique<std::atomic<std::uint32_t>[]>(slot_count);
  for (std::uint32_t slot = 0; slot < slot_count; ++slot)
    pool->next_free_[slot].store(slot + 1 < slot_count ? slot + 2 : 0, std::memory_order_relaxed);
  pool->free_head_.store(1, std::memory_order_release);
  return pool;
}

FramePool::~FramePool() {
  FF_CHECK(in_use() == 0);
  if (mapped_ != nullptr) munmap(mapped_, mapped_bytes_);
  if (mapped_ != nullptr) {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
}

std::byte* FramePool::slot_address(std::uint32_t slot) const noexcept {
  return mapped_ + slot * slot_stride_;
}

std::optional<PooledFrame> FramePool::take() noexcept {
  std::uint64_t head = free_head_.load(std::memory_order_acquire);
  while (true) {
    const auto first = static_cast<std::uint32_t>(head);
    if (first == 0) return std::nullopt;
    const std::uint64_t next = next_free_[first - 1].load(std::memory_order_relaxed);
    const std::uint64_t replacement = ((head >> 32) + 1) << 32 | next;
    if (!free_head_.compare_exchange_weak(head, replacement, std::memory_order_acq_rel)) continue;
    in_use_.fetch_add(1, std::memory_order_relaxed);
    auto* header = reinterpret_cast<SlotHeader*>(slot_address(first - 1));
    *header = SlotHeader{};
    return PooledFrame(this, first - 1, header);
  }
}

void FramePool::give_back(std::uint32_t slot) noexcept {
  std::uint64_t head = free_head_.load(std::memory_order_acquire);
  while (true) {
    next_free_[slot].store(static_cast<std::uint32_t>(head), std::memory_order_relaxed);
    const std::uint64_t replacement = ((head >> 32) + 1) << 32 | (std::uint64_t{slot} + 1);
    if (free_head_.compare_exchange_weak(head, replacement, std::memory_order_acq_rel)) break;
  }
  in_use_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace ff
