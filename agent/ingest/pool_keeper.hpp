// SPDX-License-Identifier: Apache-2.0
//
// PoolKeeper: the frame pool of the series at hand; made anew when a series needs other slots.
//
// Frames of the series before may still be on their way through the codec. Their pool lives until they are
// gone; a new one is made beside it when both fit into the limit, else after they are gone.
// Frames that a killed agent left in its pools are salvaged in place: they stay in those files, so that they
// outlive a second crash too, and the series that goes on with them goes on in their pool.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "agent/ingest/held_frame.hpp"
#include "common/base/result.hpp"

namespace ff::agent {

/// Room behind a frame's pixels for what the detector says about this one frame; more of it is not kept there.
inline constexpr std::size_t kUserDataRoomBytes = 1024;

class PoolKeeper {
 public:
  /// Files are made in `folder` as <name>.<n>.pool; `bytes_max` bounds all pools together. What a killed agent
  /// of this name left there is salvaged; files that hold no frame, or are no pools, are removed, or they would
  /// hold their memory for ever.
  PoolKeeper(std::filesystem::path folder, std::string name, std::uint64_t bytes_max);

  /// The frames found at start, once; let go, a frame's slot is free.
  [[nodiscard]] std::vector<std::shared_ptr<HeldFrame>> take_salvaged() { return std::move(salvaged_); }
  /// Frames that are still held stay in their files for the next start (FramePool::leave_for_next_process).
  /// Any thread.
  void leave_for_next_process();

  /// After it, the pool has at least `slots` slots of at least `slot_bytes`. Waits up to `patience` for
  /// frames of the pool before. Errors: too_large (above bytes_max), timed_out, io_error, disk_full.
  [[nodiscard]] Status prepare(std::uint64_t slots, std::size_t slot_bytes,
                               std::chrono::nanoseconds patience);

  /// An empty slot, owned by the caller alone; nothing when all are in use.
  [[nodiscard]] std::shared_ptr<HeldFrame> take();

  [[nodiscard]] std::uint32_t slots() const noexcept { return pool_ ? pool_->slot_count() : 0; }
  [[nodiscard]] std::uint32_t in_use() const noexcept { return pool_ ? pool_->in_use() : 0; }

 private:
  void salvage(const std::filesystem::path& path);
  [[nodiscard]] std::uint64_t bytes_of_others();
  void use(std::shared_ptr<FramePool> pool);

  std::filesystem::path folder_;
  std::string name_;
  std::uint64_t bytes_max_;
  std::uint64_t generation_ = 0;
  std::mutex pools_mutex_;  ///< for leave_for_next_process()
  std::shared_ptr<FramePool> pool_;
  std::vector<std::weak_ptr<FramePool>> others_;  ///< salvaged, or of series before: live while frames do
  std::vector<std::shared_ptr<HeldFrame>> salvaged_;
};

}  // namespace ff::agent
