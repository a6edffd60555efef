// SPDX-License-Identifier: Apache-2.0
//
// SyncThread: waits for fsyncs, so that the thread that writes the log need not. One round at a time, of all
// topics with something to make durable. Private to common/transport.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "common/base/result.hpp"
#include "common/transport/segment_log.hpp"

namespace ff::transport {

class SyncThread {
 public:
  struct Job {
    std::size_t log = 0;  ///< the owner's number for it
    SegmentSync sync;
    Status outcome;
  };

  SyncThread() : thread_([this] { run(); }) {}
  ~SyncThread();
  SyncThread(const SyncThread&) = delete;
  SyncThread& operator=(const SyncThread&) = delete;

  /// Only when no round is under way.
  void start(std::vector<Job> round);
  /// True from start() until finished() has returned the round.
  [[nodiscard]] bool busy() const noexcept { return busy_; }
  /// The round with its outcomes; nothing when it takes longer than `timeout`.
  [[nodiscard]] std::optional<std::vector<Job>> finished(std::chrono::nanoseconds timeout);

 private:
  void run();

  bool busy_ = false;  ///< the owner's view
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Job> round_;
  bool has_work_ = false, is_done_ = false, stop_ = false;
  std::thread thread_;
};

}  // namespace ff::transport
