// SPDX-License-Identifier: Apache-2.0
//
// SinkMetrics: names and help texts.
#include "hpc_sink/sink_metrics.hpp"

#include <string>

namespace ff::sink {

SinkMetrics::SinkMetrics(service::Metrics& m)
    : records_read(m.counter("records_read_total", "Records fetched from the log")),
      record_bytes(m.counter("record_bytes_total", "Bytes of the records fetched from the log")),
      records_duplicate(
          m.counter("records_duplicate_total", "Records dropped because they were here already")),
      windows_complete(m.counter("windows_complete_total", "Windows stored with all that was sent")),
      windows_incomplete(m.counter("windows_incomplete_total", "Windows closed before all records had come")),
      frames_stored(m.counter("frames_stored_total", "Frames in durable files")),
      frames_damaged(m.counter("frames_damaged_total", "Frames whose blocks could not be decoded here")),
      frames_lost(m.counter("frames_lost_total", "Frames that were sent and did not come out of the log")),
      frames_late(
          m.counter("frames_late_total", "Frames stored after their window had been closed without them")),
      stored_bytes(m.counter("stored_bytes_total", "Bytes of durable data files")),
      raw_bytes(m.counter("raw_bytes_total", "Pixel bytes of the stored frames, before compression")),
      files_published(m.counter("files_published_total", "Data files closed, synced and renamed")),
      files_adopted(m.counter("files_adopted_total", "Data files found in place, verified and catalogued")),
      files_abandoned(m.counter("files_abandoned_total", "Data files given up before they were complete")),
      masters_written(m.counter("masters_written_total", "Master files written or written again")),
      receipts_written(m.counter("receipts_written_total", "Receipts that the log has")),
      receipt_retries(
          m.counter("receipt_retries_total", "Times that the log did not take a receipt or dead letter")),
      replays_requested(m.counter("replays_requested_total", "Requests for records that are missing")),
      dead_letters(m.counter("dead_letters_total", "Records put into the dead-letter topic")),
      store_retries(m.counter("store_retries_total", "Windows that waited because the store had no room")),
      log_gaps(m.counter("log_gaps_total", "Times that the log had freed records before they were read")),
      restarts(m.counter("path_restarts_total", "Times that the path began again at the committed offsets")),
      ledger_published(
          m.counter("ledger_records_published_total", "Statements and seals that the ledger topic has")),
      ledger_joined(m.counter("ledger_records_joined_total",
                              "Statements of this and other sinks read from the ledger topic as sealer")),
      seals_made(m.counter("seals_made_total", "Seals signed by this sink")),
      memory_bytes(m.gauge("memory_bytes", "Memory held by windows in flight")),
      records_pending(m.gauge("records_pending", "Records read and not yet in a durable file")),
      series_open(m.gauge("series_open", "Series not closed")),
      store_queue(m.gauge("store_queue_depth", "Finished windows that wait for the store")),
      partitions(m.gauge("partitions_owned", "Partitions of the topic blocks that this sink reads")),
      ledger_waiting(
          m.gauge("ledger_records_waiting", "Statements and seals that the log does not have yet")),
      ledger_partitions(m.gauge("ledger_partitions_owned",
                                "Partitions of the ledger topic whose detectors this sink seals")),
      series_sealing(m.gauge("series_sealing", "Series that this sink will seal and has not yet")),
      metrics_(&m) {}

service::Counter SinkMetrics::refused(Errc reason) {
  return metrics_->counter("records_refused_total", "Records that could not be used",
                           {{"reason", std::string(to_string(reason))}});
}

service::Counter SinkMetrics::blocks_failed(Errc reason) {
  return metrics_->counter("blocks_failed_total", "Blocks that could not be decoded",
                           {{"reason", std::string(to_string(reason))}});
}

}  // namespace ff::sink
