// SPDX-License-Identifier: Apache-2.0
#include "collector/collector_metrics.hpp"

namespace ff::collector {

CollectorMetrics::CollectorMetrics(service::Metrics& m)
    : received_records(m.counter("received_records_total", "Envelopes that came over the link.")),
      received_bytes(m.counter("received_bytes_total", "Bytes of envelopes that came over the link.")),
      published_records(
          m.counter("published_records_total", "Records that the log has, acknowledged to agents.")),
      published_bytes(m.counter("published_bytes_total", "Bytes of records that the log has.")),
      delivery_retries(
          m.counter("delivery_retries_total", "Records handed to the log again after a failure.")),
      gaps(m.counter("sequence_gaps_total", "Jumps in the sequence numbers of a stream.")),
      gap_records(m.counter("sequence_gap_records_total", "Sequence numbers jumped over.")),
      gap_records_filled(
          m.counter("sequence_gap_records_filled_total", "Of those, records that came later.")),
      duplicates(m.counter("sequence_duplicates_total", "Records that came again.")),
      hellos(m.counter("link_hellos_total", "Connections of agents.")),
      agents_gone(m.counter("link_agents_gone_total", "Agents that said bye or fell silent.")),
      gap_records_asked(
          m.counter("sequence_gap_records_asked_total", "Missing records that agents were asked for.")),
      receipts_read(m.counter("receipts_read_total", "Records read from the receipts topic.")),
      receipts_malformed(
          m.counter("receipts_malformed_total", "Records of the receipts topic that can't be used.")),
      news_sent(m.counter("receipt_news_sent_total",
                          "Receipts, replay requests and abilities told to agents, as answer or as news.")),
      news_dropped(
          m.counter("receipt_news_dropped_total",
                    "Of those, dropped since the agent reads too slowly or is gone; it asks again.")),
      receipt_table_bytes(m.gauge("receipt_table_bytes", "Memory of what is known of receipts, about.")),
      receipt_table_streams(m.gauge("receipt_table_streams", "Streams of series with receipts known.")),
      receipt_table_forgotten(
          m.gauge("receipt_table_forgotten", "Streams forgotten since receipts.table_max was reached.")),
      agents(m.gauge("link_agents", "Agents connected.")),
      log_blocked(m.gauge("log_blocked", "1 while the log takes nothing and agents are held by credit.")),
      metrics_(m) {}

void CollectorMetrics::refused(const std::string& reason) {
  metrics_.counter("refused_records_total", "Records refused for good, by reason.", {{"reason", reason}})
      .add();
}

void CollectorMetrics::malformed(const std::string& reason) {
  metrics_
      .counter("link_malformed_total", "Broken or hostile link messages, by reason.", {{"reason", reason}})
      .add();
}

}  // namespace ff::collector
