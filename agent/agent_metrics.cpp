// SPDX-License-Identifier: Apache-2.0
//
// The agent's metrics.
#include "agent/agent_metrics.hpp"

#include <string>

namespace ff::agent {
namespace {

const std::vector<double> kStageSeconds{1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1};

}  // namespace

std::string_view fault_word(Fault fault) noexcept {
  switch (fault) {
    case Fault::start_missing: return "start_missing";
    case Fault::start_repeated: return "start_repeated";
    case Fault::start_late: return "start_late";
    case Fault::start_unusable: return "start_unusable";
    case Fault::end_missing: return "end_missing";
    case Fault::series_idle: return "series_idle";
    case Fault::series_resumed: return "series_resumed";
    case Fault::stray_image: return "stray_image";
    case Fault::stray_end: return "stray_end";
    case Fault::message_unreadable: return "message_unreadable";
    case Fault::message_too_large: return "message_too_large";
    case Fault::frame_unreadable: return "frame_unreadable";
    case Fault::frame_wrong_shape: return "frame_wrong_shape";
    case Fault::channel_missing: return "channel_missing";
    case Fault::frame_out_of_range: return "frame_out_of_range";
    case Fault::frame_duplicated: return "frame_duplicated";
    case Fault::frame_late: return "frame_late";
    case Fault::frame_missing: return "frame_missing";
    case Fault::pool_full: return "pool_full";
    case Fault::encode_failed: return "encode_failed";
    case Fault::bound_impossible: return "bound_impossible";
    case Fault::record_refused: return "record_refused";
    case Fault::spool_blocked: return "spool_blocked";
    case Fault::passthrough_dropped: return "passthrough_dropped";
    case Fault::observe_skipped: return "observe_skipped";
    case Fault::count_: break;
  }
  return "unknown";
}

AgentMetrics::AgentMetrics(service::Metrics& m)
    : messages(m.counter("messages_received_total", "Messages from the detector.")),
      received_bytes(m.counter("received_bytes_total", "Bytes of the detector's messages.")),
      frames_received(m.counter("frames_received_total", "Frames unpacked into the pool, all streams.")),
      frames_raw_bytes(m.counter("frames_raw_bytes_total", "Uncompressed bytes of these frames.")),
      frames_coded(m.counter("frames_coded_total", "Frames whose tiles are all coded.")),
      blocks(m.counter("blocks_total", "Blocks coded.")),
      coded_bytes(m.counter("coded_bytes_total", "Bytes of the blocks.")),
      passthrough_messages(m.counter("passthrough_messages_total", "Messages passed through.")),
      passthrough_bytes(m.counter("passthrough_bytes_total", "Bytes of these.")),
      frames_vetoed(m.counter("frames_vetoed_total", "Frames left out because the spool was nearly full.")),
      frames_degraded(
          m.counter("frames_degraded_total", "Frames coded within spool.degrade_bound for the same reason.")),
      pressure_episodes(m.counter("back_pressure_total", "Times that the spool became nearly full.")),
      stop_hooks(m.counter("stop_hook_runs_total", "Times that spool.stop_hook was run.")),
      abilities(m.counter("sink_abilities_total", "Announcements of what sinks can decode.")),
      records_resent(
          m.counter("records_resent_total", "Records that the log had, sent again for a receipt.")),
      groups_resent(
          m.counter("windows_resent_total", "Windows, starts and ends whose records were sent again.")),
      receipts(m.counter("receipts_total", "Windows, starts and ends with all their receipts.")),
      replays_requested(m.counter("replays_requested_total", "Windows, starts and ends asked for again.")),
      quarantine_overflow(
          m.counter("quarantine_overflow_total", "Rejected records that the quarantine had no room for.")),
      frames_recovered(
          m.counter("frames_recovered_total", "Frames found in the pool of a killed run and taken.")),
      frames_forsaken(
          m.counter("frames_forsaken_total", "Frames found there that belong to no open series.")),
      spool_damage(
          m.counter("spool_damage_total", "Damaged or missing places of the spool that were passed.")),
      windows(m.counter("windows_total", "Windows closed.")),
      series_started(m.counter("series_started_total", "Series begun.")),
      series_ended(m.counter("series_ended_total", "Series ended, for whatever reason.")),
      records_spooled(m.counter("records_spooled_total", "Records written to the spool.")),
      records_sent(m.counter("records_sent_total", "Records sent, re-sent ones included.")),
      records_acknowledged(m.counter("records_acknowledged_total", "Records that the log has.")),
      pressure_active(m.gauge("back_pressure_active", "1 while the action of spool.on_full is on.")),
      spool_overflow_bytes(m.gauge("spool_overflow_bytes", "Of these, in spool.overflow.")),
      receipts_waiting(
          m.gauge("receipts_waiting", "Windows, starts and ends in the spool without all receipts.")),
      windows_held(
          m.gauge("windows_held", "Windows in the spool that wait for a sink that can decode them.")),
      pool_slots(m.gauge("pool_slots", "Slots of the frame pool.")),
      pool_slots_used(m.gauge("pool_slots_used", "Slots that hold a frame.")),
      queue_ingest(m.gauge("queue_depth", "Entries waiting.", {{"queue", "window"}})),
      queue_spool(m.gauge("queue_depth", "Entries waiting.", {{"queue", "spool"}})),
      spool_bytes(m.gauge("spool_bytes", "Bytes of the spool on disk.")),
      spool_records(m.gauge("spool_records", "Records not yet acknowledged.")),
      link_connected(m.gauge("link_connected", "1 while a collector answers.")),
      unpack_seconds(m.histogram("unpack_duration_seconds", "Unpacking one frame.", kStageSeconds)),
      encode_seconds(
          m.histogram("encode_duration_seconds", "Planning and coding one block.", kStageSeconds)) {
  for (std::size_t fault = 0; fault < kFaults; ++fault)
    faults_.push_back(m.counter("faults_total", "What was wrong with the input or on the way, by kind.",
                                {{"fault", std::string(fault_word(static_cast<Fault>(fault)))}}));
}

void AgentMetrics::report(Fault fault, std::string_view what, service::LogValues values,
                          std::uint64_t times) {
  const auto index = static_cast<std::size_t>(fault);
  faults_[index].add(static_cast<double>(times));
  std::uint64_t held_back = 0;
  {
    std::lock_guard lock(limiters_mutex_);
    if (!limiters_[index].allow(held_back)) return;
  }
  service::log_warning(what, values);
  if (held_back > 0)
    service::log_warning("similar lines held back", {{"fault", fault_word(fault)}, {"lines", held_back}});
}

std::uint64_t AgentMetrics::count(Fault fault) const {
  return static_cast<std::uint64_t>(faults_[static_cast<std::size_t>(fault)].value());
}

}  // namespace ff::agent
