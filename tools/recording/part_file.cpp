// SPDX-License-Identifier: Apache-2.0
//
// Outputs that appear whole or not at all.
#include "tools/recording/part_file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

namespace ff::tools {

namespace {

Error os_error(const std::string& path, const char* action) {
  const int number = errno;
  const bool full = number == ENOSPC || number == EDQUOT;
  return fail(full ? Errc::disk_full : Errc::io_error,
              path + ": can't be " + action + ": " + std::strerror(number));
}

Status fsync_path(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return os_error(path, "opened");
  const bool done = ::fsync(fd) == 0;
  const Error error = done ? Error{} : os_error(path, "made durable");
  ::close(fd);
  if (!done) return error;
  return {};
}

}  // namespace

Status check_output(const std::string& path, bool force) {
  std::error_code error;
  const std::filesystem::path target(path);
  if (!force && std::filesystem::exists(target, error)) {
    return fail(Errc::already_exists, path + ": exists already; --force overwrites it");
  }
  const auto folder = target.has_parent_path() ? target.parent_path() : std::filesystem::path(".");
  if (!std::filesystem::is_directory(folder, error)) {
    return fail(Errc::not_found, folder.string() + ": no such folder; make it first");
  }
  return {};
}

Status publish_output(const std::string& part_path, const std::string& path, bool force) {
  FF_TRY(fsync_path(part_path));
  const unsigned flags = force ? 0u : RENAME_NOREPLACE;
  if (::renameat2(AT_FDCWD, part_path.c_str(), AT_FDCWD, path.c_str(), flags) != 0) {
    if (errno == EEXIST)
      return fail(Errc::already_exists, path + ": appeared meanwhile; --force overwrites it");
    // Some network filesystems know no flags: there, the check at creation has to do.
    if (errno != EINVAL || ::rename(part_path.c_str(), path.c_str()) != 0)
      return os_error(path, "put in its place");
  }
  const auto folder = std::filesystem::path(path).parent_path();
  return fsync_path(folder.empty() ? "." : folder.string());
}

Result<PartFile> PartFile::create(const std::string& path, bool force) {
  FF_TRY(check_output(path, force));
  const std::string part = path + ".part";
  const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return os_error(part, "created");
  return PartFile(path, fd, force);
}

PartFile::PartFile(PartFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      force_(other.force_),
      bytes_written_(other.bytes_written_) {}

PartFile::~PartFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink((path_ + ".part").c_str());
}

Status PartFile::write(ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return os_error(path_ + ".part", "written");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    bytes_written_ += static_cast<std::uint64_t>(written);
  }
  return {};
}

Status PartFile::write_at(std::uint64_t position, ByteSpan bytes) const {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(position));
    if (written < 0) {
      if (errno == EINTR) continue;
      return os_error(path_ + ".part", "written");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    position += static_cast<std::uint64_t>(written);
  }
  return {};
}

Status PartFile::commit() {
  FF_TRY(publish_output(path_ + ".part", path_, force_));
  ::close(std::exchange(fd_, -1));
  return {};
}

}  // namespace ff::tools
