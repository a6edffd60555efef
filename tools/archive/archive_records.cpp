// SPDX-License-Identifier: Apache-2.0
//
// Envelopes of series, blocks and windows.
#include "tools/archive/archive_records.hpp"

#include <sodium.h>
#include <zstd.h>

#include "common/base/clock.hpp"

namespace ff::tools {

namespace {

namespace pb = foreframe::wire;

constexpr const char* kAgentName = "foreframe-encode";

std::string as_string(const Digest& digest, std::size_t bytes) {
  return {reinterpret_cast<const char*>(digest.data()), bytes};
}

Status attach_mask(const RecordingInfo& info, pb::SeriesStart& start, std::vector<std::byte>& payload) {
  const ByteSpan raw = std::as_bytes(std::span(info.pixel_mask));
  payload.resize(ZSTD_compressBound(raw.size()));
  const std::size_t bytes = ZSTD_compress(payload.data(), payload.size(), raw.data(), raw.size(), 3);
  if (ZSTD_isError(bytes))
    return fail(Errc::io_error, std::string("pixel mask: zstd says ") + ZSTD_getErrorName(bytes));
  payload.resize(bytes);
  pb::Attachment& attachment = *start.add_attachments();
  attachment.set_name("pixel_mask");
  attachment.set_rows(info.shape.rows);
  attachment.set_cols(info.shape.cols);
  attachment.set_dtype(static_cast<std::uint32_t>(Dtype::u32));
  attachment.set_bytes(bytes);
  attachment.set_raw_bytes(raw.size());
  return {};
}

}  // namespace

Digest sha256(ByteSpan bytes) {
  static_assert(sizeof(Digest) == crypto_hash_sha256_BYTES);
  Digest digest;
  crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  return digest;
}

ArchiveStamp ArchiveStamp::mint() { return {Uuid::mint(), Uuid::mint(), utc_now_ns()}; }

ArchiveRecords::ArchiveRecords(const RecordingInfo& info, pb::StreamGeometry geometry, std::uint32_t tiles,
                               std::uint32_t window_frames, kernels::Profile profile,
                               const ArchiveStamp& stamp)
    : info_(info),
      geometry_(std::move(geometry)),
      tiles_(tiles),
      window_frames_(window_frames),
      profile_(profile),
      stamp_(stamp) {
  base_.set_series_uid(stamp.series_uid.to_wire());
  base_.set_detector("recording");
  base_.set_epoch(static_cast<std::uint64_t>(stamp.utc_ns / 1'000'000));
  base_.set_agent(kAgentName);
  base_.set_window_frames(window_frames_);
}

void ArchiveRecords::hash_mask() {
  if (info_.pixel_mask.empty()) return;
  mask_hash_ = as_string(sha256(std::as_bytes(std::span(info_.pixel_mask))), 8);
}

wire::EnvelopeHeader ArchiveRecords::header(std::uint64_t sequence) const {
  wire::EnvelopeHeader header = base_;
  header.set_sequence(sequence);
  return header;
}

Result<Payload> ArchiveRecords::start() const {
  wire::EnvelopeHeader record = header(1);
  pb::SeriesStart& start = *record.mutable_series_start();
  *start.mutable_geometry() = geometry_;
  start.add_streams(0);
  start.set_images_expected(info_.frames);
  start.set_images_expected_known(true);
  start.set_started_utc_ns(stamp_.utc_ns);
  start.set_source("recording");
  start.mutable_detector()->set_description(info_.description);
  if (info_.frame_time_s) start.mutable_detector()->set_frame_time_s(*info_.frame_time_s);
  std::vector<std::byte> payload;
  if (!info_.pixel_mask.empty()) FF_TRY(attach_mask(info_, start, payload));
  return wire::seal_envelope(record, payload);
}

Result<Payload> ArchiveRecords::block(const BlockPlace& place, const kernels::GroupPlace& group,
                                      const agent::CodedGroup& coded, std::vector<std::byte> buffer) const {
  wire::EnvelopeHeader record = header(sequence(place.groups_before, place.window) + place.tile);
  pb::Block& block = *record.mutable_block();
  *block.mutable_geometry() = geometry_;
  block.set_window(place.window);
  block.set_tile(place.tile);
  block.set_group(place.group);
  block.set_first_frame(group.first_frame);
  block.set_frame_count(group.frame_count);
  block.set_present(group.present);
  block.set_key(coded.key);
  block.set_mask_hash(mask_hash_);
  block.set_profile(static_cast<std::uint32_t>(profile_));
  block.set_device(static_cast<std::uint32_t>(coded.device));
  block.set_bound(coded.bound);
  return wire::seal_envelope_in_place(record, std::move(buffer), coded.bytes);
}

Result<Payload> ArchiveRecords::window(const WindowSize& size, std::uint32_t frame_count,
                                       const BlockPlace& last, const std::vector<Digest>& digests) const {
  wire::EnvelopeHeader record = header(sequence(last.groups_before + 1, size.window));
  pb::Window& window = *record.mutable_window();
  *window.mutable_geometry() = geometry_;
  window.set_window(size.window);
  window.set_frame_count(frame_count);
  for (std::uint32_t tile = 0; tile < tiles_; ++tile) window.add_groups_per_tile(last.group + 1);
  for (std::uint32_t i = 0; i < frame_count; ++i) {
    window.add_states(pb::SENT);
    window.add_stages(pb::STAGE_NONE);
  }
  window.set_payload_sha256(as_string(sha256(std::as_bytes(std::span(digests))), sizeof(Digest)));
  window.set_raw_bytes(size.raw_bytes);
  window.set_coded_bytes(size.coded_bytes);
  return wire::seal_envelope(record, {});
}

Result<Payload> ArchiveRecords::end(std::uint64_t windows, std::uint64_t blocks) const {
  wire::EnvelopeHeader record = header(2 + blocks + windows);
  pb::SeriesEnd& end = *record.mutable_series_end();
  end.set_reason(pb::SeriesEnd::DETECTOR_END);
  end.set_frames_expected(info_.frames);
  end.set_windows(windows);
  end.set_frames_received(info_.frames);
  end.set_ended_utc_ns(stamp_.utc_ns);
  *end.mutable_geometry() = geometry_;
  return wire::seal_envelope(record, {});
}

}  // namespace ff::tools
