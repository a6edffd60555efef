// SPDX-License-Identifier: Apache-2.0
//
// Drill: breaks one thing on a live installation while simulated frames pass beside the real ones, and says whether
// every one of them came through.
//
// Data path  simulator > [replay > agent of the drill > relay] > the site's collectors > log > sinks > receipts
// The drill has a detector, an agent, a spool and a link of its own: real streams see nothing of a cut link or a full
// spool. A broker or a sink is restarted by the operator's own command, or by hand. What proves that a frame came
// through is its receipt: the agent's spool is empty only when the required sinks have everything in durable files.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "common/base/result.hpp"

namespace ff::tools {

enum class DrillKind { link_cut, broker_restart, disk_full, sink_restart };

struct DrillOptions {
  DrillKind kind = DrillKind::link_cut;
  std::string collector = "tcp://127.0.0.1:5555";
  std::string source = "sim:eiger2-16m,rows=512,cols=512";
  double rate_hz = 50;
  std::chrono::nanoseconds before = std::chrono::seconds(5);    ///< frames pass undisturbed
  std::chrono::nanoseconds lasts = std::chrono::seconds(10);    ///< of a cut link or a full spool
  std::chrono::nanoseconds after = std::chrono::seconds(5);     ///< frames pass again
  std::chrono::nanoseconds patience = std::chrono::minutes(2);  ///< for the last receipt
  std::string command;  ///< restarts broker or sink, by /bin/sh -c; empty: ask the operator to do it
  std::vector<std::string> destinations{"foreframe-sink"};  ///< sinks' groups that must give receipts
  std::filesystem::path scratch;  ///< spool and state of the drill; empty: the system's temporary folder
};

/// One line of the drill's story.
struct DrillEvent {
  double at_s = 0;  ///< since the first frame
  std::string what;
};

struct DrillReport {
  bool passed = false;
  std::vector<std::string> failures;  ///< what did not hold; empty when passed
  std::vector<DrillEvent> events;
  std::uint64_t frames_sent = 0, frames_received = 0;
  std::uint64_t spool_records_most = 0;  ///< that waited at one time
  double recovery_s = 0;                 ///< from the end of the fault to an empty spool
};

/// Blocks until the drill is over; `tell` gets each event as it happens. `ask` shows the operator a sentence and returns
/// when he has done what it says; false: he gave up.
/// Errors: invalid_argument, io_error, disconnected (no collector answers before the fault), stopped.
[[nodiscard]] Result<DrillReport> run_drill(const DrillOptions& options,
                                            const std::function<void(const DrillEvent&)>& tell,
                                            const std::function<bool(const std::string&)>& ask);

[[nodiscard]] Result<DrillKind> parse_drill_kind(const std::string& word);
[[nodiscard]] std::string to_json(const DrillReport& report, const DrillOptions& options);

}  // namespace ff::tools
