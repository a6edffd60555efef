// SPDX-License-Identifier: Apache-2.0
//
// Streams and windows as records.
#include "agent/encode/encode_work.hpp"

#include <cstring>
#include <zstd.h>

#include "common/base/check.hpp"
#include "common/base/clock.hpp"
#include "common/base/frame_pool.hpp"
#include "common/service/logging.hpp"

namespace ff::agent {
namespace {

using foreframe::wire::Attachment;

/// Appends `raw`, compressed, to the payload and describes it.
void attach(const char* name, const FrameShape& shape, ByteSpan raw, OutgoingRecord& record) {
  if (raw.empty()) return;
  auto& start = *record.header.mutable_series_start();
  const std::size_t at = record.buffer.size();
  record.buffer.resize(at + ZSTD_compressBound(raw.size()));
  const std::size_t bytes =
      ZSTD_compress(record.buffer.data() + at, record.buffer.size() - at, raw.data(), raw.size(), 3);
  FF_CHECK(ZSTD_isError(bytes) == 0);  // the room is compressBound
  record.buffer.resize(at + bytes);
  Attachment& attachment = *start.add_attachments();
  attachment.set_name(name);
  attachment.set_rows(shape.rows);
  attachment.set_cols(shape.cols);
  attachment.set_dtype(static_cast<std::uint32_t>(shape.dtype));
  attachment.set_offset(at - wire::kBlockHeadroomBytes);
  attachment.set_bytes(bytes);
  attachment.set_raw_bytes(raw.size());
}

/// First 8 bytes of the SHA-256 of the mask as the detector sent it (u32, little-endian).
std::string hash_mask(const std::vector<std::uint32_t>& mask) {
  if (mask.empty()) return {};
  const wire::Sha256 digest = wire::sha256(std::as_bytes(std::span(mask)));
  return {reinterpret_cast<const char*>(digest.data()), 8};
}

std::vector<std::uint8_t> mask_of_tile(const StreamInfo& info, const TileRect& rect) {
  if (info.pixel_mask.empty()) return {};
  std::vector<std::uint8_t> mask(std::size_t{rect.rows} * rect.cols);
  for (std::uint32_t row = 0; row < rect.rows; ++row)
    for (std::uint32_t col = 0; col < rect.cols; ++col)
      mask[std::size_t{row} * rect.cols + col] =
          info.pixel_mask[std::size_t{rect.row + row} * info.shape.cols + rect.col + col] != 0 ? 1 : 0;
  return mask;
}

/// First value as it is, then differences; a frame without a time repeats the one before.
void note_clock(foreframe::wire::HostClock& clock) {
  using foreframe::wire::HostClock;
  const ClockQuality quality = clock_quality();
  clock.set_source(!quality.known        ? HostClock::SOURCE_UNKNOWN
                   : quality.disciplined ? HostClock::DISCIPLINED
                                         : HostClock::FREE_RUNNING);
  clock.set_offset_ns(quality.offset_ns);
  clock.set_uncertainty_ns(quality.uncertainty_ns);
}

template <typename Get, typename Add>
void add_times(const std::vector<FrameNote>& frames, Get&& get, Add&& add) {
  std::int64_t first = kNoTime;
  for (const FrameNote& note : frames)
    if (first == kNoTime) first = get(note);
  if (first == kNoTime) return;  // no frame has one: none are given
  std::int64_t before = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    std::int64_t time = get(frames[i]);
    if (time == kNoTime) time = i == 0 ? first : before;
    // Wraps by intent: the sum of the differences wraps back.
    add(static_cast<std::int64_t>(static_cast<std::uint64_t>(time) - static_cast<std::uint64_t>(before)));
    before = time;
  }
}

}  // namespace

Result<std::shared_ptr<StreamWork>> StreamWork::create(std::shared_ptr<const SeriesInfo> series,
                                                       std::size_t stream_index,
                                                       const StreamIdentity& identity, Windowing windowing) {
  std::shared_ptr<StreamWork> work(new StreamWork);
  work->series_ = std::move(series);
  work->index_ = stream_index;
  const StreamInfo& info = work->info();
  auto& geometry = work->geometry_;
  geometry.set_rows(info.shape.rows);
  geometry.set_cols(info.shape.cols);
  geometry.set_dtype(static_cast<std::uint32_t>(info.shape.dtype));
  geometry.set_tile_rows(work->series_->plan.tile_rows);
  geometry.set_tile_cols(work->series_->plan.tile_cols);
  geometry.set_detector_rows(identity.detector_rows != 0 ? identity.detector_rows : info.shape.rows);
  geometry.set_detector_cols(identity.detector_cols != 0 ? identity.detector_cols : info.shape.cols);
  geometry.set_origin_row(identity.origin_row);
  geometry.set_origin_col(identity.origin_col);
  geometry.set_channel_index(static_cast<std::uint32_t>(stream_index));
  geometry.set_channel(info.channel);
  for (const std::int64_t sentinel : info.sentinels) geometry.add_sentinels(sentinel);
  FF_TRY(wire::check_geometry(geometry));

  auto& header = work->header_;
  header.set_series_uid(work->series_->uid.to_wire());
  header.set_detector(identity.detector);
  header.set_stream(info.stream);
  header.set_epoch(identity.epoch);
  header.set_agent(identity.agent);
  header.set_window_frames(work->series_->plan.window_frames);
  header.set_partition_count(identity.partition_count);
  header.set_partition_base(info.stream);

  work->mask_hash_ = hash_mask(info.pixel_mask);
  const wire::TileGrid grid(geometry);
  for (std::uint32_t tile = 0; tile < grid.count(); ++tile) {
    Tile entry;
    entry.rect = grid.rect(tile);
    entry.mask = mask_of_tile(info, entry.rect);
    FF_ASSIGN(auto coder, TileCoder::create(grid.tile_shape(tile), windowing));
    entry.coder.emplace(std::move(coder));
    work->tiles_.push_back(std::move(entry));
  }
  return work;
}

OutgoingRecord StreamWork::start_record(const SeriesInfo& series) const {
  OutgoingRecord record;
  record.header = header_;
  record.stream_index = index_;
  const StreamInfo& stream = series.streams[index_];
  auto& start = *record.header.mutable_series_start();
  start = series.said;
  *start.mutable_geometry() = geometry_;
  for (const StreamInfo& each : series.streams) start.add_streams(each.stream);
  start.set_images_expected(series.images_expected.value_or(0));
  start.set_images_expected_known(series.images_expected.value_or(0) > 0);
  start.set_detector_series_id(series.key.id);
  start.set_detector_series_unique_id(series.key.unique_id);
  start.set_started_utc_ns(series.started_utc_ns);
  start.set_start_missing(series.start_missing);
  start.set_partition_count(header_.partition_count());
  start.set_partition_base(header_.partition_base());
  if (stream.threshold_energy_ev)
    start.mutable_detector()->set_threshold_energy_ev(*stream.threshold_energy_ev);
  record.buffer.resize(wire::kBlockHeadroomBytes);
  attach("pixel_mask", {Dtype::u32, stream.shape.rows, stream.shape.cols},
         std::as_bytes(std::span(stream.pixel_mask)), record);
  attach("flatfield", {Dtype::f32, stream.shape.rows, stream.shape.cols},
         std::as_bytes(std::span(stream.flatfield)), record);
  record.payload_bytes = record.buffer.size() - wire::kBlockHeadroomBytes;
  return record;
}

OutgoingRecord StreamWork::end_record(const SeriesClosed& closed, std::uint64_t frames_expected) const {
  OutgoingRecord record;
  record.header = header_;
  record.stream_index = index_;
  auto& end = *record.header.mutable_series_end();
  end.set_reason(closed.reason);
  end.set_frames_expected(frames_expected);
  const std::uint64_t w = header_.window_frames();
  end.set_windows((frames_expected + w - 1) / w);
  end.set_frames_received(closed.frames_received);
  end.set_frames_duplicated(closed.frames_duplicated);
  end.set_messages_stray(closed.messages_stray);
  end.set_messages_unreadable(closed.messages_unreadable);
  end.set_ended_utc_ns(utc_now_ns());
  *end.mutable_geometry() = geometry_;
  return record;
}

void StreamWork::release(SpoolQueue& out) {
  if (holds_.fetch_sub(1, std::memory_order_acq_rel) != 1 || !end_) return;
  if (!out.push(std::move(*end_))) service::log_warning("series end not recorded: the spool is closed");
}

WindowWork::WindowWork(std::shared_ptr<StreamWork> stream, std::uint64_t window, bool degraded)
    : stream_(std::move(stream)), degraded_(degraded), blocks_per_tile_(stream_->tiles().size()) {
  finished_.window = window;
  stream_->hold();
}

void WindowWork::release(SpoolQueue& out) {
  if (holds_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (const std::uint64_t bytes = frame_bytes_.load(std::memory_order_relaxed); bytes > 0)
    stream_->set_frame_bytes(bytes);
  if (!out.push(record())) service::log_warning("window not recorded: the spool is closed");
  stream_->release(out);
}

void WindowWork::note_block(std::uint32_t tile, std::size_t bytes, std::size_t frames) noexcept {
  blocks_per_tile_[tile].fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t a_frame = (bytes + frames - 1) / frames;
  std::uint64_t most = frame_bytes_.load(std::memory_order_relaxed);
  while (a_frame > most && !frame_bytes_.compare_exchange_weak(most, a_frame, std::memory_order_relaxed)) {
  }
}

OutgoingRecord WindowWork::record() const {
  OutgoingRecord out;
  out.header = stream_->new_header();
  out.stream_index = stream_->index();
  auto& window = *out.header.mutable_window();
  *window.mutable_geometry() = stream_->geometry();
  window.set_window(finished_.window);
  window.set_frame_count(static_cast<std::uint32_t>(finished_.frames.size()));
  for (const auto& blocks : blocks_per_tile_)
    window.add_groups_per_tile(blocks.load(std::memory_order_relaxed));
  if (const auto found = stream_->info().earlier.find(finished_.window);
      found != stream_->info().earlier.end())
    for (const EarlierBlocks& blocks : found->second) {
      auto& earlier = *window.add_earlier();
      earlier.set_epoch(blocks.epoch);
      for (const std::uint32_t groups : blocks.groups_per_tile) earlier.add_groups_per_tile(groups);
    }
  const std::uint64_t failed = failed_.load(std::memory_order_relaxed);
  std::uint64_t present = 0;
  for (std::size_t position = 0; position < finished_.frames.size(); ++position) {
    const FrameNote& note = finished_.frames[position];
    const bool not_coded = note.state == foreframe::wire::SENT && (failed >> position & 1) != 0;
    window.add_states(not_coded ? foreframe::wire::LOST : note.state);
    window.add_stages(not_coded ? foreframe::wire::STAGE_ENCODE : note.stage);
    present += note.state == foreframe::wire::SENT ? 1 : 0;
    if (note.user_data.empty()) continue;
    auto& user_data = *window.add_user_data();
    user_data.set_frame(static_cast<std::uint32_t>(position));
    user_data.set_cbor(std::string(as_text(note.user_data)));
  }
  const auto came = [](const FrameNote& note, std::int64_t time) {
    return note.received_utc_ns != 0 ? time : kNoTime;
  };
  add_times(
      finished_.frames, [&](const FrameNote& n) { return came(n, n.detector_time_ns); },
      [&](std::int64_t t) { window.add_detector_time_ns(t); });
  add_times(
      finished_.frames, [&](const FrameNote& n) { return came(n, n.received_utc_ns); },
      [&](std::int64_t t) { window.add_received_utc_ns(t); });
  add_times(
      finished_.frames, [&](const FrameNote& n) { return came(n, n.received_monotonic_ns); },
      [&](std::int64_t t) { window.add_received_monotonic_ns(t); });
  window.set_boot_id(boot_id());
  note_clock(*window.mutable_clock());
  window.set_raw_bytes(present * stream_->info().shape.bytes());
  return out;
}

}  // namespace ff::agent
