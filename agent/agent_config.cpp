// SPDX-License-Identifier: Apache-2.0
//
// The agent's configuration: its keys. What several of them come to together is in agent_config_check.cpp.
#include "agent/agent_config.hpp"

namespace ff::agent {
namespace {

using namespace std::chrono_literals;
using service::ConfigSchema;

void describe_identity(ConfigSchema& schema, AgentConfig& c) {
  schema.section("agent", "Who this agent is.");
  schema.text("agent.name", &c.name, "Unique at the facility; in every record, 1 to 64 characters.");
  schema.text("agent.state", &c.state,
              "Folder of the journal: epoch and open series. One per agent, on a local disk.");
  schema.choice(
      "agent.mode", &c.mode, {"transfer", "observe"},
      "transfer: what is configured. observe: tried beside what a beamline has; stores and measures, but "
      "vetoes, degrades and holds up nothing: with a full pool frames are lost here, not waited for.");

  schema.section("detector", "What the agent writes, and where it lies in the detector.");
  schema.text("detector.name", &c.detector_name, "In every record and in file names, 1 to 64 characters.");
  schema.integer("detector.first_stream", &c.first_stream, 0, 65535,
                 "Stream index of the first channel; agents of one detector share the numbering.");
  schema.size("detector.frame_max", &c.frame_bytes_max, 1, 1ull << 30,
              "Largest uncompressed frame of one channel; larger ones are refused. The memory bound follows "
              "from it.");
  schema.integer("detector.origin_row", &c.origin_row, 0, 65535,
                 "First row of this agent's module in the detector.");
  schema.integer("detector.origin_col", &c.origin_col, 0, 65535, "First column of this agent's module.");
  schema.integer("detector.rows", &c.detector_rows, 0, 65536,
                 "Rows of the whole detector; 0: those of the frame.");
  schema.integer("detector.cols", &c.detector_cols, 0, 65536,
                 "Columns of the whole detector; 0: those of the frame.");
  schema.integer_list(
      "detector.sentinels", &c.sentinels,
      "Pixel values that mark bad pixels, at most 8. Empty: 65535 for uint16, 4294967295 for uint32, "
      "-1 and -2 for int32, none for other types.");
}

void describe_input(ConfigSchema& schema, AgentConfig& c) {
  schema.section("source", "Where frames come from.");
  schema.choice("source.format", &c.source_format, {"stream_v2", "plain"},
                "stream_v2: DECTRIS Stream V2 (CBOR). plain: a JSON header and pixels.");
  schema.text("source.address", &c.source_address,
              "ZeroMQ address of the detector (or of ours, with source.bind).");
  schema.flag("source.bind", &c.source_bind, "Bind instead of connect; for senders that connect to us.");
  schema.integer("source.queue", &c.source_queue, 1, 100'000, "Messages that ZeroMQ may hold for us.");
  schema.size("source.message_max", &c.message_bytes_max, 1024, 2ull << 30,
              "Largest message, all parts together; twice as much cuts the connection.");
  schema.integer("source.frame_jump_max", &c.frame_jump_max, 1, 1ull << 40,
                 "A frame number further than this beyond the last one is taken for damage.");

  schema.section("passthrough",
                 "Every received message again, byte for byte, for the programs that were there before.");
  schema.text("passthrough.address", &c.passthrough_address, "ZeroMQ address; empty: none.");
  schema.choice("passthrough.socket", &c.passthrough_socket, {"push", "pub"},
                "push: one consumer gets each message. pub: each of them gets all.");
  schema.flag("passthrough.bind", &c.passthrough_bind, "Bind, as a detector does, instead of connect.");
  schema.integer("passthrough.queue", &c.passthrough_queue, 1, 1'000'000,
                 "Messages that may wait for a consumer; they share the memory of what was received.");
  schema.choice(
      "passthrough.on_stall", &c.passthrough_on_stall, {"drop", "wait"},
      "When the queue is full. drop: the message does not go there (counted; pub: to nobody). wait: the "
      "detector waits, and so do we.");

  schema.section("series", "When a series is over, and how long late frames are waited for.");
  schema.duration("series.idle_timeout", &c.idle_timeout, 100ms, 24h,
                  "Closed when nothing came for so long.");
  schema.duration("series.end_grace", &c.end_grace, 0s, 1h,
                  "After the end message, wait so long for missing frames.");
  schema.integer("series.reorder_frames", &c.reorder_frames, 0, 64,
                 "A number is lost when so many later ones have come (at most one window).");
  schema.duration("series.reorder_time", &c.reorder_time, 0s, 1h,
                  "... or when the next one has waited so long.");
}

void describe_windows(ConfigSchema& schema, AgentConfig& c) {
  schema.section("window", "The fixed grid of frames that are coded independently of others.");
  schema.integer("window.frames", &c.window_frames, 1, 64,
                 "Frames of a window, W; made smaller to keep the limits below.");
  schema.duration("window.max_time", &c.window_max_time, 1ms, 1h,
                  "Longest time from a window's first to last frame.");
  schema.size("window.max_bytes", &c.window_bytes_max, 1, 4ull << 30,
              "Most raw bytes of a window, all channels.");

  schema.section("group", "Consecutive frames of a window that are coded and sent together.");
  schema.integer("group.frames", &c.group_frames, 0, 64, "Frames of a group; 0: as many as the window.");
  schema.text(
      "group.windowing", &c.group_windowing,
      "static: a window's first group is its only key group. dynamic:FACTOR: a tile's group whose coded "
      "bytes per frame jump above FACTOR times the running mean is coded again as a key group, and the "
      "smaller one is kept.");
  schema.duration("group.max_latency", &c.group_max_latency, 1ms, 1h,
                  "A group is closed when its first frame is so old.");
  schema.integer(
      "group.pixels_max", &c.group_pixels_max, 1, 1ull << 26,
      "Most pixels of one tile in a group; keeps blocks below 900 kB. Where blocks come out small, later "
      "windows have up to four times as many, unless group.frames or pool.frames is set.");

  schema.section("pool", "Raw frames wait here, in shared memory, until they are coded.");
  schema.text("pool.path", &c.pool_path, "Folder on a tmpfs.");
  schema.integer("pool.frames", &c.pool_frames, 0, 1'000'000,
                 "Frames per channel; 0: two windows and the late frames.");
  schema.duration("pool.max_wait", &c.pool_max_wait, 0s, 1h,
                  "When the pool is full, leave frames at the detector for so long before giving one up.");
}

void describe_output(ConfigSchema& schema, AgentConfig& c) {
  schema.section("encode", "Coding.");
  schema.integer("encode.threads", &c.encode_threads, 1, 256, "Worker threads.");
  schema.choice("encode.profile", &c.encode_profile, {"raw", "fast", "small", "max", "auto"},
                "raw: bitshuffle + zstd. fast: predictive. small: smaller, at half the speed. max: slow. "
                "auto: the smallest, "
                "fast where nearly equal.");
  schema.text("encode.bound", &c.encode_bound,
              "How far a stored pixel may lie from the detector's. none: exact. Else lossy, for good: abs:N, "
              "rel:P%,LOW,HIGH, sqrt:F or photon:GAIN,PEDESTAL; see docs/operations/lossy.md.");
  schema.choice("encode.device", &c.encode_device, {"auto", "cpu", "reference"}, "All give the same bytes.");
  schema.integer("encode.tile_rows", &c.tile_rows, 0, 65536,
                 "Rows of a tile; 0: the detector's module, else 512.");
  schema.integer("encode.tile_cols", &c.tile_cols, 0, 65536,
                 "Columns of a tile; 0: as for rows. At most 2^20 pixels.");

  schema.section("spool", "Blocks wait here, on disk, until they are stored at their destinations.");
  schema.text("spool.path", &c.spool_path, "Folder; empty: spool in agent.state.");
  schema.size("spool.max", &c.spool_bytes_max, 16ull << 20, 1ull << 50, "Most disk the spool may take.");
  schema.size("spool.segment", &c.spool_segment_bytes, 1ull << 20, 4ull << 30, "Size of a spool file.");
  schema.duration("spool.fsync", &c.spool_fsync, 0s, 1min,
                  "Longest time that a record is not yet on the disk; 0: none.");
  schema.choice(
      "spool.on_full", &c.spool_on_full, {"block", "spool", "degrade", "veto", "stop"},
      "From 90 % full on, until below 75 %. block: nothing; at 100 % coding waits, then the pool fills, then "
      "frames wait at the detector. spool: goes on in spool.overflow. degrade: codes within "
      "spool.degrade_bound. veto: keeps spool.veto_keep of the frames. stop: runs spool.stop_hook.");
  schema.text("spool.overflow", &c.spool_overflow, "Folder on another disk, for on_full = spool.");
  schema.size("spool.overflow_max", &c.spool_overflow_bytes_max, 1ull << 20, 1ull << 50,
              "Most disk it may take.");
  schema.text("spool.degrade_bound", &c.spool_degrade_bound,
              "For on_full = degrade: a bound as for encode.bound. Lossy, for good.");
  schema.text("spool.veto_keep", &c.spool_veto_keep, "For on_full = veto: 1/10 keeps every tenth frame.");
  schema.text_list(
      "spool.stop_hook", &c.spool_stop_hook,
      "For on_full = stop: program and arguments, run without a shell, e.g. to abort the acquisition.");
  schema.size("spool.quarantine_max", &c.quarantine_bytes_max, 0, 1ull << 50,
              "Most disk for records that collectors refused for good.");

  schema.choice(
      "spool.free_on", &c.spool_free_on, {"stored", "replicated"},
      "stored: a record is freed when every destination has given its receipt. replicated: when the log "
      "has it; needs link.log_replication >= 3 and link.log_retention above spool.sink_outage_max.");
  schema.text_list("spool.destinations", &c.spool_destinations,
                   "Whose receipts are waited for: the sinks' log.group. At most 32.");
  schema.duration("spool.sink_outage_max", &c.sink_outage_max, 1s, 10 * 365 * 24h,
                  "Longest time that a sink may be away; what is promised with free_on = replicated.");

  schema.section("receipt", "What has no receipt is sent again.");
  schema.duration(
      "receipt.timeout", &c.receipt_timeout, 1s, 30 * 24h,
      "Without a receipt for so long, the collector is asked, then the records are sent again; each time "
      "with twice the pause.");
  schema.section("resend", "Records that are sent again.");
  schema.text("resend.share", &c.resend_share,
              "Most of what the link carries, 1 % to 90 %; new records go first.");

  schema.section("link", "The way to the collectors.");
  schema.text_list("link.collectors", &c.collectors, "Addresses, tried in turn.");
  schema.duration("link.heartbeat", &c.link_heartbeat, 10ms, 1min, "Interval of heartbeats.");
  schema.duration("link.collector_timeout", &c.collector_timeout, 100ms, 1h,
                  "Silence after which the next one is tried.");
  schema.integer(
      "link.log_replication", &c.log_replication, 0, 100,
      "What the log is: copies of each record on different brokers; 0: not said. For spool.free_on.");
  schema.duration("link.log_retention", &c.log_retention, 0s, 100 * 365 * 24h,
                  "What the log is: how long it keeps records; 0: not said. For spool.free_on.");

  schema.section("memory", "What the agent may take of the machine, checked before it starts.");
  schema.size("memory.max", &c.memory_max, 1 << 20, 1ull << 50,
              "The agent refuses to start when its bound (see --check) is above it.");

  schema.section("stop", "A graceful stop.");
  schema.duration(
      "stop.drain_timeout", &c.drain_timeout, 0s, 24h,
      "When stopped, wait so long until collectors have everything; the rest is sent at the next start.");
}

}  // namespace

WindowLimits AgentConfig::limits() const {
  WindowLimits limits;
  limits.window_frames = window_frames;
  limits.window_time_max = window_max_time;
  limits.window_bytes_max = window_bytes_max;
  limits.group_frames = group_frames;
  limits.group_pixels_max = group_pixels_max;
  limits.group_growth = group_growth();
  limits.reorder_frames = reorder_frames;
  limits.tile_rows = tile_rows;
  limits.tile_cols = tile_cols;
  return limits;
}

void describe(ConfigSchema& schema, AgentConfig& config) {
  describe_identity(schema, config);
  describe_input(schema, config);
  describe_windows(schema, config);
  describe_output(schema, config);
}

}  // namespace ff::agent
