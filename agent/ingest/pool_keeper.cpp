// SPDX-License-Identifier: Apache-2.0
//
// Keeping the frame pool.
#include "agent/ingest/pool_keeper.hpp"

#include <string>
#include <thread>

#include "common/base/clock.hpp"
#include "common/base/units.hpp"

namespace ff::agent {
namespace {

std::uint64_t bytes_of(const std::shared_ptr<FramePool>& pool) noexcept {
  return pool ? FramePool::file_bytes(pool->slot_count(), pool->slot_bytes()) : 0;
}

}  // namespace

PoolKeeper::PoolKeeper(std::filesystem::path folder, std::string name, std::uint64_t bytes_max)
    : folder_(std::move(folder)), name_(std::move(name)), bytes_max_(bytes_max) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, ignored)) {
    const std::string file = entry.path().filename().string();
    if (file.starts_with(name_ + ".") && file.ends_with(".pool"))
      std::filesystem::remove(entry.path(), ignored);
  }
}

Status PoolKeeper::prepare(std::uint64_t slots, std::size_t slot_bytes, std::chrono::nanoseconds patience) {
  // Sized for the series: much larger slots than needed would spend the limit on nothing.
  if (pool_ && pool_->slot_bytes() >= slot_bytes && pool_->slot_bytes() <= 2 * slot_bytes &&
      pool_->slot_count() >= slots && pool_->slot_count() <= 4 * slots)
    return {};
  if (slots == 0 || slots > UINT32_MAX || slot_bytes > bytes_max_ ||
      FramePool::file_bytes(static_cast<std::uint32_t>(slots), slot_bytes) > bytes_max_)
    return fail(Errc::too_large, "a pool of " + std::to_string(slots) + " frames of " +
                                     std::to_string(slot_bytes) +
                                     " bytes is above memory.max; lower window.frames or raise memory.max");
  const std::uint64_t bytes = FramePool::file_bytes(static_cast<std::uint32_t>(slots), slot_bytes);

  if (pool_) retired_ = std::exchange(pool_, nullptr);
  const std::int64_t deadline = monotonic_now_ns() + patience.count();
  while (bytes_of(retired_.lock()) + bytes > bytes_max_) {
    if (monotonic_now_ns() >= deadline)
      return fail(Errc::timed_out, "frames of the series before still fill the memory allowed by memory.max");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  const auto path = folder_ / (name_ + "." + std::to_string(++generation_) + ".pool");
  FF_ASSIGN(auto made, FramePool::create(path, static_cast<std::uint32_t>(slots), slot_bytes));
  pool_ = std::move(made);
  return {};
}

std::shared_ptr<HeldFrame> PoolKeeper::take() {
  if (!pool_) return nullptr;
  auto frame = pool_->take();
  if (!frame) return nullptr;
  auto held = std::make_shared<HeldFrame>();
  held->pool = pool_;
  held->frame = std::move(*frame);
  return held;
}

}  // namespace ff::agent
