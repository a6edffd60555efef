// SPDX-License-Identifier: Apache-2.0
//
// Finished log lines on their way to stderr.
//
// Whoever reads stderr (a journal on a full disk, a terminal that was stopped with ^S) may stop reading. A daemon's
// threads must not wait for that: while a BackgroundLog lives, lines are handed to a thread of its own; when it falls
// behind too far, lines are lost, and the log says how many.
// Not here   what stands in a line (logging.hpp).
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

namespace ff::service {

inline constexpr std::size_t kLogBacklogBytes = 1u << 20;

/// One at a time in a process.
class BackgroundLog {
 public:
  explicit BackgroundLog(std::size_t backlog_bytes = kLogBacklogBytes);
  /// What has not been written after two seconds is let go.
  ~BackgroundLog();
  BackgroundLog(const BackgroundLog&) = delete;
  BackgroundLog& operator=(const BackgroundLog&) = delete;

  struct Backlog;

 private:
  std::shared_ptr<Backlog>
      backlog_;  ///< the thread's as well: it may hang in a write for longer than we live
};

/// `line` with its line end: to the backlog where there is one, else to stderr at once. Thread-safe.
void put_log_line(std::string_view line);

}  // namespace ff::service
