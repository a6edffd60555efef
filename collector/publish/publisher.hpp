// SPDX-License-Identifier: Apache-2.0
//
// Publisher: hands admitted records to the log and sees each through to its delivery report.
//
// Data path  admit > [publish] > log
// A record the log can't take now waits here and blocks the publisher: nothing more is read from the link,
// and agents are held by their credit. A failed delivery is produced again; it is never forgotten.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "collector/admit/admission.hpp"
#include "collector/collector_metrics.hpp"
#include "common/transport/link.hpp"
#include "common/transport/log.hpp"

namespace ff::collector {

class Publisher {
 public:
  Publisher(transport::LogWriter& log, CollectorMetrics& metrics) : log_(log), metrics_(metrics) {}

  std::function<void(const transport::PeerId&, const foreframe::wire::RecordId&)> on_published;
  /// The log will never take it (too large): the agent is told.
  std::function<void(const transport::PeerId&, const foreframe::wire::RecordId&, const Error&)> on_refused;

  void publish(Admitted place, transport::ReceivedEnvelope received);
  /// Runs delivery reports and tries again what waits; waits at most `timeout`.
  void poll(std::chrono::nanoseconds timeout);
  /// True while records wait for the log: hand over no more.
  [[nodiscard]] bool blocked() const noexcept { return !waiting_.empty(); }
  /// Records without a report yet.
  [[nodiscard]] std::uint64_t outstanding() const noexcept { return outstanding_; }
  /// Errors: timed_out.
  [[nodiscard]] Status drain(std::chrono::nanoseconds timeout);
  /// Why records wait, or "".
  [[nodiscard]] std::string trouble() const { return waiting_.empty() ? log_.trouble() : waiting_reason_; }

 private:
  struct Job {
    Admitted place;
    transport::ReceivedEnvelope received;
  };
  using JobHandle = std::shared_ptr<Job>;

  bool hand_over(const JobHandle& job);
  void delivered(const JobHandle& job, const Result<transport::LogPosition>& outcome);
  void finish(const JobHandle& job, const Error* refused);

  transport::LogWriter& log_;
  CollectorMetrics& metrics_;
  std::deque<JobHandle> waiting_;
  std::string waiting_reason_;
  std::uint64_t outstanding_ = 0;
};

}  // namespace ff::collector
