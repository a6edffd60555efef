// SPDX-License-Identifier: Apache-2.0
//
// Series leaves: the catalogue's windows with the gaps between them filled.
#include "hpc_sink/seal/series_leaves.hpp"

#include <algorithm>

namespace ff::sink {
namespace {

namespace pb = foreframe::wire;
using Visit = std::function<Status(const StreamLedger&, const WindowFates&)>;

// The window's frames as the ledger settled them; those beyond the series' end as they were reported.
WindowFates settled(const StreamLedger& stream, WindowFates window) {
  const std::uint64_t first = window.window * stream.window_frames;
  const std::uint64_t expected = first < stream.expected ? stream.expected - first : 0;
  const std::size_t frames =
      std::max<std::size_t>(window.fates.size(), std::min<std::uint64_t>(expected, stream.window_frames));
  window.fates.resize(frames);
  for (std::size_t i = 0; i < frames && i < expected; ++i) window.fates[i] = stream.fates[first + i];
  return window;
}

Status visit_stream(const Catalogue& catalogue, const Uuid& series, const StreamLedger& stream,
                    const Visit& visit) {
  if (stream.window_frames == 0) return fail(Errc::malformed, "a stream without W in the catalogue");
  const std::uint64_t windows = (stream.expected + stream.window_frames - 1) / stream.window_frames;
  std::uint64_t next = 0;
  const auto silent_up_to = [&](std::uint64_t end) -> Status {
    for (; next < std::min(end, windows); ++next)
      FF_TRY(visit(stream, settled(stream, {.window = next, .fates = {}})));
    return {};
  };
  const Status visited =
      catalogue.for_each_window({series, stream.stream}, [&](const WindowFates& window) -> Status {
        FF_TRY(silent_up_to(window.window));
        next = window.window + 1;
        return visit(stream, settled(stream, window));
      });
  return visited.ok() ? silent_up_to(windows) : visited;
}

}  // namespace

Status for_each_leaf(const Catalogue& catalogue, const SeriesLedger& ledger, const Visit& visit) {
  for (const StreamLedger& stream : ledger.streams)
    FF_TRY(visit_stream(catalogue, ledger.series.uid, stream, visit));
  return {};
}

void count_window(const WindowFates& window, pb::SealBody::StreamCounts& counts) {
  const std::uint64_t first = window.window * counts.window_frames();
  for (std::size_t i = 0; i < window.fates.size() && first + i < counts.expected(); ++i) {
    const FrameFate fate = window.fates[i];
    switch (fate.state) {
      case pb::STORED_EXACT: counts.set_stored_exact(counts.stored_exact() + 1); break;
      case pb::STORED_BOUNDED: counts.set_stored_bounded(counts.stored_bounded() + 1); break;
      case pb::SUMMARISED: counts.set_summarised(counts.summarised() + 1); break;
      case pb::VETOED: counts.set_vetoed(counts.vetoed() + 1); break;
      case pb::DAMAGED: counts.set_damaged(counts.damaged() + 1); break;
      case pb::LOST: counts.set_lost(counts.lost() + 1); break;
      case pb::NOT_ACQUIRED: counts.set_not_acquired(counts.not_acquired() + 1); break;
      default: break;
    }
    if (!window.reported && fate == make_fate(pb::LOST, pb::STAGE_LOG)) counts.set_open(counts.open() + 1);
  }
}

}  // namespace ff::sink
