// SPDX-License-Identifier: Apache-2.0
//
// RecoveredSeries: what a run of the agent that was killed left behind of a series that is not over.
//
// Three witnesses are put together: the journal says which series were open, the spool which of their blocks and
// window records are safe (spool/spool_scan.hpp), the frame pool which frames had been taken (pool_keeper.hpp).
#pragma once

#include <memory>
#include <set>
#include <vector>

#include "agent/ingest/held_frame.hpp"
#include "agent/ingest/series_info.hpp"
#include "agent/window/agent_journal.hpp"

namespace ff::agent {

struct RecoveredStream {
  bool start_spooled = false;
  std::uint64_t first_window = 0;                               ///< windows below are recorded
  std::map<std::uint64_t, std::vector<EarlierBlocks>> earlier;  ///< blocks of windows that are not
  std::vector<std::uint64_t>
      frames_spooled;  ///< of those windows: in such blocks with all their tiles; ascending
  std::set<std::uint64_t>
      frames_lost;  ///< of those windows: their blocks are damaged, and no pool holds their pixels
};

struct RecoveredSeries {
  JournalledSeries series;
  std::vector<RecoveredStream> streams;
  std::vector<std::shared_ptr<HeldFrame>>
      frames;  ///< in the pool and not in the spool; by frame, then stream
};

}  // namespace ff::agent
