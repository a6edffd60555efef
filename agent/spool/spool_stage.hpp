// SPDX-License-Identifier: Apache-2.0
//
// SpoolStage: gives every record its sequence number and writes it to the spool.
//
// Data path  encode > [spool] > send
// The order of writing is the order of sequence numbers, per stream and epoch, from 1. A record counts as
// taken when it is written; fsync follows within spool.fsync. A full spool blocks: nothing behind it is
// dropped by us.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "agent/agent_metrics.hpp"
#include "agent/encode/encode_work.hpp"
#include "agent/spool/back_pressure.hpp"
#include "agent/spool/spool_scan.hpp"
#include "agent/spool/spool_waits.hpp"
#include "agent/window/agent_journal.hpp"
#include "common/transport/segment_log.hpp"

namespace ff::agent {

class SpoolStage {
 public:
  SpoolStage(std::unique_ptr<transport::SegmentLog> log, AgentJournal& journal, const SpoolWaits& waits,
             BackPressure& pressure, AgentMetrics& metrics)
      : log_(std::move(log)), journal_(journal), waits_(waits), pressure_(pressure), metrics_(metrics) {}

  /// Writes until the queue is closed and empty, then syncs. `give_up`: once true, a full spool loses records
  /// (counted) instead of waiting. Errors: io_error and whatever else the disk says, but not a full spool.
  [[nodiscard]] Status run(SpoolQueue& in, const std::atomic<bool>& give_up);

  /// Blocks of windows that are not recorded lie in the spool since an earlier run: they are kept until they are.
  void take_over(const Uuid& series, std::uint32_t first_stream, const SpooledSeries& spooled);

  [[nodiscard]] std::uint64_t records_lost() const noexcept { return records_lost_; }

 private:
  /// What a window's record says about the blocks before it.
  struct WindowTotals {
    std::vector<std::uint8_t> digests;  ///< SHA-256 of each block's payload, in order of sequence
    std::uint64_t coded_bytes = 0;
    std::uint64_t first_offset = UINT64_MAX;  ///< of its blocks in the spool, earlier runs' included
  };
  struct StreamWindows {
    std::uint64_t recorded = 0;      ///< all windows below are recorded
    std::set<std::uint64_t> beyond;  ///< recorded too, but not all before them
    std::size_t stream_index = 0;
    bool changed = false;
  };
  using StreamKey = std::pair<std::string, std::uint32_t>;  // series uid, stream
  using WindowKey = std::pair<StreamKey, std::uint64_t>;

  [[nodiscard]] Status write(OutgoingRecord record, const std::atomic<bool>& give_up);
  void complete_header(OutgoingRecord& record);
  void note_spooled(const wire::EnvelopeHeader& header, std::size_t stream_index, std::uint64_t offset);
  [[nodiscard]] Status wait_for_journal(const Uuid& series, const std::atomic<bool>& give_up);
  [[nodiscard]] Status note_progress(bool now);
  [[nodiscard]] std::uint64_t open_since(const StreamKey* stream) const;
  /// The record's offset, or nothing when it was given up.
  [[nodiscard]] Result<std::optional<std::uint64_t>> append(const Payload& envelope,
                                                            const std::atomic<bool>& give_up);
  [[nodiscard]] Status keep_house();

  std::unique_ptr<transport::SegmentLog> log_;
  AgentJournal& journal_;
  const SpoolWaits& waits_;
  BackPressure& pressure_;
  AgentMetrics& metrics_;
  std::map<std::uint32_t, std::uint64_t> next_sequence_;  ///< per stream, in this epoch
  std::map<WindowKey, WindowTotals> windows_;             ///< not recorded yet
  std::map<StreamKey, StreamWindows> streams_;
  std::int64_t progress_ns_ = 0;
  std::int64_t house_kept_ns_ = 0;
  std::uint64_t records_lost_ = 0;
};

}  // namespace ff::agent
