// SPDX-License-Identifier: Apache-2.0
//
// LedgerPublisher: brings what the catalogue has to say into the ledger topic, sooner or later, whatever the log does:
// statements of what is durable, seals, and the deletion of statements that a seal has made superfluous.
//
// Data path  store, sealing desk > catalogue > [ledger topic]
// The catalogue knows what the log does not have yet; a sink that was killed in between publishes again, which changes
// nothing: the topic keeps the last value of each key. Storing never waits for it, not even for a broker to be found:
// the writer is opened by a thread of its own.
// Store thread only.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.hpp"
#include "common/service/logging.hpp"
#include "common/transport/log.hpp"
#include "hpc_sink/sink_metrics.hpp"
#include "hpc_sink/store/catalogue.hpp"

namespace ff::sink {

/// Opens a writer of Topic::ledger; null and `why` when it can't.
using OpenLedgerWriter = std::function<std::unique_ptr<transport::LogWriter>(Error& why)>;

/// Partition of a detector's ledger records: all of a detector meet in one sealer, so that its seals form one chain.
[[nodiscard]] std::uint32_t ledger_partition(const std::string& detector, std::uint32_t partitions) noexcept;

class LedgerPublisher {
 public:
  /// `open` may be empty: then nothing is published. The catalogue must outlive it.
  LedgerPublisher(OpenLedgerWriter open, std::string destination, Catalogue& catalogue, SinkMetrics& metrics)
      : open_(std::move(open)),
        destination_(std::move(destination)),
        catalogue_(catalogue),
        metrics_(metrics) {}
  ~LedgerPublisher();
  LedgerPublisher(const LedgerPublisher&) = delete;
  LedgerPublisher& operator=(const LedgerPublisher&) = delete;

  /// Hands over what the log does not have yet, and notes what it has got. Call it often. Errors: those of the catalogue.
  [[nodiscard]] Status tick();
  /// Waits for what was handed over, at most so long. Errors as tick().
  [[nodiscard]] Status finish(std::chrono::nanoseconds patience);
  /// Seals go out only while `owns` says yes to their detector: who lost the partition before his seal was public has
  /// not sealed. Empty: always.
  void set_owner(std::function<bool(const std::string& detector)> owns) { owns_ = std::move(owns); }
  /// There may be something that the catalogue calls unpublished.
  void look_again() noexcept { look_ = true; }
  /// Deletes the records with these keys from the partition, once the log has all seals of the series. While the log
  /// is away, as many are remembered as there are; a sink that dies leaves them to the partition's next owner.
  void bury(const Uuid& series, std::uint32_t partition, const std::set<std::string>& keys);

  /// P of the topic; 0: not known yet.
  [[nodiscard]] std::uint32_t partitions() const noexcept { return partitions_; }
  /// Statements and seals that the log does not have yet.
  [[nodiscard]] Result<std::uint64_t> waiting() const;

 private:
  using SealId = std::pair<Uuid, std::uint32_t>;
  struct Grave {
    Uuid series;
    std::uint32_t partition = 0;
    std::string key;
  };
  [[nodiscard]] bool writer_ready();
  [[nodiscard]] bool produce(std::uint32_t partition, const std::string& key, Payload value,
                             transport::LogWriter::Delivered delivered);
  [[nodiscard]] Status hand_over();
  [[nodiscard]] Result<std::vector<SealRow>> seals_waiting() const;
  [[nodiscard]] Status hand_over_notes();
  [[nodiscard]] Status hand_over_seals();
  [[nodiscard]] Status hand_over_graves();
  void note_delivered(std::int64_t number, const Result<transport::LogPosition>& position);
  void seal_delivered(const SealId& id, const Result<transport::LogPosition>& position);
  void failed(const Error& why);

  OpenLedgerWriter open_;
  std::string destination_;
  std::function<bool(const std::string&)> owns_;
  Catalogue& catalogue_;
  SinkMetrics& metrics_;
  std::uint32_t partitions_ = 0;
  std::set<std::int64_t> notes_in_flight_;
  std::vector<std::int64_t> notes_delivered_;
  std::set<SealId> seals_in_flight_;
  std::deque<Grave> graves_;
  bool look_ = true;
  std::int64_t next_try_ns_ = 0, next_count_ns_ = 0;  // monotonic
  Status noted_;                                      // the catalogue's first error inside a callback
  service::LogLimiter troubles_;
  std::future<std::pair<std::unique_ptr<transport::LogWriter>, std::string>> opening_;
  std::unique_ptr<transport::LogWriter> writer_;  // last: its callbacks use the rest
};

}  // namespace ff::sink
