// SPDX-License-Identifier: Apache-2.0
//
// Writing the spool.
#include "agent/spool/spool_stage.hpp"

#include <thread>

#include "common/base/clock.hpp"

namespace ff::agent {
namespace {

constexpr auto kFullPause = std::chrono::milliseconds(20);
constexpr std::int64_t kHouseInterval = 500'000'000;
constexpr std::int64_t kProgressInterval = 1'000'000'000;
constexpr auto kJournalPatience = std::chrono::milliseconds(500);

Uuid uid_of(const std::string& wire) { return *Uuid::from_bytes(as_bytes(wire)); }

}  // namespace

Status SpoolStage::run(SpoolQueue& in, const std::atomic<bool>& give_up) {
  while (!in.finished()) {
    auto record = in.pop_for(std::chrono::milliseconds(50));
    metrics_.queue_spool.set(static_cast<double>(in.size()));
    if (record) FF_TRY(write(std::move(*record), give_up));
    FF_TRY(log_->sync_if_due());
    FF_TRY(note_progress(false));
    FF_TRY(keep_house());
  }
  FF_TRY(log_->sync());
  return note_progress(true);
}

Status SpoolStage::write(OutgoingRecord record, const std::atomic<bool>& give_up) {
  record.header.set_sequence(++next_sequence_[record.header.stream()]);
  complete_header(record);
  if (record.buffer.empty()) record.buffer.resize(wire::kBlockHeadroomBytes);
  if (record.header.has_series_start()) FF_TRY(wait_for_journal(uid_of(record.header.series_uid()), give_up));
  // Window and series records may have larger headers than the room in front of a block.
  auto envelope =
      record.header.has_block()
          ? wire::seal_envelope_in_place(record.header, std::move(record.buffer), record.payload_bytes)
          : wire::seal_envelope(
                record.header,
                ByteSpan(record.buffer).subspan(wire::kBlockHeadroomBytes, record.payload_bytes));
  if (!envelope.ok()) return std::move(envelope).error();
  FF_ASSIGN(const auto offset, append(*envelope, give_up));
  if (offset) note_spooled(record.header, record.stream_index, *offset);
  return {};
}

/// A uid that the disk doesn't know must not leave this host.
Status SpoolStage::wait_for_journal(const Uuid& series, const std::atomic<bool>& give_up) {
  while (true) {
    const Status durable = journal_.wait_durable(series, kJournalPatience);
    if (durable.ok() || give_up.load(std::memory_order_relaxed)) return {};
    metrics_.report(Fault::spool_blocked, "the journal can't be stored; the series waits",
                    {{"why", durable.error().message}});
  }
}

void SpoolStage::note_spooled(const wire::EnvelopeHeader& header, std::size_t stream_index,
                              std::uint64_t offset) {
  const StreamKey key{header.series_uid(), header.stream()};
  if (header.has_block()) {
    std::uint64_t& first = windows_[{key, header.block().window()}].first_offset;
    first = std::min(first, offset);
  } else if (header.has_window()) {
    windows_.erase({key, header.window().window()});
    StreamWindows& stream = streams_[key];
    stream.stream_index = stream_index;
    stream.changed = true;
    if (header.window().window() >= stream.recorded) stream.beyond.insert(header.window().window());
    while (stream.beyond.erase(stream.recorded) != 0) ++stream.recorded;
  } else if (header.has_series_start()) {
    streams_[key].stream_index = stream_index;
    streams_[key].changed = true;  // from here on, or a restart would look through the whole backlog
    progress_ns_ = 0;
  } else if (header.has_series_end()) {
    streams_.erase(key);
    journal_.end_stream(uid_of(header.series_uid()), stream_index);
  }
}

void SpoolStage::take_over(const Uuid& series, std::uint32_t first_stream, const SpooledSeries& spooled) {
  for (std::size_t index = 0; index < spooled.streams.size(); ++index) {
    const StreamKey key{series.to_wire(), first_stream + static_cast<std::uint32_t>(index)};
    streams_[key] = {spooled.streams[index].first_window, {}, index, true};
    for (const auto& [window, found] : spooled.streams[index].windows)
      windows_[{key, window}].first_offset = found.first_offset;
  }
}

/// Lowest offset of a block whose window isn't recorded: of one stream, or of all.
std::uint64_t SpoolStage::open_since(const StreamKey* stream) const {
  std::uint64_t since = UINT64_MAX;
  auto window = stream != nullptr ? windows_.lower_bound({*stream, 0}) : windows_.begin();
  for (; window != windows_.end() && (stream == nullptr || window->first.first == *stream); ++window)
    since = std::min(since, window->second.first_offset);
  return since;
}

/// Only what is on the disk is noted: after a power cut the journal must not vouch for records that went with it.
Status SpoolStage::note_progress(bool now) {
  const std::int64_t time = monotonic_now_ns();
  if (!now && time - progress_ns_ < kProgressInterval) return {};
  progress_ns_ = time;
  bool synced = false;
  for (auto& [key, stream] : streams_) {
    if (!std::exchange(stream.changed, false)) continue;
    if (!std::exchange(synced, true)) FF_TRY(log_->sync());
    const std::uint64_t offset = std::min(open_since(&key), log_->stats().next_offset);
    journal_.note_progress(uid_of(key.first), stream.stream_index, {stream.recorded, offset});
  }
  return {};
}

/// A window's record sums up its blocks, which all came before it.
void SpoolStage::complete_header(OutgoingRecord& record) {
  auto& header = record.header;
  if (header.has_block()) {
    WindowTotals& totals = windows_[{{header.series_uid(), header.stream()}, header.block().window()}];
    totals.digests.insert(totals.digests.end(), record.payload_sha256.begin(), record.payload_sha256.end());
    totals.coded_bytes += record.payload_bytes;
  } else if (header.has_window()) {
    const auto found = windows_.find({{header.series_uid(), header.stream()}, header.window().window()});
    if (found == windows_.end() || found->second.digests.empty()) return;
    const wire::Sha256 digest = wire::sha256(std::as_bytes(std::span(found->second.digests)));
    header.mutable_window()->set_payload_sha256(digest.data(), digest.size());
    header.mutable_window()->set_coded_bytes(found->second.coded_bytes);
  }
}

Result<std::optional<std::uint64_t>> SpoolStage::append(const Payload& envelope,
                                                        const std::atomic<bool>& give_up) {
  bool told = false;
  while (true) {
    const auto offset = log_->append("", envelope.bytes());
    if (offset.ok()) {
      metrics_.records_spooled.add();
      pressure_.note_room();
      return std::optional(*offset);
    }
    if (offset.error().code != Errc::disk_full) return offset.error();
    if (!told)
      metrics_.report(Fault::spool_blocked, "spool is full; encoding waits until records can be freed",
                      {{"spool_bytes", log_->stats().bytes},
                       {"why", offset.error().message},
                       {"waiting", waits_.text()}});
    told = true;
    pressure_.note_full(waits_.text());
    if (give_up.load(std::memory_order_relaxed)) {
      ++records_lost_;
      return std::optional<std::uint64_t>{};
    }
    std::this_thread::sleep_for(kFullPause);
    house_kept_ns_ = 0;
    FF_TRY(keep_house());
  }
}

/// Frees what the send stage's cursors leave behind; but blocks of an open window stay, whoever has them: the run after a
/// crash must find and count them.
Status SpoolStage::keep_house() {
  const std::int64_t now = monotonic_now_ns();
  if (now - house_kept_ns_ < kHouseInterval) return {};
  house_kept_ns_ = now;
  if (const auto cursor = log_->lowest_cursor())
    FF_TRY(log_->free_below(std::min(*cursor, open_since(nullptr))));
  const transport::SegmentLogStats held = log_->stats();
  metrics_.spool_bytes.set(static_cast<double>(held.bytes));
  metrics_.spool_overflow_bytes.set(static_cast<double>(held.overflow_bytes));
  pressure_.note_level(held.bytes, held.bytes_max, waits_.text());
  return {};
}

}  // namespace ff::agent
