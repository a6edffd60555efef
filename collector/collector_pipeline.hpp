// SPDX-License-Identifier: Apache-2.0
//
// The collector's path: link > admit > log, on one thread, and receipts from the log back to agents. Keeps
// nothing on disk and no state that the agents' HELLOs and the log can't rebuild.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "collector/admit/admission.hpp"
#include "collector/collector_config.hpp"
#include "collector/collector_metrics.hpp"
#include "collector/publish/publisher.hpp"
#include "collector/receipts/receipt_desk.hpp"
#include "collector/receipts/receipt_follower.hpp"
#include "collector/receive/agent_roster.hpp"
#include "common/base/result.hpp"
#include "common/service/daemon.hpp"
#include "common/transport/link.hpp"
#include "common/transport/log.hpp"

namespace ff::collector {

class CollectorPipeline {
 public:
  /// `log`: opened with topics blocks and series. Errors: io_error (address in use), those of the log.
  [[nodiscard]] static Result<std::unique_ptr<CollectorPipeline>> open(
      const CollectorConfig& config, std::unique_ptr<transport::LogWriter> log, service::Metrics& metrics);

  /// One turn: passes on what has come; waits at most `timeout` when nothing has.
  void turn(std::chrono::nanoseconds timeout);
  /// Takes no more, waits for the reports of what was taken. Errors: timed_out.
  [[nodiscard]] Status drain(std::chrono::nanoseconds timeout);

  [[nodiscard]] std::string trouble() const { return publisher_.trouble(); }
  /// Why agents can't be told about receipts yet, or "". Envelopes are taken all the same.
  [[nodiscard]] std::string receipts_trouble() const;
  [[nodiscard]] std::string link_address() const { return link_->address(); }
  /// One line for the end: what was received, published, refused.
  [[nodiscard]] std::string summary() const;
  /// Agents' streams with epochs, next sequence numbers and gaps, as JSON. Any thread; at most a second old.
  [[nodiscard]] std::string streams_json() const;

 private:
  CollectorPipeline(const CollectorConfig& config, std::unique_ptr<transport::LogWriter> log,
                    std::unique_ptr<transport::LogReader> receipts,
                    std::unique_ptr<transport::LinkReceiver> link, PartitionCounts partitions,
                    service::Metrics& metrics);
  void connect_stages();
  void take(transport::ReceivedEnvelope received);
  void refuse(const transport::ReceivedEnvelope& received, const Error& why);
  void ask_for_missing();
  void report_streams();

  CollectorMetrics metrics_;
  std::unique_ptr<transport::LogWriter> log_;
  std::unique_ptr<transport::LinkReceiver> link_;
  AgentRoster roster_;
  Admission admission_;
  Publisher publisher_;
  ReceiptFollower follower_;
  ReceiptDesk desk_;

  std::int64_t gap_timeout_ns_ = 0;
  std::int64_t next_asking_ns_ = 0;
  std::int64_t next_report_ns_ = 0;
  mutable std::mutex report_mutex_;
  std::string report_ = "{\"streams\":[]}";
};

/// The daemon's run(): waits for the log, turns until told to stop, drains. Returns the summary.
[[nodiscard]] Result<std::string> run_collector(const CollectorConfig& config,
                                                service::DaemonContext& context);

}  // namespace ff::collector
