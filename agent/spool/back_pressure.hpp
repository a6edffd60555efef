// SPDX-License-Identifier: Apache-2.0
//
// BackPressure: when the spool fills, the operator's named action (`spool.on_full`), and no other.
//
//   block     nothing before the spool is really full; then coding waits, the pool fills, frames stay at the detector
//   spool     as block, but records go on to a second disk first (transport::SegmentLog does that)
//   degrade   windows that begin from now on are coded within a declared bound; the stream says so
//   veto      of frames that arrive from now on only some are kept; the others are VETOED in their windows
//   stop      the site's hook runs once, e.g. to abort the acquisition; then as block
//
// The action begins when the spool is 90 % full, so that there is room for what is on its way, and ends below
// 75 %. It is told what the spool holds by the thread that writes it; the others only ask. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/agent_metrics.hpp"
#include "agent/spool/stop_hook.hpp"
#include "common/base/result.hpp"
#include "common/service/status_server.hpp"

namespace ff::agent {

enum class OnFull { block, spool, degrade, veto, stop };
/// Errors: invalid_argument.
[[nodiscard]] Result<OnFull> parse_on_full(std::string_view word);

/// "1/10": of every 10 frame numbers 1 is kept.
struct KeepRule {
  std::uint64_t kept = 1, of = 10;
  [[nodiscard]] bool keeps(std::uint64_t frame) const noexcept { return frame % of * kept % of < kept; }
};
/// Errors: invalid_argument (not "k/n" with 1 <= k < n <= 1000000).
[[nodiscard]] Result<KeepRule> parse_keep_rule(std::string_view text);

struct BackPressureOptions {
  OnFull on_full = OnFull::block;
  KeepRule keep;
  std::vector<std::string> stop_hook;  ///< argv
  bool observe = false;                ///< nothing is vetoed, degraded or stopped
};

class BackPressure {
 public:
  BackPressure(BackPressureOptions options, service::Health& health, AgentMetrics& metrics);

  /// By the spool's thread: so full is it. `waiting`: what its records wait for, for people.
  void note_level(std::uint64_t bytes, std::uint64_t bytes_max, const std::string& waiting);
  /// By the spool's thread: a record did not fit; nothing is written until there is room.
  void note_full(const std::string& waiting);
  void note_room();

  /// By ingest, once for a frame of all channels.
  [[nodiscard]] bool vetoes(std::uint64_t frame) const noexcept {
    return active_.load(std::memory_order_relaxed) && options_.on_full == OnFull::veto &&
           !options_.keep.keeps(frame);
  }
  /// By the window stage, once for a window of all channels.
  [[nodiscard]] bool degrades() const noexcept {
    return active_.load(std::memory_order_relaxed) && options_.on_full == OnFull::degrade;
  }
  [[nodiscard]] bool active() const noexcept { return active_.load(std::memory_order_relaxed); }

 private:
  void begin(const std::string& waiting);
  void end();

  BackPressureOptions options_;
  service::Health& health_;
  AgentMetrics& metrics_;
  std::atomic<bool> active_{false};
  bool full_ = false;
  StopHook hook_;
};

}  // namespace ff::agent
