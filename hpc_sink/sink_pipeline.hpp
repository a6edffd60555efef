// SPDX-License-Identifier: Apache-2.0
//
// SinkPipeline: the sink's path from the log to durable files, and its threads.
//
//     consume (1 thread) > decode (n threads, a window always in the same) > store (1 thread) > ledger topic
//                                                        commit < receipt (1 thread) <        < ledger feed (1 thread) <
//
// Queues between them are bounded; when the store is slow, decode waits, then consume stops polling and the
// log keeps the rest. There is one way to recover from any trouble, in this process or after a crash: begin
// again at the committed offsets.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/base/result.hpp"
#include "common/service/daemon.hpp"
#include "common/transport/log.hpp"
#include "hpc_sink/sink_config.hpp"

namespace ff::sink {

/// What the path needs from its surroundings; run_daemon's context, or a test's own.
struct SinkSurroundings {
  service::StopSignal& stop;
  service::Metrics& metrics;
  service::Health& health;
  std::function<std::unique_ptr<transport::LogReader>(Error& why)>
      open_log;                              ///< null and `why` when it can't
  OpenLedgerWriter open_ledger = {};         ///< empty: nothing is published, and nothing sealed
  OpenFeedReader open_ledger_reader = {};    ///< Topic::ledger in the group <log.group>.ledger
  OpenFeedReader open_series_follower = {};  ///< Topic::series; empty: the group's reader hears of all series
  /// For the topics receipts and dead; null and `why` when it can't.
  std::function<std::unique_ptr<transport::LogWriter>(Error& why)> open_receipts;
  std::function<void()> progress = [] {};
  std::function<void()> ready = [] {};
  StoreStepHook step = [](StoreStep) {};
};

/// Runs until stopped (or, with consume.exit_when_closed, until all is closed). Returns a closing summary.
/// Errors: only those that no second try can mend (config_error, unsupported_version).
[[nodiscard]] Result<std::string> run_sink(const SinkConfig& config, SinkSurroundings surroundings);

}  // namespace ff::sink
