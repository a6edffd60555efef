// SPDX-License-Identifier: Apache-2.0
//
// fsync, renameat2, fallocate: the few system calls that durability needs.
#include "hpc_sink/store/durable_file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ff::sink {
namespace {

class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

// Some network file systems know no RENAME_NOREPLACE; link() refuses an existing name everywhere.
int rename_without_replace(const char* from, const char* to) {
  if (::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  return ::link(from, to) == 0 ? ::unlink(from) : -1;
}

}  // namespace

std::filesystem::path part_path(const std::filesystem::path& final_path, const std::string& sink) {
  return final_path.string() + "." + sink + ".part";
}

Error system_error(std::string_view doing, const std::filesystem::path& path) {
  const int code = errno;
  const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  return fail(full ? Errc::disk_full : Errc::io_error,
              std::string(doing) + " " + path.string() + ": " + std::strerror(code));
}

Status sync_path(const std::filesystem::path& path) {
  const Descriptor file(path, O_RDONLY);
  if (file.get() < 0 || ::fsync(file.get()) != 0) return system_error("fsync of", path);
  return {};
}

Status trim_and_sync(const std::filesystem::path& path) {
  const Descriptor file(path, O_RDWR);
  struct stat info {};
  if (file.get() < 0 || ::fstat(file.get(), &info) != 0 || ::ftruncate(file.get(), info.st_size) != 0 ||
      ::fsync(file.get()) != 0)
    return system_error("fsync of", path);
  return {};
}

Status publish(const std::filesystem::path& part, const std::filesystem::path& final_path, bool replace) {
  const int rc = replace ? std::rename(part.c_str(), final_path.c_str())
                         : rename_without_replace(part.c_str(), final_path.c_str());
  if (rc != 0 && errno == EEXIST)
    return fail(Errc::already_exists, final_path.string() + " is there already");
  if (rc != 0) return system_error("renaming to", final_path);
  return sync_path(final_path.parent_path());
}

Status reserve_room(int descriptor, std::uint64_t bytes, const std::filesystem::path& path) {
  if (::fallocate(descriptor, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) == 0) return {};
  if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) return {};
  return system_error("making room for", path);
}

}  // namespace ff::sink
