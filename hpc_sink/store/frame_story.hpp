// SPDX-License-Identifier: Apache-2.0
//
// Frame story: all that a store knows about one frame number, for `foreframe why`.
//
// Data path  catalogue, data file > [story] > people
// Reads one window's row, the series' file list and one row of a data file; works while the sink runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/wire/ledger.pb.h"
#include "hpc_sink/store/catalogue.hpp"

namespace ff::sink {

/// One stream's part of the frame.
struct StreamStory {
  std::uint32_t stream = 0;
  std::string channel;
  std::uint64_t window = 0;
  std::uint32_t position = 0;  ///< in the window
  std::uint32_t tiles = 0;     ///< of the frame
  FrameFate fate;
  bool reported = false;  ///< the window's record came
  bool complete = false;
  foreframe::wire::WindowFacts facts;                       ///< empty where nothing is known
  std::vector<foreframe::wire::WindowFacts::Group> groups;  ///< that hold this frame, one per epoch
  std::optional<std::uint32_t> pixel_crc;
  std::string file;       ///< relative to the store; "": in none
  std::uint64_t row = 0;  ///< of that file
  FrameTimes times;
  std::vector<LogGapRow>
      log_gaps;             ///< of a frame that is not stored: what the log freed of its window's partition
  std::string explanation;  ///< where it is, or where and why it ended
};

struct FrameStory {
  SeriesRow series;
  std::uint64_t frame = 0;
  std::vector<StreamStory> streams;
  std::optional<foreframe::wire::SealBody> seal;  ///< the latest that covers it
};

/// Errors: not_found (the series does not have this frame number), those of the catalogue.
[[nodiscard]] Result<FrameStory> tell_frame(const std::filesystem::path& store, const Catalogue& catalogue,
                                            const SeriesRow& series, std::uint64_t frame);

/// docs/formats/ledger.md, "Why".
[[nodiscard]] std::string story_json(const FrameStory& story, int indent);
[[nodiscard]] std::string story_text(const FrameStory& story);

}  // namespace ff::sink
