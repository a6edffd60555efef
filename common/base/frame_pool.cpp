// SPDX-License-Identifier: Apache-2.0
#include "common/base/frame_pool.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <string>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.hpp"
#include "common/base/crc32c.hpp"

namespace ff {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kFileHeaderBytes = 4096;
constexpr std::uint32_t kPoolMagic = 0x4c504646;  // "FFPL"
constexpr std::uint32_t kPoolVersion = 1;
constexpr std::uint64_t kSlotBytesMax = std::uint64_t{1} << 31;  // above any frame; keeps file sizes in range

/// The first bytes of the file.
struct FileHeader {
  std::uint32_t magic;
  std::uint32_t version;
  std::uint32_t slot_count;
  std::uint32_t crc;  ///< of all bytes but magic and this
  std::uint64_t slot_bytes;
};
static_assert(sizeof(FileHeader) == 24);

template <typename T>
ByteSpan bytes_from(const T& header, std::size_t first, std::size_t end) noexcept {
  return ByteSpan(reinterpret_cast<const std::byte*>(&header), sizeof(T)).subspan(first, end - first);
}

std::uint32_t crc_of(const FileHeader& header) noexcept {
  return crc32c(bytes_from(header, 16, 24), crc32c(bytes_from(header, 4, 12)));
}

std::uint32_t crc_of(const SlotHeader& header) noexcept {
  return crc32c(bytes_from(header, 8, sizeof header));
}

/// A slot that a whole frame was committed to. Hostile bytes pass at most with sizes that lie in the slot.
bool holds_frame(const SlotHeader& header, std::size_t slot_bytes) noexcept {
  return header.magic == kSlotMagic && header.header_crc == crc_of(header) &&
         header.pixel_bytes <= slot_bytes && header.user_data_bytes <= slot_bytes - header.pixel_bytes;
}

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

bool PooledFrame::keep_user_data(ByteSpan data) const noexcept {
  const MutableByteSpan behind = room().subspan(header_->pixel_bytes);
  if (data.size() > behind.size()) return false;
  if (!data.empty()) std::memcpy(behind.data(), data.data(), data.size());
  header_->user_data_bytes = static_cast<std::uint32_t>(data.size());
  return true;
}

void PooledFrame::commit() const noexcept {
  header_->header_crc = crc_of(*header_);
  // Release order: whoever finds the magic after a crash finds complete pixels.
  std::atomic_ref<std::uint32_t>(header_->magic).store(kSlotMagic, std::memory_order_release);
}

void PooledFrame::reset() noexcept {
  if (pool_ == nullptr) return;
  if (!pool_->leave_.load(std::memory_order_acquire))
    std::atomic_ref<std::uint32_t>(header_->magic).store(0, std::memory_order_release);
  std::exchange(pool_, nullptr)->give_back(slot_);
  header_ = nullptr;
}

std::size_t FramePool::file_bytes(std::uint32_t slot_count, std::size_t slot_bytes) noexcept {
  return kFileHeaderBytes + slot_count * slot_stride(slot_bytes);
}

/// Takes `fd` over, maps the file and puts all slots on the free list.
Status FramePool::map(int fd, std::uint32_t slot_count, std::size_t slot_bytes) {
  fd_ = fd;
  slot_count_ = slot_count;
  slot_bytes_ = slot_bytes;
  slot_stride_ = slot_stride(slot_bytes);
  const std::size_t bytes = file_bytes(slot_count, slot_bytes);
  // All pages now: on a tmpfs that is full later, a page that isn't there yet would end the process.
  const int full = posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  void* mapped = full == 0 ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
  const int code = full != 0 ? full : errno;
  if (mapped == MAP_FAILED)
    return os_error("frame pool " + path_.string() + " of " + std::to_string(bytes) +
                        " bytes can't be mapped; lower pool.frames or point pool.path at a larger tmpfs",
                    code);
#if defined(MADV_POPULATE_WRITE)
  // The page table too, or the thread that takes frames would fill it, a fault for every page.
  madvise(mapped, bytes, MADV_POPULATE_WRITE);
#endif
  mapped_ = static_cast<std::byte*>(mapped);
  mapped_bytes_ = bytes;
  next_free_ = std::make_unique<std::atomic<std::uint32_t>[]>(slot_count);
  for (std::uint32_t slot = 0; slot < slot_count; ++slot)
    next_free_[slot].store(slot + 1 < slot_count ? slot + 2 : 0, std::memory_order_relaxed);
  free_head_.store(1, std::memory_order_release);
  return {};
}

Result<std::unique_ptr<FramePool>> FramePool::create(const std::filesystem::path& path,
                                                     std::uint32_t slot_count, std::size_t slot_bytes) {
  FF_CHECK(slot_count > 0 && slot_bytes > 0 && slot_bytes <= kSlotBytesMax);
  std::unique_ptr<FramePool> pool(new FramePool);
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return os_error("frame pool " + path.string() + " can't be created", errno);
  pool->path_ = path;
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int code = errno;
    close(fd);
    return os_error("frame pool " + path.string() + " can't be locked", code);
  }
  const Status mapped = pool->map(fd, slot_count, slot_bytes);
  if (!mapped.ok()) {
    std::filesystem::remove(path, ignored);
    return mapped.error();
  }
  FileHeader header{kPoolMagic, kPoolVersion, slot_count, 0, slot_bytes};
  header.crc = crc_of(header);
  std::memcpy(pool->mapped_, &header, sizeof header);
  return pool;
}

Result<SalvagedPool> FramePool::salvage(const std::filesystem::path& path) {
  const int fd = open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return errno == ENOENT ? fail(Errc::not_found, path.string() + " is not there")
                           : os_error("frame pool " + path.string() + " can't be opened", errno);
  SalvagedPool found;
  found.pool.reset(new FramePool);
  FramePool& pool = *found.pool;
  pool.fd_ = fd;
  const auto refuse = [&](Errc code, const char* why) {
    return fail(code, "frame pool " + path.string() + why);
  };
  struct stat state {};
  FileHeader header{};
  if (fstat(fd, &state) != 0 || !S_ISREG(state.st_mode) || state.st_uid != geteuid())
    return refuse(Errc::refused, " is not a file of ours");
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) return refuse(Errc::refused, " belongs to a process that lives");
  if (pread(fd, &header, sizeof header, 0) != sizeof header) return refuse(Errc::truncated, " is cut short");
  if (header.magic != kPoolMagic) return refuse(Errc::bad_magic, " has no pool's header");
  if (header.version != kPoolVersion) return refuse(Errc::unsupported_version, " is of another version");
  if (header.crc != crc_of(header)) return refuse(Errc::crc_mismatch, ": header damaged");
  if (header.slot_count == 0 || header.slot_bytes == 0 || header.slot_bytes > kSlotBytesMax ||
      static_cast<std::uint64_t>(state.st_size) != file_bytes(header.slot_count, header.slot_bytes))
    return refuse(Errc::malformed, ": size and header don't fit");
  FF_TRY(pool.map(fd, header.slot_count, header.slot_bytes));
  pool.path_ = path;  // from here on it is ours to remove
  std::uint32_t free_behind = 0;
  for (std::uint32_t slot = header.slot_count; slot-- > 0;) {
    auto* slot_header = reinterpret_cast<SlotHeader*>(pool.slot_address(slot));
    if (holds_frame(*slot_header, pool.slot_bytes_)) {
      pool.in_use_.fetch_add(1, std::memory_order_relaxed);
      found.frames.push_back(PooledFrame(&pool, slot, slot_header));
      continue;
    }
    found.damaged += slot_header->magic != 0 ? 1 : 0;
    slot_header->magic = 0;
    pool.next_free_[slot].store(free_behind, std::memory_order_relaxed);
    free_behind = slot + 1;
  }
  pool.free_head_.store(free_behind, std::memory_order_release);
  std::reverse(found.frames.begin(), found.frames.end());
  return found;
}

FramePool::~FramePool() {
  FF_CHECK(in_use() == 0);
  if (mapped_ != nullptr) munmap(mapped_, mapped_bytes_);
  std::error_code ignored;
  if (mapped_ != nullptr && !path_.empty() && !leave_.load()) std::filesystem::remove(path_, ignored);
  if (fd_ >= 0) close(fd_);
}

std::byte* FramePool::slot_address(std::uint32_t slot) const noexcept {
  return mapped_ + kFileHeaderBytes + slot * slot_stride_;
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
