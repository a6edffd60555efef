// SPDX-License-Identifier: Apache-2.0
//
// DoneWindows: which windows are complete (in a file, or on their way into one), so that records that come
// again are dropped before anything is decoded.
//
// Data path  consume > [seen before?] > decode > store
// Complete windows of a stream are nearly always one run, so ranges are kept: memory follows the gaps.
// Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "hpc_sink/decode/finished_window.hpp"

namespace ff::sink {

class DoneWindows {
 public:
  void insert(const WindowKey& key);
  /// Its file was given up: the window must be read again.
  void erase(const WindowKey& key);
  [[nodiscard]] bool contains(const WindowKey& key) const;
  /// The windows below `end` that are not in the set, as ranges (first, one past the last), at most `ranges_max`
  /// of them.
  [[nodiscard]] std::vector<std::pair<std::uint64_t, std::uint64_t>> gaps(const StreamKey& stream,
                                                                          std::uint64_t end,
                                                                          std::size_t ranges_max) const;
  /// Number of complete windows of the stream.
  [[nodiscard]] std::uint64_t count(const StreamKey& stream) const;

 private:
  using Ranges = std::map<std::uint64_t, std::uint64_t>;  // first window -> one past the last

  mutable std::mutex mutex_;
  std::map<StreamKey, Ranges> streams_;
};

}  // namespace ff::sink
