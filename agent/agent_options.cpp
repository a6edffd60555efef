// SPDX-License-Identifier: Apache-2.0
//
// The configuration in each stage's own words.
#include "agent/agent_options.hpp"

namespace ff::agent {

ZmqPullOptions pull_options(const AgentConfig& config) {
  return {config.source_address, config.source_bind, config.source_queue, config.message_bytes_max, nullptr};
}

PassThroughOptions pass_through_options(const AgentConfig& config) {
  return {pull_options(config),    config.passthrough_address, config.passthrough_socket == "pub",
          config.passthrough_bind, config.passthrough_queue,   config.passthrough_on_stall == "wait",
          config.observe()};
}

SeriesIngestOptions ingest_options(const AgentConfig& config) {
  SeriesIngestOptions options;
  options.source = config.source_format;
  options.limits = config.limits();
  options.first_stream = static_cast<std::uint32_t>(config.first_stream);
  options.pool_frames = config.pool_frames;
  options.frame_bytes_max = config.frame_bytes_max;
  options.frame_jump_max = config.frame_jump_max;
  options.sentinels = config.sentinels;
  options.idle_timeout = config.idle_timeout;
  options.end_grace = config.end_grace;
  options.pool_wait_max = config.observe() ? std::chrono::nanoseconds(0) : config.pool_max_wait;
  options.pool_make_max = config.pool_max_wait;
  return options;
}

WindowStageOptions window_options(const AgentConfig& config, std::uint64_t epoch) {
  WindowStageOptions options;
  options.identity = {config.name,
                      config.detector_name,
                      epoch,
                      0,
                      static_cast<std::uint32_t>(config.origin_row),
                      static_cast<std::uint32_t>(config.origin_col),
                      static_cast<std::uint32_t>(config.detector_rows),
                      static_cast<std::uint32_t>(config.detector_cols)};
  options.windowing = parse_windowing(config.group_windowing).value();  // check() has read it
  options.group_latency_ns = config.group_max_latency.count();
  options.reorder_time_ns = config.reorder_time.count();
  options.frames_beyond_max = config.frame_jump_max;
  return options;
}

SendStageOptions send_options(const AgentConfig& config) {
  SendStageOptions options;
  options.wait_for_receipts = config.spool_free_on == "stored";
  options.resend_share = parse_share(config.resend_share).value();  // check() has read it
  options.receipts = {config.spool_destinations, config.receipt_timeout, kReceiptEntries};
  return options;
}

BackPressureOptions pressure_options(const AgentConfig& config) {
  BackPressureOptions options;  // check() has read the texts
  options.on_full = parse_on_full(config.spool_on_full).value();
  options.keep = parse_keep_rule(config.spool_veto_keep).value();
  options.stop_hook = config.spool_stop_hook;
  options.observe = config.observe();
  return options;
}

transport::SegmentLogOptions spool_options(const AgentConfig& config) {
  transport::SegmentLogOptions options;
  options.folder = config.spool_folder();
  options.segment_bytes = config.spool_segment_bytes;
  options.log_bytes_max = config.spool_bytes_max;
  options.fsync_interval = config.spool_fsync;
  if (config.spool_on_full == "spool") {
    options.overflow_folder = config.spool_overflow;
    options.overflow_bytes_max = config.spool_overflow_bytes_max;
  }
  return options;
}

transport::LinkSenderOptions link_options(const AgentConfig& config) {
  return {config.name, config.collectors, config.link_heartbeat, config.collector_timeout};
}

EncodeOptions encode_options(const AgentConfig& config) {
  EncodeOptions options;  // check() has read the texts
  options.threads = config.encode_threads;
  options.queue_groups = kEncodeQueueGroups;
  options.profile = kernels::parse_profile(config.encode_profile).value();
  options.device = config.encode_device;
  options.bound = kernels::parse_loss_bound(config.encode_bound).value();
  options.degrade_bound = kernels::parse_loss_bound(config.spool_degrade_bound).value();
  return options;
}

}  // namespace ff::agent
