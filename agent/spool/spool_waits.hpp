// SPDX-License-Identifier: Apache-2.0
//
// SpoolWaits: what the spool's records wait for, told by the send stage to whoever finds the spool full.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace ff::agent {

struct SpoolWaits {
  std::atomic<std::uint64_t> unsent{0};       ///< records that the log doesn't have
  std::atomic<std::uint64_t> unreceipted{0};  ///< windows, starts and ends without all their receipts
  std::atomic<std::uint64_t> receipts{0};     ///< receipts heard in this run
  std::atomic<bool> connected{false};

  /// For people: why the spool does not get emptier.
  [[nodiscard]] std::string text() const {
    const std::uint64_t open = unsent.load(), waiting = unreceipted.load();
    if (open > 0 && !connected.load())
      return std::to_string(open) + " records wait for a collector; none answers";
    if (waiting > 0 && receipts.load() == 0)
      return std::to_string(waiting) +
             " windows wait for receipts, and none has come since the start: does a sink run for every name "
             "of "
             "spool.destinations?";
    if (waiting > 0) return std::to_string(waiting) + " windows wait for receipts";
    return std::to_string(open) + " records wait for the collector's acknowledgement";
  }
};

}  // namespace ff::agent
