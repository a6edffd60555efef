// SPDX-License-Identifier: Apache-2.0
//
// CodedSeries: counting frames from a seeded generator, coded tile by tile and group by group.
#include "tests/support/coded_series.hpp"

#include <cstring>
#include <random>
#include <utility>
#include <zstd.h>

#include "common/base/check.hpp"
#include "common/wire/tile_grid.hpp"
#include "kernels/codec.hpp"

namespace ff::test {
namespace {

namespace pb = foreframe::wire;

constexpr std::int64_t kStartUtcNs = 1'780'000'000'000'000'000;

pb::StreamGeometry make_geometry(const CodedSeriesOptions& o) {
  pb::StreamGeometry g;
  g.set_rows(o.shape.rows);
  g.set_cols(o.shape.cols);
  g.set_dtype(static_cast<std::uint32_t>(o.shape.dtype));
  g.set_tile_rows(o.tile_rows);
  g.set_tile_cols(o.tile_cols);
  g.set_detector_rows(o.detector_rows == 0 ? o.shape.rows : o.detector_rows);
  g.set_origin_row(o.origin_row);
  g.set_detector_cols(o.shape.cols);
  g.set_channel_index(o.channel_index);
  g.set_channel(o.channel);
  for (const auto sentinel : o.sentinels) g.add_sentinels(sentinel);
  return g;
}

wire::EnvelopeHeader make_header(const CodedSeriesOptions& o, std::uint64_t& sequence) {
  wire::EnvelopeHeader header;
  header.set_series_uid(o.uid.to_wire());
  header.set_detector(o.detector);
  header.set_stream(o.stream);
  header.set_epoch(o.epoch);
  header.set_sequence(++sequence);
  header.set_agent(o.agent);
  header.set_window_frames(o.window_frames);
  header.set_partition_count(o.partitions);
  return header;
}

CodedRecord seal(transport::Topic topic, wire::EnvelopeHeader header, ByteSpan payload) {
  auto envelope = wire::seal_envelope(header, payload);
  FF_CHECK(envelope.ok());
  return {topic, std::move(header), *envelope};
}

std::vector<std::byte> make_pixels(const CodedSeriesOptions& o, std::mt19937& random) {
  std::vector<std::byte> pixels(o.shape.bytes());
  std::poisson_distribution<int> counts(1.5);
  const std::size_t bytes = dtype_bytes(o.shape.dtype);
  for (std::size_t i = 0; i < o.shape.pixels(); ++i) {
    const auto value = static_cast<std::uint32_t>(counts(random));
    const float as_float = static_cast<float>(value) * 0.5F;
    std::memcpy(
        pixels.data() + i * bytes,
        o.shape.dtype == Dtype::f32 ? static_cast<const void*>(&as_float) : static_cast<const void*>(&value),
        bytes);
  }
  return pixels;
}

std::vector<std::byte> zstd_bytes(const std::vector<std::uint32_t>& values) {
  std::vector<std::byte> packed(ZSTD_compressBound(values.size() * 4));
  packed.resize(ZSTD_compress(packed.data(), packed.size(), values.data(), values.size() * 4, 3));
  return packed;
}

CodedRecord make_start(const CodedSeriesOptions& o, std::uint64_t& sequence) {
  wire::EnvelopeHeader header = make_header(o, sequence);
  pb::SeriesStart& start = *header.mutable_series_start();
  *start.mutable_geometry() = make_geometry(o);
  for (const auto stream : o.streams) start.add_streams(stream);
  start.set_images_expected(o.frames);
  start.set_images_expected_known(true);
  start.set_started_utc_ns(kStartUtcNs);
  start.set_source("stream_v2");
  pb::SeriesStart::Detector& detector = *start.mutable_detector();
  detector.set_description("EIGER2 test detector");
  detector.set_serial_number("E-00-0001");
  detector.set_beam_center_x_px(19.5);
  detector.set_beam_center_y_px(11.25);
  detector.set_count_time_s(0.0009);
  detector.set_frame_time_s(0.001);
  detector.set_incident_energy_ev(12398.4);
  detector.set_incident_wavelength_angstrom(1.0);
  detector.set_pixel_size_x_m(75e-6);
  detector.set_pixel_size_y_m(75e-6);
  detector.set_sensor_thickness_m(450e-6);
  detector.set_sensor_material("Si");
  detector.set_saturation_value(60000);
  for (const double metres : {0.0, 0.0, 0.25}) detector.add_translation_m(metres);
  detector.set_threshold_energy_ev(6199.2);
  auto& omega = *detector.add_goniometer();
  omega.set_name("omega");
  omega.set_start_deg(10);
  omega.set_increment_deg(0.1);
  std::vector<std::uint32_t> mask(o.shape.pixels());
  mask[0] = 1;
  const std::vector<std::byte> packed = zstd_bytes(mask);
  auto& attachment = *start.add_attachments();
  attachment.set_name("pixel_mask");
  attachment.set_rows(o.shape.rows);
  attachment.set_cols(o.shape.cols);
  attachment.set_dtype(static_cast<std::uint32_t>(Dtype::u32));
  attachment.set_bytes(packed.size());
  attachment.set_raw_bytes(mask.size() * 4);
  return seal(transport::Topic::series, header, packed);
}

void code_tile_group(CodedSeries& series, std::uint64_t window, std::uint32_t tile, std::uint32_t group,
                     kernels::TileState& state, std::uint64_t& sequence) {
  const CodedSeriesOptions& o = series.options;
  const wire::TileGrid grid(make_geometry(o));
  const std::uint32_t window_first = static_cast<std::uint32_t>(window) * o.window_frames;
  const std::uint32_t window_count = std::min(o.window_frames, o.frames - window_first);
  const std::uint32_t first = group * o.group_frames, count = std::min(o.group_frames, window_count - first);
  kernels::GroupPlace place{static_cast<std::uint8_t>(first), static_cast<std::uint8_t>(count), 0,
                            group == 0};
  std::vector<FrameView> views;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto& pixels = series.frames[window_first + first + i];
    if (pixels.empty()) continue;
    place.present |= std::uint64_t{1} << i;
    views.push_back(dense_view(o.shape, static_cast<const void*>(pixels.data())).tile(grid.rect(tile)));
  }
  const kernels::EncodeOptions options{
      .profile = kernels::Profile::fast, .mask = {}, .sentinels = o.sentinels};
  auto plan = kernels::plan_group(state, place, views, options);
  FF_CHECK(plan.ok());
  std::vector<std::byte> block(kernels::encoded_size_bound(grid.tile_shape(tile), count));
  const auto written = kernels::encode_group(kernels::Device::reference, state, **plan, views, block);
  FF_CHECK(written.ok());
  block.resize(*written);

  wire::EnvelopeHeader header = make_header(o, sequence);
  pb::Block& record = *header.mutable_block();
  *record.mutable_geometry() = make_geometry(o);
  record.set_window(window);
  record.set_tile(tile);
  record.set_group(group);
  record.set_first_frame(first);
  record.set_frame_count(count);
  record.set_present(place.present);
  record.set_key(place.key);
  series.records.push_back(seal(transport::Topic::blocks, header, block));
}

bool group_has_frames(const CodedSeries& series, std::uint64_t window, std::uint32_t group) {
  const CodedSeriesOptions& o = series.options;
  const auto window_first = static_cast<std::uint32_t>(window) * o.window_frames;
  const std::uint32_t window_end = std::min(window_first + o.window_frames, o.frames);
  for (std::uint32_t i = 0; i < o.group_frames; ++i) {
    const std::uint32_t frame = window_first + group * o.group_frames + i;
    if (frame < window_end && !series.frames[frame].empty()) return true;
  }
  return false;
}

CodedRecord make_window(const CodedSeries& series, std::uint64_t window, std::uint32_t groups,
                        std::uint64_t& sequence) {
  const CodedSeriesOptions& o = series.options;
  wire::EnvelopeHeader header = make_header(o, sequence);
  pb::Window& record = *header.mutable_window();
  *record.mutable_geometry() = make_geometry(o);
  record.set_window(window);
  const auto first = static_cast<std::uint32_t>(window) * o.window_frames;
  record.set_frame_count(std::min(o.window_frames, o.frames - first));
  for (std::uint32_t tile = 0; tile < wire::TileGrid(make_geometry(o)).count(); ++tile)
    record.add_groups_per_tile(groups);
  for (std::uint32_t i = 0; i < record.frame_count(); ++i) {
    const bool lost = series.frames[first + i].empty();
    record.add_states(lost ? pb::LOST : pb::SENT);
    record.add_stages(lost ? pb::STAGE_RECEIVE : pb::STAGE_NONE);
    record.add_detector_time_ns(i == 0 ? kStartUtcNs + std::int64_t{first} * 1'000'000 : 1'000'000);
    record.add_received_utc_ns(i == 0 ? kStartUtcNs + std::int64_t{first} * 1'000'000 + 500 : 1'000'000);
  }
  record.set_boot_id("test-boot");
  auto& said = *record.add_user_data();
  said.set_frame(0);
  said.set_cbor("\x18\x2a");
  return seal(transport::Topic::blocks, header, {});
}

CodedRecord make_end(const CodedSeries& series, std::uint64_t& sequence) {
  wire::EnvelopeHeader header = make_header(series.options, sequence);
  pb::SeriesEnd& end = *header.mutable_series_end();
  end.set_reason(pb::SeriesEnd::DETECTOR_END);
  end.set_frames_expected(series.options.frames);
  end.set_windows(series.windows());
  end.set_frames_received(series.options.frames - series.options.lost.size());
  end.set_ended_utc_ns(kStartUtcNs + 5'000'000'000);
  *end.mutable_geometry() = make_geometry(series.options);
  return seal(transport::Topic::series, header, {});
}

void code_window(CodedSeries& series, std::uint64_t window, std::uint64_t& sequence) {
  const CodedSeriesOptions& o = series.options;
  const wire::TileGrid grid(make_geometry(o));
  const std::uint32_t window_first = static_cast<std::uint32_t>(window) * o.window_frames;
  const std::uint32_t count = std::min(o.window_frames, o.frames - window_first);
  std::uint32_t groups = 0;
  for (std::uint32_t group = 0; group * o.group_frames < count; ++group)
    if (group_has_frames(series, window, group)) groups = group + 1;
  for (std::uint32_t tile = 0; tile < grid.count(); ++tile) {
    auto state = kernels::TileState::create(grid.tile_shape(tile));
    FF_CHECK(state.ok());
    for (std::uint32_t group = 0; group < groups; ++group)
      code_tile_group(series, window, tile, group, *state, sequence);
  }
  series.records.push_back(make_window(series, window, groups, sequence));
}

}  // namespace

CodedSeries make_coded_series(const CodedSeriesOptions& options) {
  CodedSeries series{options, {}, {}};
  std::mt19937 random(options.seed);
  for (std::uint32_t frame = 0; frame < options.frames; ++frame) {
    series.frames.push_back(make_pixels(options, random));
    if (options.lost.contains(frame)) series.frames.back().clear();
  }
  std::uint64_t sequence = 0;
  series.records.push_back(make_start(options, sequence));
  for (std::uint64_t window = 0; window < series.windows(); ++window) code_window(series, window, sequence);
  series.records.push_back(make_end(series, sequence));
  return series;
}

std::shared_ptr<FakeLog> log_of(const CodedSeries& series, const std::vector<CodedRecord>& records) {
  auto log = std::make_shared<FakeLog>();
  append_to(*log, series, records);
  return log;
}

void append_to(FakeLog& log, const CodedSeries& series, const std::vector<CodedRecord>& records) {
  for (const CodedRecord& record : records) {
    const auto partition = record.topic == transport::Topic::blocks
                               ? wire::partition_of(record.header, series.options.partitions)
                               : 0;
    log.append(record.topic, static_cast<std::int32_t>(partition), record.header.series_uid(),
               record.envelope);
  }
}

CodedRecord reseal(const CodedRecord& record, const wire::EnvelopeHeader& header, ByteSpan payload) {
  return seal(record.topic, header, payload);
}

}  // namespace ff::test
