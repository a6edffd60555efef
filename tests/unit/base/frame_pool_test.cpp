// SPDX-License-Identifier: Apache-2.0
#include "common/base/frame_pool.hpp"

#include <algorithm>
#include <atomic>
#include <fstream>
#include <thread>
#include <unistd.h>
#include <vector>

#include <catch2/catch.hpp>

using ff::FramePool;
using ff::PooledFrame;

namespace {

/// A path of its own for every pool; the pool removes the file.
std::filesystem::path pool_path() {
  static std::atomic<int> number{0};
  return std::filesystem::temp_directory_path() /
         ("foreframe_pool_test_" + std::to_string(getpid()) + "_" + std::to_string(number++));
}

std::uint32_t magic_in_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(4096);  // slot 0
  std::uint32_t magic = 0;
  file.read(reinterpret_cast<char*>(&magic), sizeof magic);
  return magic;
}

}  // namespace

TEST_CASE("a pool hands out as many slots as it has, and takes them back", "[pool]") {
  auto pool = FramePool::create(pool_path(), 3, 100).value();
  {
    std::vector<PooledFrame> frames;
    for (std::uint32_t i = 1; i <= 3; ++i) {
      auto frame = pool->take();
      REQUIRE(frame.has_value());
      frames.push_back(std::move(*frame));
      CHECK(pool->in_use() == i);
    }
    CHECK_FALSE(pool->take().has_value());
    frames.pop_back();
    CHECK(pool->take().has_value());
  }
  CHECK(pool->in_use() == 0);
}

TEST_CASE("slots are aligned, apart from each other, and start with an empty header", "[pool]") {
  auto pool = FramePool::create(pool_path(), 2, 65).value();
  auto a = pool->take(), b = pool->take();
  CHECK(reinterpret_cast<std::uintptr_t>(a->room().data()) % 64 == 0);
  CHECK(reinterpret_cast<std::uintptr_t>(b->room().data()) % 64 == 0);
  CHECK(a->room().size() == 65);
  std::fill(a->room().begin(), a->room().end(), std::byte{0xff});
  CHECK(b->header().magic == 0);
  CHECK(b->header().frame == 0);
  CHECK(std::all_of(b->room().begin(), b->room().end(), [](std::byte byte) { return byte == std::byte{0}; }));
}

TEST_CASE("a frame's pixels are the part of the room that its header names", "[pool]") {
  auto pool = FramePool::create(pool_path(), 1, 100).value();
  auto frame = pool->take();
  frame->header().pixel_bytes = 10;
  CHECK(frame->pixels().size() == 10);
  CHECK(frame->pixels().data() == frame->room().data());
}

TEST_CASE("a committed frame can be found in the file until its slot is given back", "[pool]") {
  const auto path = pool_path();
  auto pool = FramePool::create(path, 1, 64).value();
  auto frame = pool->take();
  CHECK(magic_in_file(path) == 0);
  frame->commit();
  CHECK(magic_in_file(path) == ff::kSlotMagic);
  frame.reset();
  CHECK(magic_in_file(path) == 0);
}

TEST_CASE("moving a frame moves the ownership of its slot", "[pool]") {
  auto pool = FramePool::create(pool_path(), 2, 64).value();
  PooledFrame a = std::move(*pool->take()), b = std::move(*pool->take());
  CHECK(pool->in_use() == 2);
  a = std::move(b);  // the slot a had goes back
  CHECK(pool->in_use() == 1);
  CHECK_FALSE(a.empty());
  PooledFrame c(std::move(a));
  CHECK(pool->in_use() == 1);
  c.reset();
  c.reset();
  CHECK(c.empty());
  CHECK(pool->in_use() == 0);
}

TEST_CASE("the pool's file has its stated size and goes with the pool", "[pool]") {
  const auto path = pool_path();
  {
    auto pool = FramePool::create(path, 5, 1000).value();
    CHECK(std::filesystem::file_size(path) == FramePool::file_bytes(5, 1000));
    CHECK(FramePool::file_bytes(5, 1000) == 4096 + 5 * (128 + 1024));
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

namespace {

/// A pool as a killed process leaves it: slots 0 and 2 of 3 hold frames 10 and 12, slot 1 was being written.
std::filesystem::path left_behind() {
  const auto path = pool_path();
  auto pool = FramePool::create(path, 3, 100).value();
  std::vector<PooledFrame> frames;
  for (std::uint64_t i = 0; i < 3; ++i) {
    frames.push_back(std::move(*pool->take()));
    frames.back().header().frame = 10 + i;
    frames.back().header().pixel_bytes = 50;
    std::fill_n(frames.back().room().begin(), 50, static_cast<std::byte>(i));
    CHECK(frames.back().keep_user_data(std::vector<std::byte>(7, std::byte{0xf6})));
    CHECK_FALSE(frames.back().keep_user_data(std::vector<std::byte>(51)));
    if (i != 1) frames.back().commit();
  }
  pool->leave_for_next_process();
  return path;
}

void overwrite(const std::filesystem::path& path, std::streamoff at, const std::string& bytes) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(at);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

TEST_CASE("a pool left behind gives its whole frames back; the other slots are free", "[pool]") {
  const auto path = left_behind();
  for (int restart = 0; restart < 2; ++restart) {  // a second crash finds them again
    auto found = FramePool::salvage(path).value();
    REQUIRE(found.frames.size() == 2);
    CHECK(found.damaged == 0);
    CHECK(found.pool->in_use() == 2);
    for (std::size_t i = 0; i < 2; ++i) {
      const PooledFrame& frame = found.frames[i];
      CHECK(frame.header().frame == 10 + 2 * i);
      CHECK(frame.user_data().size() == 7);
      CHECK(std::all_of(frame.pixels().begin(), frame.pixels().end(),
                        [&](std::byte byte) { return byte == static_cast<std::byte>(2 * i); }));
    }
    CHECK(found.pool->take().has_value());
    if (restart == 0) found.pool->leave_for_next_process();
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a pool that a living process holds is refused", "[pool]") {
  const auto path = pool_path();
  auto pool = FramePool::create(path, 1, 64).value();
  CHECK(FramePool::salvage(path).error().code == ff::Errc::refused);
}

TEST_CASE("a damaged pool file gives no frame that is not whole, and breaks nothing", "[pool]") {
  const auto path = left_behind();
  using namespace std::string_literals;
  SECTION("header of a slot: its frame is counted as damaged") {
    overwrite(path, 4096 + 32, "\x01\x02\x03"s);
    auto found = FramePool::salvage(path).value();
    CHECK(found.frames.size() == 1);
    CHECK(found.damaged == 1);
  }
  SECTION("magic of the file") {
    overwrite(path, 0, "XXXX");
    CHECK(FramePool::salvage(path).error().code == ff::Errc::bad_magic);
  }
  SECTION("slot count of the file") {
    overwrite(path, 8, "\xff\xff\xff\xff"s);
    CHECK(FramePool::salvage(path).error().code == ff::Errc::crc_mismatch);
  }
  SECTION("cut short") {
    std::filesystem::resize_file(path, 4200);
    CHECK(FramePool::salvage(path).error().code == ff::Errc::malformed);
    std::filesystem::resize_file(path, 5);
    CHECK(FramePool::salvage(path).error().code == ff::Errc::truncated);
  }
  std::filesystem::remove(path);
}

TEST_CASE("a pool that can't be made says where and what to do", "[pool]") {
  const auto pool = FramePool::create("no/such/folder/pool", 1, 64);
  REQUIRE_FALSE(pool.ok());
  CHECK(pool.error().code == ff::Errc::io_error);
  CHECK(pool.error().message.find("no/such/folder/pool") != std::string::npos);
}

TEST_CASE("threads that take and give back at once never share a slot", "[pool]") {
  constexpr int kThreads = 4, kTurns = 20'000;
  auto pool = FramePool::create(pool_path(), 3, 64).value();
  std::atomic<int> shared{0}, taken{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 1; t <= kThreads; ++t)
      threads.emplace_back([&, t] {
        for (int turn = 0; turn < kTurns; ++turn) {
          auto frame = pool->take();
          if (!frame) continue;
          taken.fetch_add(1);
          frame->header().stream = static_cast<std::uint32_t>(t);
          std::fill(frame->room().begin(), frame->room().end(), static_cast<std::byte>(t));
          const bool mine = frame->header().stream == static_cast<std::uint32_t>(t) &&
                            std::all_of(frame->room().begin(), frame->room().end(),
                                        [t](std::byte byte) { return byte == static_cast<std::byte>(t); });
          if (!mine) shared.fetch_add(1);
        }
      });
  }
  CHECK(shared == 0);
  CHECK(taken > 0);
  CHECK(pool->in_use() == 0);
  std::vector<PooledFrame> all;
  while (auto frame = pool->take()) all.push_back(std::move(*frame));
  CHECK(all.size() == 3);  // none was lost from the free list, none is in it twice
}
