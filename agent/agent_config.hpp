// SPDX-License-Identifier: Apache-2.0
//
// AgentConfig: every key of agent.toml with its default, and the memory that a configuration may cost.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/window/window_plan.hpp"
#include "common/base/result.hpp"
#include "common/service/config.hpp"

namespace ff::agent {

struct AgentConfig {
  std::string name = "agent";
  std::string state = "/var/lib/foreframe/agent";
  std::string mode = "transfer";

  std::string detector_name = "detector";
  std::uint64_t first_stream = 0;
  std::uint64_t frame_bytes_max = 80ull << 20;
  std::uint64_t origin_row = 0, origin_col = 0, detector_rows = 0, detector_cols = 0;
  std::vector<std::int64_t> sentinels;

  std::string source_format = "stream_v2";
  std::string source_address = "tcp://127.0.0.1:31001";
  bool source_bind = false;
  std::uint64_t source_queue = 8;
  std::uint64_t message_bytes_max = 128ull << 20;
  std::uint64_t frame_jump_max = 1'000'000;

  std::string passthrough_address;
  std::string passthrough_socket = "push";
  bool passthrough_bind = true;
  std::uint64_t passthrough_queue = 8;
  std::string passthrough_on_stall = "drop";

  std::uint64_t reorder_frames = 16;
  std::chrono::nanoseconds reorder_time = std::chrono::seconds(1);
  std::chrono::nanoseconds idle_timeout = std::chrono::seconds(30);
  std::chrono::nanoseconds end_grace = std::chrono::milliseconds(500);

  std::uint64_t window_frames = 16;
  std::chrono::nanoseconds window_max_time = std::chrono::seconds(10);
  std::uint64_t window_bytes_max = 256ull << 20;
  std::uint64_t group_frames = 0;
  std::string group_windowing = "static";
  std::chrono::nanoseconds group_max_latency = std::chrono::milliseconds(200);
  std::uint64_t group_pixels_max = 1ull << 21;

  std::string pool_path = "/dev/shm/foreframe";
  std::uint64_t pool_frames = 0;
  std::chrono::nanoseconds pool_max_wait = std::chrono::seconds(10);

  std::uint64_t encode_threads = 2;
  std::string encode_profile = "fast";
  std::string encode_bound = "none";
  std::string encode_device = "auto";
  std::uint64_t tile_rows = 0, tile_cols = 0;

  std::string spool_path;
  std::uint64_t spool_bytes_max = 16ull << 30;
  std::uint64_t spool_segment_bytes = 128ull << 20;
  std::chrono::nanoseconds spool_fsync = std::chrono::milliseconds(200);
  std::string spool_on_full = "block";
  std::string spool_overflow;
  std::uint64_t spool_overflow_bytes_max = 64ull << 30;
  std::string spool_degrade_bound = "none";
  std::string spool_veto_keep = "1/10";
  std::vector<std::string> spool_stop_hook;
  std::uint64_t quarantine_bytes_max = 1ull << 30;
  std::string spool_free_on = "stored";
  std::vector<std::string> spool_destinations{"foreframe-sink"};
  std::chrono::nanoseconds sink_outage_max = std::chrono::hours(72);
  std::chrono::nanoseconds receipt_timeout = std::chrono::minutes(10);
  std::string resend_share = "20 %";

  std::vector<std::string> collectors{"tcp://127.0.0.1:5555"};
  std::chrono::nanoseconds link_heartbeat = std::chrono::seconds(1);
  std::chrono::nanoseconds collector_timeout = std::chrono::seconds(5);
  std::uint64_t log_replication = 0;
  std::chrono::nanoseconds log_retention{0};

  std::uint64_t memory_max = 6ull << 30;
  std::chrono::nanoseconds drain_timeout = std::chrono::seconds(30);

  [[nodiscard]] WindowLimits limits() const;
  /// How many times group.pixels_max a group may have where blocks are small: 4, or what memory.max allows.
  [[nodiscard]] std::uint64_t group_growth() const;
  [[nodiscard]] bool observe() const noexcept { return mode == "observe"; }
  [[nodiscard]] std::string spool_folder() const {
    return spool_path.empty() ? state + "/spool" : spool_path;
  }
};

inline constexpr std::uint64_t kIngestQueueItems = 1024;  ///< handles, not pixels
inline constexpr std::uint64_t kEncodeQueueGroups = 2;    ///< per worker
inline constexpr std::uint64_t kSpoolQueueRecords = 32;
inline constexpr std::uint64_t kReceiptEntries = 131072;  ///< windows, starts and ends that wait for receipts

void describe(service::ConfigSchema& schema, AgentConfig& config);

/// What the agent may take at most, for frames of `frame_bytes_max` with one byte a pixel (the costliest
/// case).
struct MemoryBound {
  std::uint64_t pool_bytes = 0;     ///< frame pool
  std::uint64_t state_bytes = 0;    ///< predictor state, 10 B a pixel
  std::uint64_t group_bytes = 0;    ///< two groups of coded tiles per worker
  std::uint64_t table_bytes = 0;    ///< of a declared bound
  std::uint64_t receipt_bytes = 0;  ///< windows that wait for receipts
  std::uint64_t queue_bytes = 0;    ///< received messages and records on their way to the spool
  [[nodiscard]] std::uint64_t total() const noexcept {
    return pool_bytes + state_bytes + group_bytes + table_bytes + receipt_bytes + queue_bytes;
  }
};
[[nodiscard]] MemoryBound memory_bound(const AgentConfig& config);
/// With groups of up to `growth` times group.pixels_max.
[[nodiscard]] MemoryBound memory_bound(const AgentConfig& config, std::uint64_t growth);

/// "20 %" as 0.2. Errors: invalid_argument.
[[nodiscard]] Result<double> parse_share(std::string_view text);

/// Checks what one key alone can't show. The text is what --check prints.
/// Errors: config_error (memory above memory.max; a frame larger than a message; a name that can't be
/// carried).
[[nodiscard]] Result<std::string> check(const AgentConfig& config);

}  // namespace ff::agent
