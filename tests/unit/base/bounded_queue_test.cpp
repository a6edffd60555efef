// SPDX-License-Identifier: Apache-2.0
#include "common/base/bounded_queue.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

using ff::BoundedQueue;
using namespace std::chrono_literals;

TEST_CASE("a full queue refuses and leaves the value with its owner", "[queue]") {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  auto first = std::make_unique<int>(1), second = std::make_unique<int>(2);
  CHECK(queue.try_push(first));
  CHECK_FALSE(queue.try_push(second));
  CHECK_FALSE(queue.push_for(second, 1ms));
  REQUIRE(second != nullptr);
  CHECK(**queue.pop_for(0ns) == 1);
  CHECK(queue.push_for(second, 0ns));
  CHECK(queue.size() == queue.capacity());
}

TEST_CASE("an empty queue answers with nothing after the time-out", "[queue]") {
  BoundedQueue<int> queue(1);
  CHECK_FALSE(queue.pop_for(0ns).has_value());
  CHECK_FALSE(queue.pop_for(1ms).has_value());
  CHECK_FALSE(queue.finished());
}

TEST_CASE("closing lets the rest out and nothing in", "[queue]") {
  BoundedQueue<int> queue(4);
  REQUIRE(queue.push(1));
  REQUIRE(queue.push(2));
  queue.close();
  int three = 3;
  CHECK_FALSE(queue.push(3));
  CHECK_FALSE(queue.try_push(three));
  CHECK_FALSE(queue.push_for(three, 1h));  // does not wait for what can't come
  CHECK_FALSE(queue.finished());
  CHECK(queue.pop_for(1h) == 1);
  CHECK(queue.pop_for(1h) == 2);
  CHECK_FALSE(queue.pop_for(1h).has_value());
  CHECK(queue.finished());
}

TEST_CASE("closing wakes a producer that waits for room and a consumer that waits for work", "[queue]") {
  BoundedQueue<int> full(1), empty(1);
  REQUIRE(full.push(1));
  std::atomic<bool> pushed{true}, popped{true};
  {
    std::jthread producer([&] { pushed = full.push(2); });
    std::jthread consumer([&] { popped = empty.pop_for(1h).has_value(); });
    full.close();
    empty.close();
  }
  CHECK_FALSE(pushed);
  CHECK_FALSE(popped);
}

TEST_CASE("many producers and consumers pass every value exactly once", "[queue]") {
  constexpr int kThreads = 4, kEach = 5000;
  BoundedQueue<int> queue(8);
  std::vector<std::atomic<int>> seen(kThreads * kEach);
  {
    std::vector<std::jthread> consumers;
    for (int t = 0; t < kThreads; ++t)
      consumers.emplace_back([&] {
        while (!queue.finished())
          if (const auto value = queue.pop_for(10ms)) seen[static_cast<std::size_t>(*value)].fetch_add(1);
      });
    {
      std::vector<std::jthread> producers;
      for (int t = 0; t < kThreads; ++t)
        producers.emplace_back([&, t] {
          for (int i = 0; i < kEach; ++i) (void)queue.push(t * kEach + i);
        });
    }
    queue.close();
  }
  CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& count) { return count == 1; }));
}
