// SPDX-License-Identifier: Apache-2.0
//
// Recording to archive: windows > groups > tiles, one block each.
#include "tools/archive/archive_encode.hpp"

#include <algorithm>
#include <filesystem>
#include <sodium.h>
#include <zstd.h>

#include "common/base/clock.hpp"
#include "common/base/uuid.hpp"
#include "common/wire/envelope.hpp"
#include "common/wire/tile_grid.hpp"
#include "tools/archive/archive_file.hpp"

namespace ff::tools {

namespace {

namespace pb = foreframe::wire;

constexpr std::size_t kRawBlockBytesWanted = 4u << 20;
constexpr std::uint32_t kTileSide = 512;
constexpr const char* kAgentName = "foreframe-encode";

using Digest = std::array<unsigned char, crypto_hash_sha256_BYTES>;

Digest sha256(ByteSpan bytes) {
  Digest digest;
  crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  return digest;
}

std::string as_string(const Digest& digest, std::size_t bytes) {
  return {reinterpret_cast<const char*>(digest.data()), bytes};
}

pb::StreamGeometry geometry_of(const RecordingInfo& info, const ArchiveEncodeOptions& options) {
  pb::StreamGeometry geometry;
  geometry.set_rows(info.shape.rows);
  geometry.set_cols(info.shape.cols);
  geometry.set_dtype(static_cast<std::uint32_t>(info.shape.dtype));
  geometry.set_tile_rows(options.tile_rows > 0 ? options.tile_rows : std::min(kTileSide, info.shape.rows));
  geometry.set_tile_cols(options.tile_cols > 0 ? options.tile_cols : std::min(kTileSide, info.shape.cols));
  geometry.set_detector_rows(info.shape.rows);
  geometry.set_detector_cols(info.shape.cols);
  for (const std::int64_t value : info.sentinels) geometry.add_sentinels(value);
  return geometry;
}

class ArchiveEncoder {
 public:
  ArchiveEncoder(FrameReader& reader, ArchiveWriter writer, const ArchiveEncodeOptions& options,
                 pb::StreamGeometry geometry)
      : reader_(reader),
        info_(reader.info()),
        writer_(std::move(writer)),
        options_(options),
        geometry_(std::move(geometry)),
        grid_(geometry_) {
    const std::size_t tile_frame_bytes = grid_.tile_shape(0).bytes();
    const auto wanted =
        static_cast<std::uint32_t>(std::max<std::size_t>(1, kRawBlockBytesWanted / tile_frame_bytes));
    group_frames_ = options.group_frames > 0 ? options.group_frames : std::min(options.window_frames, wanted);
    group_frames_ = std::min(group_frames_, options.window_frames);
    frames_.resize(group_frames_ * info_.shape.bytes());
  }

  Result<ArchiveEncodeReport> run(const std::function<void(std::uint64_t)>& progress) {
    const std::int64_t begin_ns = monotonic_now_ns();
    name_series();
    FF_TRY(prepare_tiles());
    FF_TRY(write_start());
    const std::uint64_t w = options_.window_frames;
    for (std::uint64_t window = 0; window * w < info_.frames; ++window) {
      FF_TRY(encode_window(window, static_cast<std::uint32_t>(std::min(w, info_.frames - window * w)),
                           progress));
    }
    FF_TRY(write_end());
    FF_TRY(writer_.finish());
    report_.frames = info_.frames;
    report_.file_bytes = writer_.bytes_written();
    report_.seconds = static_cast<double>(monotonic_now_ns() - begin_ns) * 1e-9;
    return std::move(report_);
  }

 private:
  void name_series() {
    base_.set_series_uid(Uuid::mint().to_wire());
    base_.set_detector("recording");
    base_.set_epoch(static_cast<std::uint64_t>(utc_now_ns() / 1'000'000));
    base_.set_agent(kAgentName);
    base_.set_window_frames(options_.window_frames);
  }

  pb::EnvelopeHeader next_header() {
    pb::EnvelopeHeader header = base_;
    header.set_sequence(++sequence_);
    return header;
  }

  /// Mask of each tile; the predictor state comes with the first group of each window.
  Status prepare_tiles() {
    tile_masks_.resize(grid_.count());
    if (info_.pixel_mask.empty()) return {};
    mask_hash_ = as_string(sha256(std::as_bytes(std::span(info_.pixel_mask))), 8);
    for (std::uint32_t tile = 0; tile < grid_.count(); ++tile) {
      const TileRect rect = grid_.rect(tile);
      for (std::uint32_t row = 0; row < rect.rows; ++row) {
        for (std::uint32_t col = 0; col < rect.cols; ++col) {
          const std::size_t at = std::size_t{rect.row + row} * info_.shape.cols + rect.col + col;
          tile_masks_[tile].push_back(info_.pixel_mask[at] != 0 ? 1 : 0);
        }
      }
    }
    return {};
  }

  Status write_start() {
    pb::EnvelopeHeader header = next_header();
    pb::SeriesStart& start = *header.mutable_series_start();
    *start.mutable_geometry() = geometry_;
    start.add_streams(0);
    start.set_images_expected(info_.frames);
    start.set_images_expected_known(true);
    start.set_started_utc_ns(utc_now_ns());
    start.set_source("recording");
    start.mutable_detector()->set_description(info_.description);
    if (info_.frame_time_s) start.mutable_detector()->set_frame_time_s(*info_.frame_time_s);
    std::vector<std::byte> payload;
    if (!info_.pixel_mask.empty()) FF_TRY(attach_mask(start, payload));
    FF_ASSIGN(const Payload envelope, wire::seal_envelope(header, payload));
    return writer_.append({0, 0, 0, 0, 0, ArchiveRecord::series_start}, envelope.bytes());
  }

  Status attach_mask(pb::SeriesStart& start, std::vector<std::byte>& payload) const {
    const ByteSpan raw = std::as_bytes(std::span(info_.pixel_mask));
    payload.resize(ZSTD_compressBound(raw.size()));
    const std::size_t bytes = ZSTD_compress(payload.data(), payload.size(), raw.data(), raw.size(), 3);
    if (ZSTD_isError(bytes))
      return fail(Errc::io_error, std::string("pixel mask: zstd says ") + ZSTD_getErrorName(bytes));
    payload.resize(bytes);
    pb::Attachment& attachment = *start.add_attachments();
    attachment.set_name("pixel_mask");
    attachment.set_rows(info_.shape.rows);
    attachment.set_cols(info_.shape.cols);
    attachment.set_dtype(static_cast<std::uint32_t>(Dtype::u32));
    attachment.set_bytes(bytes);
    attachment.set_raw_bytes(raw.size());
    return {};
  }

  Status encode_window(std::uint64_t window, std::uint32_t frame_count,
                       const std::function<void(std::uint64_t)>& progress) {
    states_.clear();
    for (std::uint32_t tile = 0; tile < grid_.count(); ++tile) {
      FF_ASSIGN(kernels::TileState state, kernels::TileState::create(grid_.tile_shape(tile)));
      states_.push_back(std::move(state));
    }
    digests_.clear();
    WindowSize& size = report_.windows.emplace_back();
    size.window = window;
    size.raw_bytes = frame_count * info_.shape.bytes();
    std::uint32_t group = 0;
    for (std::uint32_t first = 0; first < frame_count; first += group_frames_, ++group) {
      const std::uint32_t count = std::min(group_frames_, frame_count - first);
      const std::uint64_t first_in_series = window * options_.window_frames + first;
      for (std::uint32_t i = 0; i < count; ++i) FF_TRY(reader_.read(first_in_series + i, frame_bytes(i)));
      for (std::uint32_t tile = 0; tile < grid_.count(); ++tile)
        FF_TRY(encode_block(window, tile, group, first, count, size));
      progress(first_in_series + count);
    }
    report_.raw_bytes += size.raw_bytes;
    report_.coded_bytes += size.coded_bytes;
    return write_window(size, frame_count, group);
  }

  MutableByteSpan frame_bytes(std::uint32_t i) {
    return MutableByteSpan(frames_).subspan(i * info_.shape.bytes(), info_.shape.bytes());
  }

  Status encode_block(std::uint64_t window, std::uint32_t tile, std::uint32_t group, std::uint32_t first,
                      std::uint32_t count, WindowSize& size) {
    const TileRect rect = grid_.rect(tile);
    std::vector<FrameView> views;
    for (std::uint32_t i = 0; i < count; ++i)
      views.push_back(dense_view(info_.shape, static_cast<const void*>(frame_bytes(i).data())).tile(rect));
    kernels::GroupPlace place;
    place.first_frame = static_cast<std::uint8_t>(first);
    place.frame_count = static_cast<std::uint8_t>(count);
    place.present = count == 64 ? ~0ull : (1ull << count) - 1;
    place.key = group == 0;
    std::vector<std::byte> buffer(wire::kBlockHeadroomBytes +
                                  kernels::encoded_size_bound(grid_.tile_shape(tile), count));
    kernels::Device device = options_.device;
    FF_ASSIGN(const std::size_t bytes,
              code(tile, place, views, MutableByteSpan(buffer).subspan(wire::kBlockHeadroomBytes), device));
    const ByteSpan block = ByteSpan(buffer).subspan(wire::kBlockHeadroomBytes, bytes);
    digests_.push_back(sha256(block));
    size.coded_bytes += bytes;
    ++report_.blocks;
    pb::EnvelopeHeader header = next_header();
    describe_block(*header.mutable_block(), window, tile, group, place, device);
    FF_ASSIGN(const Payload envelope, wire::seal_envelope_in_place(header, std::move(buffer), bytes));
    return writer_.append({0, 0, window, tile, static_cast<std::uint16_t>(group), ArchiveRecord::block},
                          envelope.bytes());
  }

  Result<std::size_t> code(std::uint32_t tile, const kernels::GroupPlace& place,
                           std::span<const FrameView> views, MutableByteSpan out, kernels::Device& device) {
    const std::int64_t begin_ns = monotonic_now_ns();
    kernels::EncodeOptions codec;
    codec.profile = options_.profile;
    codec.mask = tile_masks_[tile];
    codec.sentinels = info_.sentinels;
    FF_ASSIGN(const kernels::EncodePlanPtr plan, kernels::plan_group(states_[tile], place, views, codec));
    if (!kernels::device_available(device) || !kernels::can_execute(device, *plan)) {
      device = kernels::Device::reference;
      ++report_.reference_blocks;
    }
    auto bytes = kernels::encode_group(device, states_[tile], *plan, views, out);
    report_.encode_seconds += static_cast<double>(monotonic_now_ns() - begin_ns) * 1e-9;
    return bytes;
  }

  void describe_block(pb::Block& block, std::uint64_t window, std::uint32_t tile, std::uint32_t group,
                      const kernels::GroupPlace& place, kernels::Device device) const {
    *block.mutable_geometry() = geometry_;
    block.set_window(window);
    block.set_tile(tile);
    block.set_group(group);
    block.set_first_frame(place.first_frame);
    block.set_frame_count(place.frame_count);
    block.set_present(place.present);
    block.set_key(place.key);
    block.set_mask_hash(mask_hash_);
    block.set_profile(static_cast<std::uint32_t>(options_.profile));
    block.set_device(static_cast<std::uint32_t>(device));
  }

  Status write_window(const WindowSize& size, std::uint32_t frame_count, std::uint32_t groups) {
    pb::EnvelopeHeader header = next_header();
    pb::Window& window = *header.mutable_window();
    *window.mutable_geometry() = geometry_;
    window.set_window(size.window);
    window.set_frame_count(frame_count);
    for (std::uint32_t tile = 0; tile < grid_.count(); ++tile) window.add_groups_per_tile(groups);
    for (std::uint32_t i = 0; i < frame_count; ++i) {
      window.add_states(pb::SENT);
      window.add_stages(pb::STAGE_NONE);
    }
    window.set_payload_sha256(as_string(sha256(std::as_bytes(std::span(digests_))), sizeof(Digest)));
    window.set_raw_bytes(size.raw_bytes);
    window.set_coded_bytes(size.coded_bytes);
    FF_ASSIGN(const Payload envelope, wire::seal_envelope(header, {}));
    return writer_.append({0, 0, size.window, 0, 0, ArchiveRecord::window}, envelope.bytes());
  }

  Status write_end() {
    pb::EnvelopeHeader header = next_header();
    pb::SeriesEnd& end = *header.mutable_series_end();
    end.set_reason(pb::SeriesEnd::DETECTOR_END);
    end.set_frames_expected(info_.frames);
    end.set_windows(report_.windows.size());
    end.set_frames_received(info_.frames);
    end.set_ended_utc_ns(utc_now_ns());
    *end.mutable_geometry() = geometry_;
    FF_ASSIGN(const Payload envelope, wire::seal_envelope(header, {}));
    return writer_.append({0, 0, 0, 0, 0, ArchiveRecord::series_end}, envelope.bytes());
  }

  FrameReader& reader_;
  const RecordingInfo& info_;
  ArchiveWriter writer_;
  const ArchiveEncodeOptions& options_;
  pb::StreamGeometry geometry_;
  wire::TileGrid grid_;
  std::uint32_t group_frames_ = 1;
  std::vector<std::byte> frames_;  ///< one group
  std::vector<std::vector<std::uint8_t>> tile_masks_;
  std::vector<kernels::TileState> states_;
  std::vector<Digest> digests_;  ///< of the window's blocks
  std::string mask_hash_;
  pb::EnvelopeHeader base_;
  std::uint64_t sequence_ = 0;
  ArchiveEncodeReport report_;
};

}  // namespace

Result<ArchiveEncodeReport> encode_archive(FrameReader& reader, const std::string& target,
                                           const ArchiveEncodeOptions& options,
                                           const std::function<void(std::uint64_t)>& progress) {
  if (options.window_frames < 1 || options.window_frames > kernels::kWindowFramesMax) {
    return fail(Errc::out_of_range, "--window takes 1 to 64 frames");
  }
  pb::StreamGeometry geometry = geometry_of(reader.info(), options);
  if (const Status checked = wire::check_geometry(geometry); !checked.ok()) {
    return fail(Errc::invalid_argument, reader.info().source + ": " + checked.error().message);
  }
  FF_ASSIGN(ArchiveWriter writer, ArchiveWriter::create(target, options.force));
  ArchiveEncoder encoder(reader, std::move(writer), options, std::move(geometry));
  return encoder.run(progress);
}

}  // namespace ff::tools
