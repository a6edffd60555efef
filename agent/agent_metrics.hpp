// SPDX-License-Identifier: Apache-2.0
//
// AgentMetrics: the agent's counters and gauges, and one named fault for every way in which input can be
// wrong.
//
// A fault is counted always and logged through a limiter: the first line of a burst, then one a second.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "common/service/logging.hpp"
#include "common/service/metrics.hpp"

namespace ff::agent {

enum class Fault : std::uint8_t {
  start_missing,        ///< images came without a start message: geometry is from the first image
  start_repeated,       ///< the same start again: ignored
  start_late,           ///< start after the first image: taken into the series record
  start_unusable,       ///< start with a geometry that can't be carried; its images are refused
  end_missing,          ///< a new series began before the end of the one before
  series_idle,          ///< nothing came for series.idle_timeout: closed
  series_resumed,       ///< the run before this one left the series open: continued under the same uid
  stray_image,          ///< image of a series that is over
  stray_end,            ///< end of a series that is not open
  message_unreadable,   ///< message that tells no frame number
  message_too_large,    ///< above source.message_max
  frame_unreadable,     ///< number known, pixels not: damaged(ingest)
  frame_wrong_shape,    ///< other size or type than its series: damaged(ingest)
  channel_missing,      ///< an image without one of its series' channels: damaged(ingest)
  frame_out_of_range,   ///< number beyond the announced images or source.frame_jump_max: ignored
  frame_duplicated,     ///< number that was there already: ignored
  frame_late,           ///< number whose group is closed: lost(ingest)
  frame_missing,        ///< number that never came although later ones did: lost(receive)
  pool_full,            ///< no slot within pool.max_wait: lost(ingest)
  encode_failed,        ///< block that could not be coded: lost(encode)
  bound_impossible,     ///< the detector's pixels can't have encode.bound: the stream is coded exactly
  record_refused,       ///< the collector will never take it: quarantined
  spool_blocked,        ///< spool full: encoding waits
  passthrough_dropped,  ///< message that the pass-through's consumer did not get
  observe_skipped,      ///< message that an observing agent let pass by, not to hold up anybody
  count_,
};

[[nodiscard]] std::string_view fault_word(Fault fault) noexcept;

class AgentMetrics {
 public:
  explicit AgentMetrics(service::Metrics& metrics);

  /// Counts, and logs unless held back. Thread-safe.
  void report(Fault fault, std::string_view what, service::LogValues values = {}, std::uint64_t times = 1);
  [[nodiscard]] std::uint64_t count(Fault fault) const;

  service::Counter messages, received_bytes, frames_received, frames_raw_bytes, frames_coded, blocks,
      coded_bytes;
  service::Counter passthrough_messages, passthrough_bytes;
  service::Counter frames_vetoed, frames_degraded, pressure_episodes, stop_hooks;
  service::Counter abilities, records_resent, groups_resent, receipts, replays_requested, quarantine_overflow;
  service::Counter frames_recovered, frames_forsaken, spool_damage;
  service::Counter windows, series_started, series_ended, records_spooled, records_sent, records_acknowledged;
  service::Gauge pressure_active, spool_overflow_bytes, receipts_waiting, windows_held, pool_slots,
      pool_slots_used, queue_ingest, queue_spool, spool_bytes, spool_records, link_connected;
  service::Histogram unpack_seconds, encode_seconds;

 private:
  static constexpr auto kFaults = static_cast<std::size_t>(Fault::count_);
  std::vector<service::Counter> faults_;
  std::mutex limiters_mutex_;
  std::array<service::LogLimiter, kFaults> limiters_;
};

}  // namespace ff::agent
