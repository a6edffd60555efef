// SPDX-License-Identifier: Apache-2.0
#include "common/base/task_pool.hpp"

#include <algorithm>
#include <array>
#include <new>

#include <catch2/catch.hpp>

using namespace ff;

TEST_CASE("a pool of one runs its tasks in order, in the thread that waits", "[task_pool]") {
  TaskPool pool(1);
  CHECK(pool.threads() == 1);
  std::vector<int> order;
  std::vector<std::thread::id> ran_in;
  std::size_t left = 5;
  for (int i = 0; i < 5; ++i) {
    pool.submit([&, i](std::size_t worker) {
      CHECK(worker == 0);
      order.push_back(i);
      ran_in.push_back(std::this_thread::get_id());
      --left;
    });
  }
  CHECK(order.empty());
  pool.run_until([&] { return left == 0; });
  CHECK(order == std::vector<int>{0, 1, 2, 3, 4});
  for (const std::thread::id id : ran_in) CHECK(id == std::this_thread::get_id());
}

TEST_CASE("tasks of one chain never overlap and keep their order; chains run beside each other",
          "[task_pool]") {
  constexpr std::size_t kChains = 5, kTasks = 200;
  TaskPool pool(GENERATE(1u, 2u, 4u));
  std::array<std::vector<std::size_t>, kChains> seen;  // no lock: a chain is one thread at a time
  std::array<std::atomic<int>, kChains> inside{};
  std::atomic<bool> overlapped{false};
  {
    TaskChains chains(pool, kChains);
    for (std::size_t i = 0; i < kTasks; ++i) {
      for (std::size_t chain = 0; chain < kChains; ++chain) {
        chains.submit(chain, [&, chain, i](std::size_t) {
          if (inside[chain].fetch_add(1) != 0) overlapped = true;
          seen[chain].push_back(i);
          inside[chain].fetch_sub(1);
        });
      }
    }
  }  // the end of the chains waits for them
  CHECK_FALSE(overlapped);
  for (const auto& order : seen) {
    REQUIRE(order.size() == kTasks);
    CHECK(std::is_sorted(order.begin(), order.end()));
  }
}

TEST_CASE("two workers are at work at the same time", "[task_pool]") {
  TaskPool pool(2);
  std::atomic<int> arrived{0}, done{0};
  std::array<std::size_t, 2> worker_of{};
  for (std::size_t i = 0; i < 2; ++i) {
    pool.submit([&, i](std::size_t worker) {
      worker_of[i] = worker;
      arrived.fetch_add(1);
      while (arrived.load() < 2) std::this_thread::yield();  // only both together come past here
      done.fetch_add(1);
    });
  }
  pool.run_until([&] { return done.load() == 2; });
  CHECK(worker_of[0] + worker_of[1] == 1);
}

TEST_CASE("a pool that ends drops what nobody has begun", "[task_pool]") {
  std::atomic<int> ran{0};
  {
    TaskPool pool(1);
    for (int i = 0; i < 3; ++i) pool.submit([&](std::size_t) { ran.fetch_add(1); });
  }
  CHECK(ran.load() == 0);
  CHECK(usable_cores() >= 1);
}

TEST_CASE("a task that throws ends its own chain's turn, not the wait for all of them", "[task_pool]") {
  TaskPool pool(1);  // the waiting thread works itself, so that the exception comes to it
  int later = 0;
  TaskChains chains(pool, 1);
  chains.submit(0, [](std::size_t) { throw std::bad_alloc(); });
  chains.submit(0, [&](std::size_t) { ++later; });
  CHECK_THROWS_AS(chains.drain(), std::bad_alloc);
  chains.drain();
  CHECK(later == 1);
}
