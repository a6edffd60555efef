// SPDX-License-Identifier: Apache-2.0
//
// TaskPool: a fixed number of threads that take tasks in the order in which they were given.
// TaskChains: tasks of one chain run one after another, in order; different chains run at the same time.
//
// The thread that made the pool is one of its workers: it works while it waits (run_until). So a pool of one
// starts no thread at all, and everything runs in the order of submission. Nothing here bounds the number of
// waiting tasks: whoever submits has a fixed number of slots to fill, and that is the bound.
// Not here   stages that hand values on for ever (bounded_queue.hpp).
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace ff {

class TaskPool {
 public:
  /// `worker` is 0 (the maker of the pool) ... threads() - 1: an index for scratch memory that is nobody else's
  /// while the task runs.
  using Task = std::function<void(std::size_t worker)>;

  /// Precondition: threads ≥ 1. Starts threads - 1 of them.
  explicit TaskPool(std::size_t threads);
  /// Tasks that nobody has begun are dropped; those that run are waited for.
  ~TaskPool();
  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;

  [[nodiscard]] std::size_t threads() const noexcept { return workers_.size() + 1; }
  /// From any thread, also from a task. Never waits.
  void submit(Task task);
  /// Runs tasks until `done()`; sleeps while there is none. By the maker of the pool, outside tasks. `done` is
  /// asked after every task of any worker, under the pool's lock: it may read atomics and must not submit.
  void run_until(const std::function<bool()>& done);

 private:
  void work(std::size_t worker);

  std::mutex mutex_;
  std::condition_variable for_workers_, for_maker_;
  std::deque<Task> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

class TaskChains {
 public:
  TaskChains(TaskPool& pool, std::size_t chains) : pool_(pool), chains_(chains) {}
  /// Works until every submitted task has run: they may use what the owner has.
  ~TaskChains() { drain(); }
  TaskChains(const TaskChains&) = delete;
  TaskChains& operator=(const TaskChains&) = delete;

  /// By the maker of the pool.
  void submit(std::size_t chain, TaskPool::Task task);
  void drain();

 private:
  struct Chain {
    std::deque<TaskPool::Task> waiting;
    bool running = false;
  };
  void start(std::size_t chain, TaskPool::Task task);
  void go_on(std::size_t chain);

  TaskPool& pool_;
  std::mutex mutex_;
  std::vector<Chain> chains_;
  std::atomic<std::size_t> unfinished_{0};
};

/// The processors that this process may use, at least 1: the affinity mask counts, so that taskset, Slurm and
/// containers that pin are respected.
[[nodiscard]] std::size_t usable_cores() noexcept;

}  // namespace ff
