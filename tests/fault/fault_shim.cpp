// SPDX-License-Identifier: Apache-2.0
//
// A preloaded library that makes one program's disk full or slow, or its clock jump, while the program runs.
//
// The tests map FF_FAULT_CONTROL (a 4 KiB file) and change it at will; this library looks at it at every call. It
// needs no privilege, strikes one process and not its neighbours, and is the same for our daemons and a Java
// broker. It asks the kernel directly instead of the next library, so that it works before anything is set up.
//
// Control file, little-endian: magic "FFLT" (u32), disk mode (u32: 0 none, 1 full, 2 slow), delay per call in
// microseconds (u32), reserved (u32), clock offset in ns (i64), number of calls struck (u64), then the path prefix
// that disk faults are limited to (zero-terminated).
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

namespace {

struct Control {
  std::uint32_t magic, disk_mode, delay_us, reserved;
  std::int64_t clock_offset_ns;
  std::uint64_t calls_struck;
  char prefix[512];
};
constexpr std::uint32_t kMagic = 0x544c4646;
constexpr std::size_t kControlBytes = 4096;
enum DiskMode : std::uint32_t { none = 0, full = 1, slow = 2 };

Control* map_control() {
  const char* path = std::getenv("FF_FAULT_CONTROL");
  if (path == nullptr) return nullptr;
  const long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
  if (fd < 0) return nullptr;
  void* mapped = mmap(nullptr, kControlBytes, PROT_READ | PROT_WRITE, MAP_SHARED, static_cast<int>(fd), 0);
  syscall(SYS_close, fd);
  auto* control = mapped == MAP_FAILED ? nullptr : static_cast<Control*>(mapped);
  return control != nullptr && control->magic == kMagic ? control : nullptr;
}

Control* control() {
  static Control* const mapped = map_control();
  return mapped;
}

template <typename T>
T look(const T& value) {
  return __atomic_load_n(&value, __ATOMIC_RELAXED);
}

bool concerns(const Control& what, int fd) {
  char link[64] = "/proc/self/fd/", path[1024];
  char digits[16];
  int count = 0;
  for (int rest = fd; rest > 0 || count == 0; rest /= 10)
    digits[count++] = static_cast<char>('0' + rest % 10);
  char* end = link + std::strlen(link);
  while (count > 0) *end++ = digits[--count];
  *end = '\0';
  const long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
  if (length <= 0) return false;
  path[length] = '\0';
  return std::strncmp(path, what.prefix, std::strlen(what.prefix)) == 0;
}

/// True when the call must fail with ENOSPC; a slow disk is slept through here.
bool disk_strikes(int fd, bool takes_room) {
  const int before = errno;
  Control* what = control();
  const std::uint32_t mode = what == nullptr ? DiskMode::none : look(what->disk_mode);
  if (mode == DiskMode::none || fd < 0 || !concerns(*what, fd)) {
    errno = before;
    return false;
  }
  __atomic_fetch_add(&what->calls_struck, 1, __ATOMIC_RELAXED);
  if (mode == DiskMode::slow) {
    const std::uint32_t delay_us = look(what->delay_us);
    const timespec pause{static_cast<time_t>(delay_us / 1'000'000),
                         static_cast<long>(delay_us % 1'000'000) * 1000};
    syscall(SYS_nanosleep, &pause, nullptr);
    errno = before;
    return false;
  }
  errno = takes_room ? ENOSPC : before;
  return takes_room;
}

std::int64_t clock_offset_ns() {
  const Control* what = control();
  return what == nullptr ? 0 : look(what->clock_offset_ns);
}

void add_offset(timespec& time) {
  const std::int64_t offset = clock_offset_ns();
  if (offset == 0) return;
  const std::int64_t total = static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec + offset;
  time.tv_sec = static_cast<time_t>(total / 1'000'000'000);
  time.tv_nsec = static_cast<long>(total % 1'000'000'000);
}

}  // namespace

#define FF_SHIM extern "C" __attribute__((visibility("default")))

FF_SHIM ssize_t write(int fd, const void* bytes, size_t count) {
  return disk_strikes(fd, true) ? -1 : syscall(SYS_write, fd, bytes, count);
}
FF_SHIM ssize_t pwrite(int fd, const void* bytes, size_t count, off_t at) {
  return disk_strikes(fd, true) ? -1 : syscall(SYS_pwrite64, fd, bytes, count, at);
}
FF_SHIM ssize_t pwrite64(int fd, const void* bytes, size_t count, off64_t at) {
  return disk_strikes(fd, true) ? -1 : syscall(SYS_pwrite64, fd, bytes, count, at);
}
FF_SHIM ssize_t writev(int fd, const iovec* parts, int count) {
  return disk_strikes(fd, true) ? -1 : syscall(SYS_writev, fd, parts, count);
}
FF_SHIM ssize_t pwritev(int fd, const iovec* parts, int count, off_t at) {
  return disk_strikes(fd, true) ? -1 : syscall(SYS_pwritev, fd, parts, count, at, at >> 32);
}
FF_SHIM ssize_t pwritev64(int fd, const iovec* parts, int count, off64_t at) {
  return disk_strikes(fd, true) ? -1 : syscall(SYS_pwritev, fd, parts, count, at, at >> 32);
}
FF_SHIM int fallocate(int fd, int mode, off_t at, off_t count) {
  return disk_strikes(fd, true) ? -1 : static_cast<int>(syscall(SYS_fallocate, fd, mode, at, count));
}
FF_SHIM int fallocate64(int fd, int mode, off64_t at, off64_t count) {
  return disk_strikes(fd, true) ? -1 : static_cast<int>(syscall(SYS_fallocate, fd, mode, at, count));
}
FF_SHIM int posix_fallocate(int fd, off_t at, off_t count) {
  if (disk_strikes(fd, true)) return ENOSPC;
  return syscall(SYS_fallocate, fd, 0, at, count) == 0 ? 0 : errno;
}
FF_SHIM int posix_fallocate64(int fd, off64_t at, off64_t count) { return posix_fallocate(fd, at, count); }
FF_SHIM int fsync(int fd) {
  disk_strikes(fd, false);
  return static_cast<int>(syscall(SYS_fsync, fd));
}
FF_SHIM int fdatasync(int fd) {
  disk_strikes(fd, false);
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

FF_SHIM int clock_gettime(clockid_t clock, timespec* time) {
  const long done = syscall(SYS_clock_gettime, clock, time);
  if (done == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) add_offset(*time);
  return static_cast<int>(done);
}
FF_SHIM int gettimeofday(timeval* time, void* /*zone*/) {
  timespec now{};
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  *time = {now.tv_sec, static_cast<suseconds_t>(now.tv_nsec / 1000)};
  return 0;
}
FF_SHIM time_t time(time_t* out) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}
