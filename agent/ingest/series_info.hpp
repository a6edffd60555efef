// SPDX-License-Identifier: Apache-2.0
//
// SeriesInfo: all that is fixed when a series begins, and the items that ingest hands to the window stage.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/ingest/frame_source.hpp"
#include "agent/window/window_builder.hpp"
#include "agent/window/window_plan.hpp"
#include "common/base/uuid.hpp"

namespace ff::agent {

/// Blocks of a window that an earlier run of the agent left in its spool.
struct EarlierBlocks {
  std::uint64_t epoch = 0;
  std::vector<std::uint32_t> groups_per_tile;
};

struct StreamInfo {
  std::uint32_t stream = 0;  ///< index in the detector
  std::string channel;
  FrameShape shape;
  std::vector<std::int64_t> sentinels;
  std::vector<std::uint32_t> pixel_mask;  ///< rows x cols or empty; 0 = good
  std::vector<float> flatfield;           ///< rows x cols or empty
  std::optional<double> threshold_energy_ev;
  bool start_spooled = false;      ///< by an earlier run
  std::uint64_t first_window = 0;  ///< above 0: an earlier run of the agent has recorded those before
  std::map<std::uint64_t, std::vector<EarlierBlocks>> earlier;  ///< by window
};

struct SeriesInfo {
  Uuid uid;
  SeriesKey key;
  WindowPlan plan;
  std::vector<StreamInfo> streams;
  std::optional<std::uint64_t> images_expected;
  bool start_missing = false;
  std::int64_t started_utc_ns = 0;
  bool resumed = false;  ///< continued from an earlier run of the agent
  foreframe::wire::SeriesStart said;
};

struct SeriesOpened {
  std::shared_ptr<const SeriesInfo> series;
};
/// The start message came after the first image: what it says goes into a second series record.
struct SeriesAmended {
  std::shared_ptr<const SeriesInfo> series;
};
struct FrameTaken {
  std::size_t stream_index = 0;  ///< in SeriesInfo::streams
  FrameNote note;
};
struct SeriesClosed {
  foreframe::wire::SeriesEnd::Reason reason = foreframe::wire::SeriesEnd::REASON_UNSPECIFIED;
  std::uint64_t frames_received = 0, frames_duplicated = 0, messages_stray = 0, messages_unreadable = 0;
  std::optional<std::uint64_t> images_expected;
};

using IngestItem = std::variant<SeriesOpened, SeriesAmended, FrameTaken, SeriesClosed>;

}  // namespace ff::agent
