// SPDX-License-Identifier: Apache-2.0
//
// FailedWindows: windows that ended without all their frames, because a block did not decode or did not come, and
// up to where in the log they were read then.
//
// Data path  decode > [failed before?] > ask again, or dead letter
// The first failure asks for the records again; when those that came again fail too, or lack the same, the fault is
// in the records. "Came again" means a higher offset: what is merely read again after a crash proves nothing.
// Thread-safe. Durable in the catalogue (failed_windows).
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>

#include "hpc_sink/decode/finished_window.hpp"

namespace ff::sink {

struct FailedRead {
  std::int32_t partition = 0;
  std::int64_t next_offset = 0;  ///< one past the newest record of the window at its latest failure
  bool dead = false;             ///< its records came again and failed again
  std::uint64_t came = 0;        ///< census_digest of what was here when its patience was over; 0: not known
};

class FailedWindows {
 public:
  void insert(const WindowKey& key, FailedRead read) {
    std::lock_guard lock(mutex_);
    windows_[key] = read;
  }
  void erase(const WindowKey& key) {
    std::lock_guard lock(mutex_);
    windows_.erase(key);
  }
  [[nodiscard]] std::optional<FailedRead> find(const WindowKey& key) const {
    std::lock_guard lock(mutex_);
    const auto found = windows_.find(key);
    return found == windows_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  mutable std::mutex mutex_;
  std::map<WindowKey, FailedRead> windows_;
};

}  // namespace ff::sink
