// SPDX-License-Identifier: Apache-2.0
//
// The collector's counters, by name. Every way in which a record is not simply passed on has one.
#pragma once

#include <string>

#include "common/service/metrics.hpp"

namespace ff::collector {

struct CollectorMetrics {
  explicit CollectorMetrics(service::Metrics& metrics);

  service::Counter received_records, received_bytes;
  service::Counter published_records, published_bytes;
  service::Counter delivery_retries;   ///< produced again after a failed delivery
  service::Counter gaps, gap_records;  ///< jumps in a stream's sequence numbers, and records jumped over
  service::Counter gap_records_filled, duplicates;
  service::Counter hellos, agents_gone;
  service::Counter gap_records_asked;  ///< of the jumped over: asked for again
  service::Counter receipts_read, receipts_malformed;
  service::Counter news_sent, news_dropped;  ///< receipts, replay requests, abilities to agents
  service::Gauge receipt_table_bytes, receipt_table_streams, receipt_table_forgotten;
  service::Gauge agents, log_blocked;

  void refused(const std::string& reason);
  void malformed(const std::string& reason);

 private:
  service::Metrics& metrics_;
};

}  // namespace ff::collector
