// SPDX-License-Identifier: Apache-2.0
#include "hpc_sink/filter/chunk_cache.hpp"

#include <atomic>
#include <cstdlib>
#include <thread>

#include <catch2/catch.hpp>

namespace {

using namespace ff;
using namespace ff::sink;

constexpr std::size_t kBytes = 64;

std::shared_ptr<CachedChunk> chunk(std::uint64_t number) {
  auto made = std::make_shared<CachedChunk>();
  made->shape = {{Dtype::u8, 8, 8}, 1};
  made->pixels = std::make_unique<std::byte[]>(kBytes);
  std::fill_n(made->pixels.get(), kBytes, static_cast<std::byte>(number));
  return made;
}

ChunkKey key(std::uint64_t number) { return {number, ~number, kBytes}; }

// Reads a chunk as the filter does; whether it was there.
bool read(ChunkCache& cache, std::uint64_t number) {
  if (cache.find(key(number)) != nullptr) return true;
  cache.put(key(number), chunk(number));
  return false;
}

}  // namespace

TEST_CASE("The cache holds what fits and drops what was used longest ago", "[filter]") {
  ChunkCache cache(3 * kBytes);
  for (const std::uint64_t number : {1, 2, 3}) CHECK_FALSE(read(cache, number));
  CHECK(read(cache, 1));
  CHECK_FALSE(read(cache, 4));  // in place of 2
  CHECK(read(cache, 1));
  CHECK(read(cache, 3));
  CHECK(cache.find(key(2)) == nullptr);
  CHECK(cache.bytes() == 3 * kBytes);
}

TEST_CASE("Windows read frame by frame cost one miss a tile, again and again", "[filter]") {
  ChunkCache cache(10 * kBytes);
  for (int pass = 0; pass < 3; ++pass) {
    int misses = 0;
    for (std::uint64_t window = 0; window < 20; ++window)
      for (int frame = 0; frame < 16; ++frame)
        for (std::uint64_t tile = 0; tile < 8; ++tile) misses += read(cache, 100 * window + tile) ? 0 : 1;
    CHECK(misses == 20 * 8);
  }
}

TEST_CASE("Of more tiles than fit, read in turn, a part stays", "[filter]") {
  ChunkCache cache(10 * kBytes);
  int hits = 0;
  for (int frame = 0; frame < 64; ++frame)
    for (std::uint64_t tile = 0; tile < 16; ++tile) hits += read(cache, tile) ? 1 : 0;
  CHECK(hits > 64 * 16 / 4);  // dropping the oldest alone would give none
  CHECK(cache.bytes() <= 10 * kBytes);
}

TEST_CASE("A chunk larger than the cache is not kept, and a size of 0 keeps nothing", "[filter]") {
  ChunkCache small(kBytes - 1), none(0);
  CHECK_FALSE(small.holds(kBytes));
  CHECK_FALSE(read(small, 1));
  CHECK_FALSE(read(small, 1));
  CHECK_FALSE(none.holds(1));
  CHECK(small.bytes() == 0);
}

TEST_CASE("Any number of threads read and drop at once and see whole chunks", "[filter]") {
  ChunkCache cache(5 * kBytes);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] {
      for (std::uint64_t i = 0; i < 4000; ++i) {
        const std::uint64_t number = (i * (seed + 3)) % 9;
        const auto found = cache.find(key(number));
        if (!found) {
          cache.put(key(number), chunk(number));
        } else if (found->pixels[0] != static_cast<std::byte>(number) ||
                   found->pixels[kBytes - 1] != found->pixels[0]) {
          ++wrong;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(cache.bytes() <= 5 * kBytes);
}

TEST_CASE("Keys tell contents and lengths apart", "[filter]") {
  std::vector<std::byte> bytes(100);
  const ChunkKey first = chunk_key(bytes);
  CHECK(first == chunk_key(bytes));
  CHECK_FALSE(first == chunk_key(ByteSpan(bytes).first(99)));
  bytes[50] = std::byte{1};
  CHECK_FALSE(first == chunk_key(bytes));
}

TEST_CASE("FOREFRAME_FILTER_CACHE says how much is kept; what it can't mean is not taken", "[filter]") {
  REQUIRE(::setenv("FOREFRAME_FILTER_CACHE", "3 MiB", 1) == 0);
  CHECK(cache_bytes_wanted() == 3u << 20);
  REQUIRE(::setenv("FOREFRAME_FILTER_CACHE", "0 B", 1) == 0);
  CHECK(cache_bytes_wanted() == 0);
  REQUIRE(::setenv("FOREFRAME_FILTER_CACHE", "plenty", 1) == 0);
  const std::size_t usual = cache_bytes_wanted();
  REQUIRE(::unsetenv("FOREFRAME_FILTER_CACHE") == 0);
  CHECK(cache_bytes_wanted() == usual);
  CHECK(usual > 0);
  CHECK(usual <= std::size_t{1} << 30);
}
