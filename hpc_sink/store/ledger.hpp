// SPDX-License-Identifier: Apache-2.0
//
// Ledger: what became of every frame number of a series, counted per stream and checked to close.
//
//     expected = stored_exact + stored_bounded + summarised + vetoed + damaged + lost + not_acquired
//
// Data path  catalogue > [ledger] > master file, `foreframe ledger show`
// Format     docs/formats/ledger.md
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.hpp"
#include "hpc_sink/store/catalogue.hpp"

namespace ff::sink {

inline constexpr std::uint64_t kLedgerFramesMax = 200'000'000;

struct FrameRange {
  std::uint64_t first = 0, last = 0;  ///< both included
  friend bool operator==(const FrameRange&, const FrameRange&) = default;
};

struct StreamLedger {
  std::uint32_t stream = 0;
  std::string channel;
  std::uint32_t window_frames = 0;  ///< W
  bool end_known = false;
  std::uint64_t expected = 0;     ///< of the series end; without one, last frame known + 1
  std::vector<FrameFate> fates;   ///< one per expected frame
  std::vector<std::string> open;  ///< why it does not close; empty: it closes

  [[nodiscard]] bool closes() const noexcept { return open.empty(); }
  [[nodiscard]] std::uint64_t count(FrameState state) const noexcept;
  /// Frames per fate, as ascending ranges.
  [[nodiscard]] std::map<std::pair<std::uint8_t, std::uint8_t>, std::vector<FrameRange>> ranges() const;
};

struct SeriesLedger {
  SeriesRow series;
  std::vector<StreamLedger> streams;
  [[nodiscard]] bool closes() const noexcept;
};

/// From the catalogue. In a closed series, frames that no record accounts for are lost in the log; in an open
/// one they are open. Errors: those of the catalogue, out_of_range (more than kLedgerFramesMax frames).
[[nodiscard]] Result<SeriesLedger> build_ledger(const Catalogue& catalogue, const SeriesRow& series);

/// The JSON of docs/formats/ledger.md.
[[nodiscard]] std::string ledger_json(const SeriesLedger& ledger, int indent);
/// For people: a few lines per stream.
[[nodiscard]] std::string ledger_text(const SeriesLedger& ledger);

}  // namespace ff::sink
