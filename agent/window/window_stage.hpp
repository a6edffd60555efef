// SPDX-License-Identifier: Apache-2.0
//
// WindowStage: runs one WindowBuilder per stream and turns what they put out into work and records.
//
// Data path  ingest > [window] > encode > spool
// One thread.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "agent/agent_metrics.hpp"
#include "agent/encode/encode_stage.hpp"
#include "agent/window/window_builder.hpp"

namespace ff::agent {

struct WindowStageOptions {
  StreamIdentity identity;
  Windowing windowing;
  std::int64_t group_latency_ns = 200'000'000;
  std::int64_t reorder_time_ns = 1'000'000'000;
  std::uint64_t frames_beyond_max = 1'000'000;  ///< announced but never seen frames that get a record
  /// True: a window that begins now is coded within EncodeOptions::degrade_bound. Empty: never.
  std::function<bool()> degrades{};
};

class WindowStage {
 public:
  /// `partition_count`: of the blocks topic, as the collector last told; 0 before.
  WindowStage(WindowStageOptions options, const std::atomic<std::uint32_t>& partition_count,
              EncodeStage& encode, SpoolQueue& out, AgentMetrics& metrics);

  void handle(IngestItem item);
  void tick(std::int64_t now_monotonic_ns);

 private:
  struct Stream {
    std::shared_ptr<StreamWork> work;
    std::unique_ptr<WindowBuilder> builder;
    std::map<std::uint64_t, std::shared_ptr<WindowWork>> open_windows;
    std::uint64_t late_reported = 0, missing_reported = 0;
  };

  void open(const SeriesOpened& opened);
  void close(const SeriesClosed& closed);
  void take_output(Stream& stream, WindowOutput output);
  std::shared_ptr<WindowWork>& window_work(Stream& stream, std::uint64_t window);
  void report_faults(Stream& stream);
  [[nodiscard]] bool degrade(std::uint64_t window);

  WindowStageOptions options_;
  const std::atomic<std::uint32_t>& partition_count_;
  EncodeStage& encode_;
  SpoolQueue& out_;
  AgentMetrics& metrics_;
  std::vector<Stream> streams_;
  std::map<std::uint64_t, bool> degraded_;  ///< by window: all channels of one are coded alike
};

}  // namespace ff::agent
