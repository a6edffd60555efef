// SPDX-License-Identifier: Apache-2.0
//
// PartFile: an output that appears whole or not at all. Written as NAME.part, then fsync and rename.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"

namespace ff::tools {

/// Refuses a `path` that exists, unless `force`. Errors: already_exists, not_found (its folder).
[[nodiscard]] Status check_output(const std::string& path, bool force);
/// fsync of the finished `part_path`, rename to `path` (without replacing, unless `force`), fsync of the
/// folder.
[[nodiscard]] Status publish_output(const std::string& part_path, const std::string& path, bool force);

class PartFile {
 public:
  /// Errors: already_exists (unless `force`), not_found, io_error.
  [[nodiscard]] static Result<PartFile> create(const std::string& path, bool force);
  PartFile(PartFile&& other) noexcept;
  PartFile& operator=(PartFile&&) = delete;
  ~PartFile();  ///< without commit(): removes the .part

  /// Errors: disk_full, io_error.
  [[nodiscard]] Status write(ByteSpan bytes);
  /// In place of write(): from any number of threads at once, each byte of the file by one of them. A hole reads as
  /// zeros. Errors: disk_full, io_error.
  [[nodiscard]] Status write_at(std::uint64_t position, ByteSpan bytes) const;
  [[nodiscard]] Status commit();
  [[nodiscard]] std::uint64_t bytes_written() const noexcept { return bytes_written_; }

 private:
  PartFile(std::string path, int fd, bool force) : path_(std::move(path)), fd_(fd), force_(force) {}

  std::string path_;
  int fd_ = -1;
  bool force_ = false;
  std::uint64_t bytes_written_ = 0;
};

}  // namespace ff::tools
