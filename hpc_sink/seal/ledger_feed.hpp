// SPDX-License-Identifier: Apache-2.0
//
// LedgerFeed: brings to the store what all sinks must know: the ledger topic's records of the partitions that this
// sink holds, from the oldest one at each assignment, and the start and end of every series of the site.
//
// Data path  topics ledger (consumer group <log.group>.ledger), series (outside every group) > [LedgerFeed] > store
// Who reads a partition of the ledger topic seals the detectors of that partition: this is the election. Nothing is
// committed, so that each owner reads all there is; what is sealed was deleted.
// Not here   what the records mean (sealing_desk.hpp). A thread of its own: a slow store does not hold up the loss of a
// partition.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <variant>

#include "common/base/result.hpp"
#include "common/service/logging.hpp"
#include "common/transport/log.hpp"
#include "common/wire/envelope.hpp"
#include "hpc_sink/seal/ledger_ownership.hpp"

namespace ff::sink {

/// A record of the ledger topic; an empty value deletes its key.
struct LedgerNews {
  std::int32_t partition = 0;
  std::uint64_t generation = 0;
  std::string key;
  Payload value;
};
/// All that stood in these partitions has been handed over.
struct LedgerRead {
  LedgerOwnership::Generations partitions;
};
/// The start or end of a stream's series.
struct SeriesHeard {
  wire::EnvelopeHeader header;
  Payload payload;
};
using FeedNews = std::variant<LedgerNews, LedgerRead, SeriesHeard>;

/// Opens a reader of a topic; null and `why` when it can't.
using OpenFeedReader = std::function<std::unique_ptr<transport::LogReader>(Error& why)>;

struct FeedSurroundings {
  OpenFeedReader open_ledger;  ///< Topic::ledger, in the group; empty: nothing is sealed here
  OpenFeedReader
      open_series;  ///< Topic::series, outside of it; empty: the group's reader hears of all series
  LedgerOwnership& ownership;
  std::function<bool()> may_open;         ///< the ledger topic has been made
  std::function<void(FeedNews)> deliver;  ///< waits for room
  std::function<void(const Error&)> fatal;
  std::function<bool()> stopping;
};

class LedgerFeed {
 public:
  /// Starts the thread; the log need not be there yet.
  explicit LedgerFeed(FeedSurroundings around);
  /// Waits for the thread, which ends when stopping() says so.
  ~LedgerFeed();
  LedgerFeed(const LedgerFeed&) = delete;
  LedgerFeed& operator=(const LedgerFeed&) = delete;

 private:
  void loop();
  void open_readers();
  void open(std::unique_ptr<transport::LogReader>& reader, const OpenFeedReader& how);
  [[nodiscard]] bool poll_ledger();
  [[nodiscard]] bool poll_series();
  void say_read();
  void report(const Error& why);

  FeedSurroundings around_;
  std::unique_ptr<transport::LogReader> ledger_, series_;
  LedgerOwnership::Generations said_read_;
  bool said_any_ = false;
  std::int64_t next_open_ns_ = 0;
  service::LogLimiter troubles_;
  std::thread thread_;
};

}  // namespace ff::sink
