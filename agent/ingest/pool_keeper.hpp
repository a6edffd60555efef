// SPDX-License-Identifier: Apache-2.0
//
// PoolKeeper: the frame pool of the series at hand; made anew when a series needs other slots.
//
// Frames of the series before may still be on their way through the codec. Their pool lives until they are
// gone; a new one is made beside it when both fit into the limit, else after they are gone.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>

#include "agent/ingest/held_frame.hpp"
#include "common/base/result.hpp"

namespace ff::agent {

class PoolKeeper {
 public:
  /// Files are made in `folder` as <name>.<n>.pool; `bytes_max` bounds all pools together. Files that a
  /// killed agent of this name left there are removed, or they would hold their memory for ever.
  PoolKeeper(std::filesystem::path folder, std::string name, std::uint64_t bytes_max);

  /// After it, the pool has at least `slots` slots of at least `slot_bytes`. Waits up to `patience` for
  /// frames of the pool before. Errors: too_large (above bytes_max), timed_out, io_error, disk_full.
  [[nodiscard]] Status prepare(std::uint64_t slots, std::size_t slot_bytes,
                               std::chrono::nanoseconds patience);

  /// An empty slot, owned by the caller alone; nothing when all are in use.
  [[nodiscard]] std::shared_ptr<HeldFrame> take();

  [[nodiscard]] std::uint32_t slots() const noexcept { return pool_ ? pool_->slot_count() : 0; }
  [[nodiscard]] std::uint32_t in_use() const noexcept { return pool_ ? pool_->in_use() : 0; }

 private:
  std::filesystem::path folder_;
  std::string name_;
  std::uint64_t bytes_max_;
  std::uint64_t generation_ = 0;
  std::shared_ptr<FramePool> pool_;
  std::weak_ptr<FramePool> retired_;
};

}  // namespace ff::agent
