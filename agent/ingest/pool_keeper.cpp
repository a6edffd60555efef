// SPDX-License-Identifier: Apache-2.0
//
// Keeping the frame pool.
#include "agent/ingest/pool_keeper.hpp"

#include <algorithm>
#include <charconv>
#include <pthread.h>
#include <string>

#include "common/service/logging.hpp"

namespace ff::agent {
namespace {

constexpr auto kRetryPause = std::chrono::milliseconds(20);

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

PoolKeeper::PoolKeeper(std::filesystem::path folder, std::string name, std::uint64_t bytes_max, Make make)
    : folder_(std::move(folder)), name_(std::move(name)), bytes_max_(bytes_max), make_(std::move(make)) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, ignored)) {
    const std::uint64_t generation = generation_of(entry.path().filename().string(), name_);
    if (generation == 0) continue;
    generation_ = std::max(generation_, generation);
    salvage(entry.path());
  }
  maker_ = std::thread([this] { run(); });
}

PoolKeeper::~PoolKeeper() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  maker_.join();
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
  if (!found->frames.empty()) pools_.push_back(pool);
}

void PoolKeeper::leave_for_next_process() {
  std::lock_guard lock(pools_mutex_);
  leaving_ = true;
  for (const auto& known : pools_)
    if (const auto pool = known.lock()) pool->leave_for_next_process();
}

// ---------------------------------------------------------------- ingest's side

Status PoolKeeper::check(std::uint64_t slots, std::size_t slot_bytes) const {
  if (slots == 0 || slots > UINT32_MAX || slot_bytes > bytes_max_ ||
      FramePool::file_bytes(static_cast<std::uint32_t>(slots), slot_bytes) > bytes_max_)
    return fail(Errc::too_large, "a pool of " + std::to_string(slots) + " frames of " +
                                     std::to_string(slot_bytes) +
                                     " bytes is above memory.max; lower window.frames or raise memory.max");
  return {};
}

Status PoolKeeper::prepare(std::uint64_t slots, std::size_t slot_bytes, std::function<Status()> before) {
  FF_TRY(check(slots, slot_bytes));
  {
    std::lock_guard lock(mutex_);
    std::shared_ptr<FramePool> at_hand = std::exchange(pool_, nullptr);
    if (!at_hand) at_hand = std::exchange(made_pool_, nullptr);
    if (!at_hand && request_) at_hand = std::move(request_->at_hand);
    request_ = Request{static_cast<std::uint32_t>(slots), slot_bytes, std::move(before), std::move(at_hand)};
    made_.store(false, std::memory_order_release);
    trouble_.reset();
  }
  wake_.notify_all();
  return {};
}

std::optional<Error> PoolKeeper::trouble() const {
  std::lock_guard lock(mutex_);
  return trouble_;
}

bool PoolKeeper::ready() {
  if (!pool_ && made_.load(std::memory_order_acquire)) {
    std::lock_guard lock(mutex_);
    pool_ = std::move(made_pool_);
    made_.store(false, std::memory_order_relaxed);
  }
  return pool_ != nullptr;
}

std::shared_ptr<HeldFrame> PoolKeeper::take() {
  if (!ready()) return nullptr;
  auto frame = pool_->take();
  if (!frame) return nullptr;
  auto held = std::make_shared<HeldFrame>();
  held->pool = pool_;
  held->frame = std::move(*frame);
  return held;
}

// ---------------------------------------------------------------- the keeper's thread

void PoolKeeper::run() {
  pthread_setname_np(pthread_self(), "pool");
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopping_ || request_; });
    if (stopping_) return;
    Request request = std::move(*request_);
    request_.reset();
    lock.unlock();
    auto pool = fulfil(request);
    lock.lock();
    if (request_) {  // asked for another one meanwhile: perhaps this one will do
      if (!request_->at_hand) request_->at_hand = pool.ok() ? *std::move(pool) : std::move(request.at_hand);
    } else if (pool.ok()) {
      made_pool_ = *std::move(pool);
      trouble_.reset();
      made_.store(true, std::memory_order_release);
    } else {
      trouble_ = pool.error();
      wake_.wait_for(lock, kRetryPause, [&] { return stopping_ || request_; });
      if (!request_) request_ = std::move(request);
    }
  }
}

Result<std::shared_ptr<FramePool>> PoolKeeper::fulfil(Request& request) {
  if (request.before) FF_TRY(request.before());
  if (request.at_hand && suits(*request.at_hand, request.slots, request.slot_bytes)) return request.at_hand;
  if (auto pool = find_suitable(request)) return pool;
  request.at_hand
      .reset();  // unless its frames are still on their way, its memory is free before more is taken
  if (bytes_of_pools() + FramePool::file_bytes(request.slots, request.slot_bytes) > bytes_max_)
    return fail(Errc::timed_out, "frames of the series before still fill the memory allowed by memory.max");
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  const auto path = folder_ / (name_ + "." + std::to_string(++generation_) + ".pool");
  FF_ASSIGN(auto made, make_(path, request.slots, request.slot_bytes));
  std::shared_ptr<FramePool> pool = std::move(made);
  remember(pool);
  return pool;
}

/// One that was salvaged, or of an earlier series, and lives because its frames do.
std::shared_ptr<FramePool> PoolKeeper::find_suitable(const Request& request) {
  std::lock_guard lock(pools_mutex_);
  for (const auto& known : pools_)
    if (auto pool = known.lock(); pool && suits(*pool, request.slots, request.slot_bytes)) return pool;
  return nullptr;
}

std::uint64_t PoolKeeper::bytes_of_pools() {
  std::lock_guard lock(pools_mutex_);
  std::uint64_t bytes = 0;
  for (const auto& known : pools_) bytes += bytes_of(known.lock());
  std::erase_if(pools_, [](const auto& known) { return known.expired(); });
  return bytes;
}

void PoolKeeper::remember(const std::shared_ptr<FramePool>& pool) {
  std::lock_guard lock(pools_mutex_);
  pools_.push_back(pool);
  if (leaving_) pool->leave_for_next_process();
}

}  // namespace ff::agent
