// SPDX-License-Identifier: Apache-2.0
//
// Keeping the frame pool.
#include "agent/ingest/pool_keeper.hpp"

#include <algorithm>
#include <charconv>
#include <string>
#include <thread>

#include "common/base/clock.hpp"
#include "common/service/logging.hpp"

namespace ff::agent {
namespace {

std::uint64_t bytes_of(const std::shared_ptr<FramePool>& pool) noexcept {
  return pool ? FramePool::file_bytes(pool->slot_count(), pool->slot_bytes()) : 0;
}

/// Sized for the series: much larger slots than needed would spend the limit on nothing.
bool suits(const FramePool& pool, std::uint64_t slots, std::size_t slot_bytes) noexcept {
  return pool.slot_bytes() >= slot_bytes && pool.slot_bytes() <= 2 * slot_bytes &&
         pool.slot_count() >= slots && pool.slot_count() <= 4 * slots;
}

/// True when nothing is to be had from the file for good; false when only this process can't have it now.
bool worthless(Errc code) noexcept {
  return code != Errc::refused && code != Errc::io_error && code != Errc::disk_full &&
         code != Errc::not_found;
}

/// n of "<name>.<n>.pool"; 0 for other names.
std::uint64_t generation_of(const std::string& file, const std::string& name) noexcept {
  std::uint64_t number = 0;
  const std::size_t head = name.size() + 1, tail = std::string_view(".pool").size();
  if (!file.starts_with(name + ".") || !file.ends_with(".pool") || file.size() <= head + tail) return 0;
  const char* const end = file.data() + file.size() - tail;
  const auto [stop, error] = std::from_chars(file.data() + head, end, number);
  return error == std::errc{} && stop == end ? number : 0;
}

}  // namespace

PoolKeeper::PoolKeeper(std::filesystem::path folder, std::string name, std::uint64_t bytes_max)
    : folder_(std::move(folder)), name_(std::move(name)), bytes_max_(bytes_max) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, ignored)) {
    const std::uint64_t generation = generation_of(entry.path().filename().string(), name_);
    if (generation == 0) continue;
    generation_ = std::max(generation_, generation);
    salvage(entry.path());
  }
}

void PoolKeeper::salvage(const std::filesystem::path& path) {
  auto found = FramePool::salvage(path);
  if (!found.ok()) {
    service::log_warning("frame pool of an earlier run can't be used",
                         {{"path", path.string()}, {"why", found.error().message}});
    std::error_code ignored;
    if (worthless(found.error().code)) std::filesystem::remove(path, ignored);
    return;
  }
  if (found->damaged > 0)
    service::log_error("frames of an earlier run are damaged in the pool; they are lost",
                       {{"path", path.string()}, {"frames", found->damaged}});
  const std::shared_ptr<FramePool> pool = std::move(found->pool);
  for (PooledFrame& frame : found->frames)
    salvaged_.push_back(std::make_shared<HeldFrame>(HeldFrame{pool, std::move(frame)}));
  if (!found->frames.empty()) others_.push_back(pool);
}

/// Bytes of all pools but pool_; those whose last frame is gone are forgotten.
std::uint64_t PoolKeeper::bytes_of_others() {
  std::uint64_t bytes = 0;
  for (const auto& other : others_) bytes += bytes_of(other.lock());
  std::lock_guard lock(pools_mutex_);
  std::erase_if(others_, [](const auto& other) { return other.expired(); });
  return bytes;
}

void PoolKeeper::use(std::shared_ptr<FramePool> pool) {
  std::lock_guard lock(pools_mutex_);
  std::erase_if(others_, [&](const auto& other) { return pool && other.lock() == pool; });
  if (pool_) others_.push_back(pool_);
  pool_ = std::move(pool);
}

void PoolKeeper::leave_for_next_process() {
  std::lock_guard lock(pools_mutex_);
  if (pool_) pool_->leave_for_next_process();
  for (const auto& other : others_)
    if (const auto pool = other.lock()) pool->leave_for_next_process();
}

Status PoolKeeper::prepare(std::uint64_t slots, std::size_t slot_bytes, std::chrono::nanoseconds patience) {
  if (pool_ && suits(*pool_, slots, slot_bytes)) return {};
  for (const auto& other : others_) {
    auto pool = other.lock();
    if (pool && suits(*pool, slots, slot_bytes)) return use(std::move(pool)), Status{};
  }
  if (slots == 0 || slots > UINT32_MAX || slot_bytes > bytes_max_ ||
      FramePool::file_bytes(static_cast<std::uint32_t>(slots), slot_bytes) > bytes_max_)
    return fail(Errc::too_large, "a pool of " + std::to_string(slots) + " frames of " +
                                     std::to_string(slot_bytes) +
                                     " bytes is above memory.max; lower window.frames or raise memory.max");
  const std::uint64_t bytes = FramePool::file_bytes(static_cast<std::uint32_t>(slots), slot_bytes);

  use(nullptr);
  const std::int64_t deadline = monotonic_now_ns() + patience.count();
  while (bytes_of_others() + bytes > bytes_max_) {
    if (monotonic_now_ns() >= deadline)
      return fail(Errc::timed_out, "frames of the series before still fill the memory allowed by memory.max");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  const auto path = folder_ / (name_ + "." + std::to_string(++generation_) + ".pool");
  FF_ASSIGN(auto made, FramePool::create(path, static_cast<std::uint32_t>(slots), slot_bytes));
  use(std::move(made));
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
