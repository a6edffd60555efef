// SPDX-License-Identifier: Apache-2.0
#include "common/transport/posix_file.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ff::transport {

FileHandle& FileHandle::operator=(FileHandle&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

void FileHandle::reset() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

int FileHandle::release() noexcept {
  const int fd = fd_;
  fd_ = -1;
  return fd;
}

Error errno_error(std::string_view what, const std::filesystem::path& path) {
  const int number = errno;
  Errc code = Errc::io_error;
  if (number == ENOSPC || number == EDQUOT) code = Errc::disk_full;
  if (number == ENOENT) code = Errc::not_found;
  return {code, path.string() + ": " + std::string(what) + ": " + std::strerror(number)};
}

Result<FileHandle> open_file(const std::filesystem::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0640);
  if (fd < 0) return errno_error("cannot open", path);
  return FileHandle(fd);
}

Result<FileHandle> lock_file(const std::filesystem::path& path) {
  FF_ASSIGN(FileHandle file, open_file(path, O_RDWR | O_CREAT));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return file;
  if (errno == EWOULDBLOCK)
    return fail(Errc::refused,
                path.string() + ": another process holds this lock; stop it or use another name");
  return errno_error("cannot lock", path);
}

Result<std::size_t> read_at(int fd, std::uint64_t position, MutableByteSpan out,
                            const std::filesystem::path& path) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(position + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("cannot read", path);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

Status write_all(int fd, std::span<iovec> pieces, const std::filesystem::path& path) {
  while (!pieces.empty()) {
    const ssize_t n = ::writev(fd, pieces.data(), static_cast<int>(pieces.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("cannot write", path);
    auto left = static_cast<std::size_t>(n);
    while (!pieces.empty() && left >= pieces.front().iov_len) {
      left -= pieces.front().iov_len;
      pieces = pieces.subspan(1);
    }
    if (pieces.empty()) break;
    pieces.front().iov_base = static_cast<std::byte*>(pieces.front().iov_base) + left;
    pieces.front().iov_len -= left;
  }
  return {};
}

Result<std::uint64_t> file_size(int fd, const std::filesystem::path& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return errno_error("cannot stat", path);
  return static_cast<std::uint64_t>(info.st_size);
}

Result<std::int64_t> modified_utc_ns(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return errno_error("cannot stat", path);
  return std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

bool is_unlinked(int fd) noexcept {
  struct stat info {};
  return ::fstat(fd, &info) == 0 && info.st_nlink == 0;
}

Status sync_folder(const std::filesystem::path& folder) {
  FF_ASSIGN(const FileHandle handle, open_file(folder, O_RDONLY | O_DIRECTORY));
  if (::fsync(handle.get()) != 0) return errno_error("cannot fsync", folder);
  return {};
}

Status replace_file(const std::filesystem::path& path, ByteSpan bytes) {
  std::filesystem::path temporary = path;
  temporary += ".new";
  {
    FF_ASSIGN(const FileHandle file, open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC));
    iovec piece{const_cast<std::byte*>(bytes.data()), bytes.size()};
    FF_TRY(write_all(file.get(), {&piece, 1}, temporary));
    if (::fsync(file.get()) != 0) return errno_error("cannot fsync", temporary);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return errno_error("cannot rename to", path);
  return sync_folder(path.parent_path());
}

}  // namespace ff::transport
