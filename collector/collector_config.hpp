// SPDX-License-Identifier: Apache-2.0
//
// The collector's configuration: configs/collector.toml as a struct whose members hold the defaults.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/service/config.hpp"
#include "common/transport/link.hpp"
#include "common/transport/log.hpp"

namespace ff::collector {

struct CollectorConfig {
  std::string name = "collector";

  std::string link_listen = "tcp://127.0.0.1:5555";
  std::uint64_t link_credit_bytes = 64ull << 20;
  std::uint64_t link_credit_total_bytes = 1ull << 30;
  std::uint64_t link_envelope_bytes_max = 256ull << 20;
  std::uint64_t link_agents_max = 1024;
  std::chrono::nanoseconds link_heartbeat = std::chrono::seconds(1);
  std::chrono::nanoseconds link_agent_timeout = std::chrono::seconds(10);
  std::chrono::nanoseconds link_gap_timeout = std::chrono::seconds(5);

  std::string log_url = "log:///var/lib/foreframe/log";
  std::string log_topic_prefix = "site.beamline";
  std::uint64_t log_partitions = 4;
  std::uint64_t log_record_bytes_max = 900'000;
  std::uint64_t log_queue_bytes = 256ull << 20;
  std::uint64_t log_bytes_max = 16ull << 30;
  std::chrono::nanoseconds log_delivery_timeout = std::chrono::seconds(30);
  std::vector<std::string> log_kafka;

  std::uint64_t receipts_table_bytes = 256ull << 20;
  std::chrono::nanoseconds receipts_kept_for = std::chrono::hours(24 * 14);
  std::uint64_t receipts_kept_bytes = 4ull << 30;

  std::chrono::nanoseconds stop_drain_timeout = std::chrono::seconds(30);

  [[nodiscard]] transport::LinkReceiverOptions link_options() const;
  /// Errors: config_error (log.kafka).
  [[nodiscard]] Result<transport::LogOptions> log_options() const;
};

void describe(service::ConfigSchema& schema, CollectorConfig& config);
/// What `--check` says: where it listens, where it writes, the memory bound. Errors: config_error.
[[nodiscard]] Result<std::string> check(const CollectorConfig& config);

}  // namespace ff::collector
