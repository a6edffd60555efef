// SPDX-License-Identifier: Apache-2.0
//
// ReceiptBatch: verdicts of a few milliseconds, joined into as few receipts as they need.
//
// Data path  Verdict > [windows to ranges, one receipt per stream, outcome and reason] > receipts topic
// Not here   the log (receipt_stage.hpp). One thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "common/wire/control_record.hpp"
#include "hpc_sink/receipt/verdict.hpp"

namespace ff::sink {

/// Who writes: part of every receipt, request and ability.
struct ReceiptSender {
  std::string destination;  ///< the sink's consumer group
  std::string sink;
};

/// A record of the receipts topic and what is owed once the log has it.
struct ReceiptLine {
  std::string key;  ///< series_uid/stream, or what else keeps one value
  wire::ReceiptRecord record;
  RecordTickets tickets{};
};

class ReceiptBatch {
 public:
  explicit ReceiptBatch(ReceiptSender sender) : sender_(std::move(sender)) {}

  /// Takes a verdict that names a stream and has an outcome.
  void add(Verdict verdict);
  [[nodiscard]] std::size_t verdicts() const noexcept { return verdicts_; }
  /// The receipts, and an empty batch.
  [[nodiscard]] std::vector<ReceiptLine> take(std::int64_t now_utc_ns);

 private:
  using Key = std::tuple<StreamKey, Outcome, std::string>;
  struct Entry {
    std::string detector;
    std::set<std::uint64_t> windows;
    bool start = false, end = false;
    RecordTickets tickets;
  };

  ReceiptSender sender_;
  std::map<Key, Entry> entries_;
  std::size_t verdicts_ = 0;
};

/// "019a.../0": what a stream's receipts and requests have as their key.
[[nodiscard]] std::string stream_record_key(const StreamKey& stream);
[[nodiscard]] ReceiptLine replay_line(const ReceiptSender& sender, const ReplayAsk& ask,
                                      std::int64_t now_utc_ns);
/// What this build can decode.
[[nodiscard]] ReceiptLine ability_line(const ReceiptSender& sender, std::int64_t now_utc_ns);

}  // namespace ff::sink
