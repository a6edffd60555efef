// SPDX-License-Identifier: Apache-2.0
//
// SinkConfig: every setting of foreframe-sink; configs/sink.toml is its rendering.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/service/config.hpp"
#include "common/transport/log.hpp"
#include "hpc_sink/decode/decode_shard.hpp"
#include "hpc_sink/store/series_store.hpp"

namespace ff::sink {

struct SinkConfig {
  std::string sink_name = "sink";

  std::string log_url = "log:///var/lib/foreframe/log";
  std::string log_topic_prefix = "site.beamline";
  std::string log_group = "foreframe-sink";
  std::uint64_t log_record_bytes_max = 900'000;
  std::vector<std::string> log_kafka;

  bool exit_when_closed = false;
  std::uint64_t decode_threads = 2;
  std::string decode_device = "auto";
  std::uint64_t memory_max_bytes = 4ull << 30;

  std::string store_path = "/var/lib/foreframe/store";
  std::string store_compression = "bslz4";
  std::chrono::nanoseconds window_timeout = std::chrono::seconds(60);
  std::chrono::nanoseconds grace = std::chrono::seconds(5);
  std::chrono::nanoseconds replay_timeout = std::chrono::seconds(30);
  std::chrono::nanoseconds grace_max = std::chrono::minutes(10);
  std::chrono::nanoseconds replay_pause = std::chrono::seconds(10);
  std::chrono::nanoseconds replay_pause_max = std::chrono::minutes(10);
  std::chrono::nanoseconds retry_max = std::chrono::seconds(30);
  std::uint64_t file_max_bytes = 1ull << 30;
  std::chrono::nanoseconds file_max_time = std::chrono::seconds(60);
  std::chrono::nanoseconds series_idle_timeout = std::chrono::minutes(10);

  std::string seal_key_file;

  std::string nexus_instrument = "unknown";
  std::string nexus_source = "unknown";
  std::string nexus_sample = "unknown";

  /// seal.key_file, or where it is when that is empty.
  [[nodiscard]] std::filesystem::path seal_key_path() const;
  [[nodiscard]] DecodeOptions decode_options() const;
  [[nodiscard]] StoreOptions store_options() const;
  /// Errors: config_error (a log.kafka entry that is not "key=value").
  [[nodiscard]] Result<transport::LogOptions> log_options() const;
};

void describe(service::ConfigSchema& schema, SinkConfig& config);
/// What no key alone can show. Returns what `--check` prints. Errors: config_error.
[[nodiscard]] Result<std::string> check(const SinkConfig& config);

}  // namespace ff::sink
