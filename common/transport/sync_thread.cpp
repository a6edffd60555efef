// SPDX-License-Identifier: Apache-2.0
#include "common/transport/sync_thread.hpp"

#include <utility>

#include "common/base/check.hpp"

namespace ff::transport {

SyncThread::~SyncThread() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void SyncThread::start(std::vector<Job> round) {
  FF_CHECK(!busy_);
  busy_ = true;
  {
    const std::lock_guard lock(mutex_);
    round_ = std::move(round);
    has_work_ = true;
    is_done_ = false;
  }
  changed_.notify_all();
}

std::optional<std::vector<SyncThread::Job>> SyncThread::finished(std::chrono::nanoseconds timeout) {
  std::unique_lock lock(mutex_);
  if (!busy_ || !changed_.wait_for(lock, timeout, [this] { return is_done_; })) return std::nullopt;
  is_done_ = busy_ = false;
  return std::exchange(round_, {});
}

void SyncThread::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return has_work_ || stop_; });
    if (!has_work_) return;
    std::vector<Job> round = std::exchange(round_, {});
    lock.unlock();
    for (Job& job : round) job.outcome = job.sync.run();
    lock.lock();
    round_ = std::move(round);
    has_work_ = false;
    is_done_ = true;
    changed_.notify_all();
  }
}

}  // namespace ff::transport
