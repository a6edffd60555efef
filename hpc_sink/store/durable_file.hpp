// SPDX-License-Identifier: Apache-2.0
//
// How a file becomes part of the store: NAME.<sink>.part, fsync, rename, fsync of the folder.
//
// Data path  decode > store [.part > NAME] > commit
// A name without .part is a whole file, always: it got its name only after all its bytes were on the disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "common/base/result.hpp"

namespace ff::sink {

/// The steps between which a test may kill the process.
enum class StoreStep {
  window_written,
  file_closed,
  file_synced,
  file_renamed,
  catalogued,
  sealed,
  receipt_written,
  committed,
  master_renamed
};
using StoreStepHook = std::function<void(StoreStep)>;

[[nodiscard]] std::filesystem::path part_path(const std::filesystem::path& final_path,
                                              const std::string& sink);
/// fsync of a file or folder. Errors: io_error, disk_full.
[[nodiscard]] Status sync_path(const std::filesystem::path& path);
/// Gives back room that was reserved behind the file's end, and syncs it. Errors: io_error, disk_full.
[[nodiscard]] Status trim_and_sync(const std::filesystem::path& path);

/// Renames a synced file and syncs the folder. Errors: already_exists (only without `replace`), io_error.
[[nodiscard]] Status publish(const std::filesystem::path& part, const std::filesystem::path& final_path,
                             bool replace);

/// Makes sure that the first `bytes` of the open file can be written; true also where the file system can't
/// tell. Errors: disk_full.
[[nodiscard]] Status reserve_room(int descriptor, std::uint64_t bytes, const std::filesystem::path& path);

/// Error of the present errno: disk_full for ENOSPC, EDQUOT and EFBIG, else io_error.
[[nodiscard]] Error system_error(std::string_view doing, const std::filesystem::path& path);

}  // namespace ff::sink
