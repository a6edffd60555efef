// SPDX-License-Identifier: Apache-2.0
//
// One queue under one lock: tasks take milliseconds, so the lock is not where time goes.
#include "common/base/task_pool.hpp"

#include <algorithm>
#include <pthread.h>
#include <sched.h>
#include <string>
#include <utility>

#include "common/base/check.hpp"

namespace ff {

TaskPool::TaskPool(std::size_t threads) {
  FF_CHECK(threads > 0);
  for (std::size_t worker = 1; worker < threads; ++worker)
    workers_.emplace_back([this, worker] { work(worker); });
}

TaskPool::~TaskPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    tasks_.clear();
  }
  for_workers_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void TaskPool::submit(Task task) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    tasks_.push_back(std::move(task));
  }
  for_workers_.notify_one();
  for_maker_.notify_one();
}

void TaskPool::run_until(const std::function<bool()>& done) {
  std::unique_lock lock(mutex_);
  while (!done()) {
    if (tasks_.empty()) {
      for_maker_.wait(lock);
      continue;
    }
    const Task task = std::exchange(tasks_.front(), nullptr);
    tasks_.pop_front();
    lock.unlock();
    task(0);
    lock.lock();
  }
}

void TaskPool::work(std::size_t worker) {
  pthread_setname_np(pthread_self(), ("worker-" + std::to_string(worker)).c_str());
  std::unique_lock lock(mutex_);
  while (true) {
    for_workers_.wait(lock, [&] { return stopping_ || !tasks_.empty(); });
    if (tasks_.empty()) return;  // only when stopping
    Task task = std::exchange(tasks_.front(), nullptr);
    tasks_.pop_front();
    lock.unlock();
    task(worker);
    task = nullptr;  // what it holds is let go before anybody hears that it is done
    lock.lock();
    for_maker_.notify_one();
  }
}

void TaskChains::submit(std::size_t chain, TaskPool::Task task) {
  unfinished_.fetch_add(1, std::memory_order_relaxed);
  {
    std::lock_guard lock(mutex_);
    if (chains_[chain].running) {
      chains_[chain].waiting.push_back(std::move(task));
      return;
    }
    chains_[chain].running = true;
  }
  start(chain, std::move(task));
}

void TaskChains::start(std::size_t chain, TaskPool::Task task) {
  pool_.submit([this, chain, task = std::move(task)](std::size_t worker) {
    // Also when the task throws (no memory): a chain that never ends would be waited for for ever.
    const struct GoOn {
      TaskChains& chains;
      std::size_t chain;
      ~GoOn() { chains.go_on(chain); }
    } go_on_after{*this, chain};
    task(worker);
  });
}

void TaskChains::go_on(std::size_t chain) {
  TaskPool::Task next;
  {
    std::lock_guard lock(mutex_);
    std::deque<TaskPool::Task>& waiting = chains_[chain].waiting;
    if (waiting.empty()) {
      chains_[chain].running = false;
    } else {
      next = std::move(waiting.front());
      waiting.pop_front();
    }
  }
  if (next) start(chain, std::move(next));
  // The last touch: whoever sees 0 may destroy the chains.
  unfinished_.fetch_sub(1, std::memory_order_release);
}

void TaskChains::drain() {
  pool_.run_until([&] { return unfinished_.load(std::memory_order_acquire) == 0; });
}

std::size_t usable_cores() noexcept {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) {
    return static_cast<std::size_t>(std::max(1, CPU_COUNT(&cores)));
  }
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace ff
