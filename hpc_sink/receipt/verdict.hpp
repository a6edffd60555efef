// SPDX-License-Identifier: Apache-2.0
//
// Verdict: records that need nothing more from this sink, what is to be said about them, and the tickets that
// are given back once it is said.
//
// Data path  store > [Verdict] > receipts topic > commit
// Not here   who says it (receipt_stage.hpp), and asking for what is missing (replay_planner.hpp).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/wire/receipts.pb.h"
#include "hpc_sink/consume/record_ticket.hpp"
#include "hpc_sink/decode/finished_window.hpp"

namespace ff::sink {

using Outcome = foreframe::wire::Receipt::Outcome;

/// Which record of a stream a verdict is about. `none`: no receipt, for records that name no stream.
enum class RecordPart { none, window, series_start, series_end };

struct Verdict {
  StreamKey stream;
  std::string detector;
  RecordPart part = RecordPart::none;
  std::uint64_t window = 0;
  Outcome outcome = foreframe::wire::Receipt::OUTCOME_UNSPECIFIED;
  std::string reason{};               ///< for all but STORED: "crc_mismatch: ..."
  std::vector<DeadLetter> letters{};  ///< that the log must have before the receipt is written
  RecordTickets tickets{};
};

/// Windows of one stream that are asked for again.
struct ReplayAsk {
  StreamKey stream;
  std::string detector;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> windows;  ///< first, one past the last; ascending
  bool series_start = false, series_end = false;
  std::string reason;
};

}  // namespace ff::sink
