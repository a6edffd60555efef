// SPDX-License-Identifier: Apache-2.0
//
// SendStage: sends what the spool holds, in order, and moves the spool's cursor behind what is acknowledged.
//
// Data path  spool > [send] ~link~> collector
// A record is done when a collector says that the log has it, or that it never will (quarantine). The cursor
// stands behind the longest run of done records from the start; a restart sends from there again. One thread.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>

#include "agent/agent_metrics.hpp"
#include "agent/spool/quarantine.hpp"
#include "common/service/status_server.hpp"
#include "common/transport/link.hpp"
#include "common/transport/segment_log.hpp"

namespace ff::agent {

class SendStage {
 public:
  SendStage(std::unique_ptr<transport::SegmentReader> spool, std::unique_ptr<transport::LinkSender> link,
            Quarantine quarantine, std::atomic<std::uint32_t>& partition_count, service::Health& health,
            AgentMetrics& metrics);

  /// Sends until `spool_closed` and everything is done, or until `deadline_ns` (monotonic; 0: none yet) has
  /// passed.
  [[nodiscard]] Status run(const std::atomic<bool>& spool_closed,
                           const std::atomic<std::int64_t>& deadline_ns);

  /// Records in the spool that are not done.
  [[nodiscard]] std::uint64_t outstanding();

 private:
  using Identity = std::tuple<std::string, std::uint32_t, std::uint64_t,
                              std::uint64_t>;  // detector, stream, epoch, sequence
  struct UnderWay {
    Identity identity;
    Payload envelope;
  };

  void on_welcome(const foreframe::wire::Welcome& welcome);
  void on_refused(const foreframe::wire::Refuse& refusal);
  void done(const foreframe::wire::RecordId& id);
  [[nodiscard]] std::vector<foreframe::wire::StreamPosition> positions() const;
  [[nodiscard]] Result<bool> send_next();
  [[nodiscard]] Status commit_if_due(bool now);

  std::unique_ptr<transport::SegmentReader> spool_;
  std::unique_ptr<transport::LinkSender> link_;
  Quarantine quarantine_;
  std::atomic<std::uint32_t>& partition_count_;
  service::Health& health_;
  AgentMetrics& metrics_;
  std::map<std::uint64_t, UnderWay> under_way_;  ///< by spool offset
  std::map<Identity, std::uint64_t> offsets_;    ///< of what is under way
  std::set<std::uint64_t> done_;                 ///< beyond cursor_
  std::uint64_t cursor_ = 0, committed_ = 0;
  std::int64_t committed_ns_ = 0;
  std::optional<transport::SegmentRecord> next_;  ///< read, waits for credit
  std::map<std::tuple<std::string, std::uint32_t, std::uint64_t>, std::uint64_t> acknowledged_up_to_;
};

}  // namespace ff::agent
