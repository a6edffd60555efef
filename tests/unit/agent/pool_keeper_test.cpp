// SPDX-License-Identifier: Apache-2.0
//
// The frame pool is made beside ingest: no file system, however slow, holds up the thread that takes frames.
#include <future>

#include <catch2/catch.hpp>

#include "tests/unit/agent/agent_fixture.hpp"

namespace {

using namespace ff;
using namespace ff::test;
using namespace std::chrono_literals;

void wait_until_ready(PoolKeeper& pool) {
  for (int i = 0; i < 5000 && !pool.ready(); ++i) std::this_thread::sleep_for(1ms);
  REQUIRE(pool.ready());
}

}  // namespace

TEST_CASE("a tmpfs that hangs while the pool is made costs the frames of that time and nothing else",
          "[agent]") {
  std::promise<void> tmpfs;
  const std::shared_future<void> answers = tmpfs.get_future().share();
  SeriesIngestOptions options;
  options.pool_make_max = 0ns;
  IngestBench bench(std::make_shared<TempDir>(), options,
                    [answers](const std::filesystem::path& path, std::uint32_t slots, std::size_t bytes) {
                      answers.wait();
                      return FramePool::create(path, slots, bytes);
                    });
  bench.send(start_of(7, 3, 4, 6));
  CHECK(bench.ingest.series_open());
  bench.send(image_of(7, 0));
  bench.send(image_of(7, 1));
  CHECK(bench.frames() == "0:7 1:7");  // lost, in the stage ingest: nobody waited
  CHECK(bench.all<FrameTaken>()[0]->note.stage == foreframe::wire::STAGE_INGEST);
  CHECK(bench.metrics.count(Fault::pool_full) == 2);
  bench.send(end_of(8));  // other messages are looked at as well
  CHECK(bench.metrics.count(Fault::stray_end) == 1);
  tmpfs.set_value();
  wait_until_ready(bench.pool);
  bench.send(image_of(7, 2));
  CHECK(bench.frames() == "0:7 1:7 2:1");
}

TEST_CASE("frames wait for their pool as long as pool.max_wait allows", "[agent]") {
  IngestBench bench(std::make_shared<TempDir>(), {},
                    [](const std::filesystem::path& path, std::uint32_t slots, std::size_t bytes) {
                      std::this_thread::sleep_for(100ms);
                      return FramePool::create(path, slots, bytes);
                    });
  bench.send(start_of(7, 2, 4, 6));
  bench.send(image_of(7, 0));
  CHECK(bench.frames() == "0:1");
}

TEST_CASE("a pool that could not be made is tried again, and ingest can say why there is none", "[agent]") {
  const TempDir folder;
  std::atomic<bool> full{true};
  PoolKeeper pool(folder.path(), "test", 1 << 20,
                  [&](const std::filesystem::path& path, std::uint32_t slots,
                      std::size_t bytes) -> Result<std::unique_ptr<FramePool>> {
                    if (full) return fail(Errc::disk_full, "tmpfs is full");
                    return FramePool::create(path, slots, bytes);
                  });
  REQUIRE(pool.prepare(4, 1000).ok());
  for (int i = 0; i < 5000 && !pool.trouble(); ++i) std::this_thread::sleep_for(1ms);
  REQUIRE(pool.trouble());
  CHECK(pool.trouble()->code == Errc::disk_full);
  CHECK(pool.take() == nullptr);
  full = false;
  wait_until_ready(pool);
  CHECK_FALSE(pool.trouble());
  CHECK(pool.take() != nullptr);
}

TEST_CASE("no slot is given before the series is written down, nor from a pool that is too small",
          "[agent]") {
  const TempDir folder;
  PoolKeeper pool(folder.path(), "test", 1 << 20);
  std::atomic<bool> written{false};
  const auto write_down = [&] { return written ? Status{} : Status(fail(Errc::io_error, "not yet")); };
  REQUIRE(pool.prepare(4, 1000, write_down).ok());
  for (int i = 0; i < 5000 && !pool.trouble(); ++i) std::this_thread::sleep_for(1ms);
  CHECK(pool.take() == nullptr);
  written = true;
  wait_until_ready(pool);
  const auto held = pool.take();
  REQUIRE(held != nullptr);

  REQUIRE(pool.prepare(4, 1000).ok());  // the same pool does for the next series
  wait_until_ready(pool);
  CHECK(pool.take()->pool == held->pool);

  REQUIRE(pool.prepare(4, 5000).ok());
  wait_until_ready(pool);
  CHECK(pool.take()->pool != held->pool);
  CHECK(pool.check(4, 1 << 20).error().code == Errc::too_large);
}

TEST_CASE("a request that is replaced before it is fulfilled leaves nothing behind", "[agent]") {
  const TempDir folder;
  {
    PoolKeeper pool(folder.path(), "test", 64 << 20);
    for (std::size_t bytes = 1000; bytes < 200'000; bytes *= 3) REQUIRE(pool.prepare(4, bytes).ok());
    REQUIRE(pool.prepare(3, 500'000).ok());
    wait_until_ready(pool);
    const auto held = pool.take();
    REQUIRE(held != nullptr);
    CHECK(held->frame.room().size() >= 500'000);
    std::size_t files = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++files;
    CHECK(files == 1);
  }
  CHECK(std::filesystem::is_empty(folder.path()));
}
