// SPDX-License-Identifier: Apache-2.0
//
// LedgerOwnership: which partitions of the ledger topic this sink holds, and so which detectors it seals.
//
// Data path  ledger feed [assigned, lost] > [LedgerOwnership] > sealing desk
// Each assignment has a generation of its own: what was read under an older one is read again by whoever has the
// partition now. Thread-safe: a loss is seen by the desk at once, also in the middle of a closing.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>

namespace ff::sink {

class LedgerOwnership {
 public:
  using Generations = std::map<std::int32_t, std::uint64_t>;  // by partition

  void assigned(std::int32_t partition) {
    const std::lock_guard lock(mutex_);
    held_[partition] = ++latest_;
  }
  void lost(std::int32_t partition) {
    const std::lock_guard lock(mutex_);
    held_.erase(partition);
  }
  void lost_all() {
    const std::lock_guard lock(mutex_);
    held_.clear();
  }
  [[nodiscard]] std::optional<std::uint64_t> generation(std::int32_t partition) const {
    const std::lock_guard lock(mutex_);
    const auto found = held_.find(partition);
    return found == held_.end() ? std::nullopt : std::optional(found->second);
  }
  [[nodiscard]] Generations held() const {
    const std::lock_guard lock(mutex_);
    return held_;
  }

 private:
  mutable std::mutex mutex_;
  Generations held_;
  std::uint64_t latest_ = 0;
};

}  // namespace ff::sink
