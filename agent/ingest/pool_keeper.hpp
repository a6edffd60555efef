// SPDX-License-Identifier: Apache-2.0
//
// PoolKeeper: the frame pool of the series at hand; made anew when a series needs other slots.
//
// Making a pool asks the file system for gigabytes, and may wait for it; so a thread of the keeper's own does it, and
// ingest asks for slots until there are some.
// Frames of the series before may still be on their way through the codec. Their pool lives until they are
// gone; a new one is made beside it when both fit into the limit, else after they are gone.
// Frames that a killed agent left in its pools are salvaged in place: they stay in those files, so that they
// outlive a second crash too, and the series that goes on with them goes on in their pool.
#pragma once

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "agent/ingest/held_frame.hpp"
#include "common/base/result.hpp"

namespace ff::agent {

/// Room behind a frame's pixels for what the detector says about this one frame; more of it is not kept there.
inline constexpr std::size_t kUserDataRoomBytes = 1024;

class PoolKeeper {
 public:
  using Make = std::function<Result<std::unique_ptr<FramePool>>(const std::filesystem::path& path,
                                                                std::uint32_t slots, std::size_t slot_bytes)>;

  /// Files are made in `folder` as <name>.<n>.pool; `bytes_max` bounds all pools together. What a killed agent
  /// of this name left there is salvaged; files that hold no frame, or are no pools, are removed, or they would
  /// hold their memory for ever.
  PoolKeeper(std::filesystem::path folder, std::string name, std::uint64_t bytes_max,
             Make make = FramePool::create);
  ~PoolKeeper();

  /// The frames found at start, once; let go, a frame's slot is free.
  [[nodiscard]] std::vector<std::shared_ptr<HeldFrame>> take_salvaged() { return std::move(salvaged_); }
  /// Frames that are still held stay in their files for the next start (FramePool::leave_for_next_process).
  /// Any thread.
  void leave_for_next_process();

  // What follows is ingest's: one thread, and none of it waits for a file.

  /// Errors: too_large (above bytes_max).
  [[nodiscard]] Status check(std::uint64_t slots, std::size_t slot_bytes) const;
  /// From now on slots come from a pool of at least `slots` slots of at least `slot_bytes`: once it is there, and once
  /// `before`, which the keeper's thread calls first, has succeeded. What fails is tried again. A later call replaces
  /// an earlier one; what `before` refers to must outlive the keeper. Errors: those of check().
  [[nodiscard]] Status prepare(std::uint64_t slots, std::size_t slot_bytes,
                               std::function<Status()> before = {});
  /// False while the pool is being made.
  [[nodiscard]] bool ready();
  /// Why it is not ready yet, where something went wrong.
  [[nodiscard]] std::optional<Error> trouble() const;

  /// An empty slot, owned by the caller alone; nothing when all are in use or there are none yet.
  [[nodiscard]] std::shared_ptr<HeldFrame> take();

  [[nodiscard]] std::uint32_t slots() const noexcept { return pool_ ? pool_->slot_count() : 0; }
  [[nodiscard]] std::uint32_t in_use() const noexcept { return pool_ ? pool_->in_use() : 0; }

 private:
  struct Request {
    std::uint32_t slots = 0;
    std::size_t slot_bytes = 0;
    std::function<Status()> before;
    std::shared_ptr<FramePool> at_hand;  ///< the pool so far
  };

  void salvage(const std::filesystem::path& path);
  void run();
  [[nodiscard]] Result<std::shared_ptr<FramePool>> fulfil(Request& request);
  [[nodiscard]] std::shared_ptr<FramePool> find_suitable(const Request& request);
  [[nodiscard]] std::uint64_t bytes_of_pools();
  void remember(const std::shared_ptr<FramePool>& pool);

  std::filesystem::path folder_;
  std::string name_;
  std::uint64_t bytes_max_;
  Make make_;
  std::uint64_t generation_ = 0;  ///< the keeper's thread
  std::vector<std::shared_ptr<HeldFrame>> salvaged_;
  std::shared_ptr<FramePool> pool_;  ///< ingest's

  std::mutex pools_mutex_;
  std::vector<std::weak_ptr<FramePool>> pools_;  ///< all that live, whoever holds them
  bool leaving_ = false;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::optional<Request> request_;        ///< not yet begun
  std::shared_ptr<FramePool> made_pool_;  ///< for the last request, when made_
  std::atomic<bool> made_{false};
  std::optional<Error> trouble_;
  bool stopping_ = false;
  std::thread maker_;
};

}  // namespace ff::agent
