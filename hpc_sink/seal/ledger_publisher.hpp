// SPDX-License-Identifier: Apache-2.0
//
// LedgerPublisher: brings the catalogue's seals into the ledger topic, sooner or later, whatever the log does.
//
// Data path  sealer > catalogue > [ledger topic]
// The catalogue knows which seals the log has; a sink that was killed in between publishes again, which changes nothing:
// the topic keeps the last value of each key. Storing never waits for it.
// Store thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "common/base/result.hpp"
#include "common/service/logging.hpp"
#include "common/transport/log.hpp"
#include "hpc_sink/store/catalogue.hpp"

namespace ff::sink {

/// Opens a writer of Topic::ledger; null and `why` when it can't.
using OpenLedgerWriter = std::function<std::unique_ptr<transport::LogWriter>(Error& why)>;

/// Partition of a detector's ledger records: all of a detector meet in one sealer, so that its seals form one chain.
[[nodiscard]] std::uint32_t ledger_partition(const std::string& detector, std::uint32_t partitions) noexcept;

class LedgerPublisher {
 public:
  /// `open` may be empty: then nothing is published. The catalogue must outlive it.
  LedgerPublisher(OpenLedgerWriter open, Catalogue& catalogue)
      : open_(std::move(open)), catalogue_(catalogue) {}

  /// Hands over what the log does not have yet, and notes what it has got. Call it often. Errors: those of the catalogue.
  [[nodiscard]] Status tick();
  /// Waits for what was handed over, at most so long. Errors as tick().
  [[nodiscard]] Status finish(std::chrono::nanoseconds patience);
  /// There may be seals that the catalogue calls unpublished.
  void look_again() noexcept { look_ = true; }

 private:
  using SealId = std::pair<Uuid, std::uint32_t>;
  [[nodiscard]] bool writer_ready();
  [[nodiscard]] Status hand_over();
  void delivered(const SealId& id, const Result<transport::LogPosition>& position);

  OpenLedgerWriter open_;
  Catalogue& catalogue_;
  std::set<SealId> in_flight_;
  bool look_ = true;
  std::int64_t next_try_ns_ = 0;  // monotonic
  Status noted_;                  // the catalogue's first error inside a callback
  service::LogLimiter troubles_;
  std::unique_ptr<transport::LogWriter> writer_;  // last: its callbacks use the rest
};

}  // namespace ff::sink
