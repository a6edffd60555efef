// SPDX-License-Identifier: Apache-2.0
//
// Files as the segment log needs them: descriptors that close themselves, whole reads and writes, locks,
// and errors that name the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <sys/uio.h>

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"

namespace ff::transport {

/// An open file; closed when destroyed. -1: none.
class FileHandle {
 public:
  FileHandle() = default;
  explicit FileHandle(int fd) noexcept : fd_(fd) {}
  FileHandle(FileHandle&& other) noexcept : fd_(other.release()) {}
  FileHandle& operator=(FileHandle&& other) noexcept;
  FileHandle(const FileHandle&) = delete;
  FileHandle& operator=(const FileHandle&) = delete;
  ~FileHandle() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
  void reset() noexcept;

 private:
  [[nodiscard]] int release() noexcept;
  int fd_ = -1;
};

/// The present errno as an Error: disk_full for ENOSPC and EDQUOT, not_found for ENOENT, else io_error.
[[nodiscard]] Error errno_error(std::string_view what, const std::filesystem::path& path);

/// `flags` as for open(2); close-on-exec is added, new files get mode 0640.
[[nodiscard]] Result<FileHandle> open_file(const std::filesystem::path& path, int flags);
/// Locks `path` (made when missing) for this handle's life. Errors: refused (somebody holds it), io_error.
[[nodiscard]] Result<FileHandle> lock_file(const std::filesystem::path& path);

/// Bytes read from `position`: fewer than asked only at the end of the file.
[[nodiscard]] Result<std::size_t> read_at(int fd, std::uint64_t position, MutableByteSpan out,
                                          const std::filesystem::path& path);
/// Writes all pieces at the file's position, also over short writes. `pieces` is used up.
[[nodiscard]] Status write_all(int fd, std::span<iovec> pieces, const std::filesystem::path& path);
[[nodiscard]] Result<std::uint64_t> file_size(int fd, const std::filesystem::path& path);
/// When the file was written last, by the machine's clock.
[[nodiscard]] Result<std::int64_t> modified_utc_ns(const std::filesystem::path& path);
/// True when the file has no name any more.
[[nodiscard]] bool is_unlinked(int fd) noexcept;
/// Makes creations, renames and removals in `folder` durable.
[[nodiscard]] Status sync_folder(const std::filesystem::path& folder);
/// Replaces `path` by `bytes` in one step: temporary file, fsync, rename, fsync of the folder.
[[nodiscard]] Status replace_file(const std::filesystem::path& path, ByteSpan bytes);

}  // namespace ff::transport
