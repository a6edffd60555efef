// SPDX-License-Identifier: Apache-2.0
//
// SinkMetrics: every counter of the sink, made at start; threads only add.
#pragma once

#include "common/base/errc.hpp"
#include "common/service/metrics.hpp"

namespace ff::sink {

struct SinkMetrics {
  explicit SinkMetrics(service::Metrics& metrics);

  service::Counter records_read, record_bytes, records_duplicate;
  service::Counter windows_complete, windows_incomplete;
  service::Counter frames_stored, frames_damaged, frames_lost, frames_late;
  service::Counter stored_bytes, raw_bytes;
  service::Counter files_published, files_adopted, files_abandoned, masters_written;
  service::Counter receipts_written, receipt_retries, replays_requested, dead_letters;
  service::Counter store_retries, log_gaps, restarts;
  service::Counter ledger_published, ledger_joined, seals_made;
  service::Gauge memory_bytes, records_pending, series_open, store_queue;
  service::Gauge partitions, ledger_waiting, ledger_partitions, series_sealing;

  /// Records that were read and can't be used, by reason.
  [[nodiscard]] service::Counter refused(Errc reason);
  /// Blocks that could not be decoded, by reason.
  [[nodiscard]] service::Counter blocks_failed(Errc reason);

 private:
  service::Metrics* metrics_;
};

}  // namespace ff::sink
