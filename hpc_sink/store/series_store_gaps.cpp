// SPDX-License-Identifier: Apache-2.0
//
// SeriesStore, retention: windows whose records the log freed before this sink had read them.
//
// A gap says which partition lost records, not which records. A window that misses something, or of which nothing
// came, is taken to have been in the gap when its partition has one that was noticed after its series began.
#include <algorithm>

#include "common/base/clock.hpp"
#include "common/service/logging.hpp"
#include "hpc_sink/store/ledger.hpp"
#include "hpc_sink/store/series_store.hpp"

namespace ff::sink {
namespace {

namespace pb = foreframe::wire;

constexpr std::size_t kRowsPerTransaction = 4096;

// A version-7 UUID begins with its UTC milliseconds.
std::int64_t began_utc_ns(const Uuid& series) noexcept {
  std::int64_t milliseconds = 0;
  for (int i = 0; i < 6; ++i) milliseconds = milliseconds << 8 | series.bytes[static_cast<std::size_t>(i)];
  return milliseconds * 1'000'000;
}

}  // namespace

Status SeriesStore::add(const LostRecords& lost) {
  LogGapRow row{.topic = std::string(transport::topic_word(lost.gap.topic)),
                .partition = lost.gap.partition,
                .first_offset = lost.gap.first_offset,
                .next_offset = lost.gap.next_offset,
                .noticed_utc_ns = utc_now_ns()};
  FF_TRY(catalogue_->add_log_gap(row));
  if (options_.open_ledger) {
    FF_ASSIGN(LedgerNote note, gap_note({options_.sink, options_.destination}, row));
    FF_TRY(catalogue_->add_notes({std::move(note)}));
    publisher_->look_again();
  }
  if (lost.gap.topic == transport::Topic::blocks) gaps_.push_back(std::move(row));
  shared_.offsets.done(lost.ticket);
  return {};
}

bool SeriesStore::overtaken(const Uuid& series, std::optional<std::int32_t> partition) const {
  return std::ranges::any_of(gaps_, [&](const LogGapRow& gap) {
    return (!partition || gap.partition == *partition) && gap.noticed_utc_ns >= began_utc_ns(series);
  });
}

// What the shard took for lost on the way was freed by the log.
void SeriesStore::blame_retention(FinishedWindow& window) const {
  if (window.complete || !overtaken(window.key.stream.series, window.partition)) return;
  for (FrameFate& fate : window.fates)
    if (fate == make_fate(pb::LOST, pb::STAGE_LOG)) fate = make_fate(pb::LOST, pb::STAGE_RETENTION);
}

bool SeriesStore::window_overtaken(const Uuid& series, const OpenStream& stream, std::uint64_t window) const {
  if (stream.partition_count == 0) return overtaken(series, std::nullopt);
  return overtaken(series,
                   static_cast<std::int32_t>((stream.partition_base + window) % stream.partition_count));
}

/// Gives fates to the windows of which nothing came, where a gap explains it. The others have no record; the
/// ledger counts their frames as lost in the log.
Status SeriesStore::settle_overtaken(const StreamKey& key, const OpenStream& stream) {
  if (!stream.ended || !overtaken(key.series, std::nullopt) || stream.window_frames == 0 ||
      stream.frames_expected > kLedgerFramesMax)
    return {};
  std::vector<WindowFates> lost;
  const std::uint64_t end = (stream.frames_expected + stream.window_frames - 1) / stream.window_frames;
  for (const auto& [first, past] : reported_.gaps(key, std::min(end, stream.windows_expected), SIZE_MAX)) {
    for (std::uint64_t window = first; window < past; ++window) {
      if (!window_overtaken(key.series, stream, window)) continue;
      const std::uint64_t frames = std::min<std::uint64_t>(
          stream.window_frames, stream.frames_expected - window * stream.window_frames);
      lost.push_back(
          {window, false, std::vector<FrameFate>(frames, make_fate(pb::LOST, pb::STAGE_RETENTION))});
      if (lost.size() < kRowsPerTransaction) continue;
      FF_TRY(add_and_tell(subject_of(key), lost, nullptr));
      lost.clear();
    }
  }
  return lost.empty() ? Status{} : add_and_tell(subject_of(key), lost, nullptr);
}

}  // namespace ff::sink
