// SPDX-License-Identifier: Apache-2.0
//
// Stream V2 messages turned into the agent's words.
#include "agent/ingest/stream_v2_source.hpp"

#include <cstring>
#include <limits>

#include "agent/ingest/pixel_unpack.hpp"
#include "agent/ingest/source_event.hpp"
#include "common/base/frame_pool.hpp"
#include "common/wire/stream_v2.hpp"

namespace ff::agent {
namespace {

namespace v2 = wire::stream_v2;
using What = std::variant<SeriesStarted, FrameArrived, SeriesEnded, Unreadable>;

ChannelPixels pixels_of(const std::string& channel, const v2::ArrayView& array) {
  ChannelPixels pixels;
  pixels.channel = channel;
  pixels.shape = {array.dtype, array.rows, array.cols};
  pixels.big_endian = array.big_endian;
  pixels.column_major = array.column_major;
  pixels.bytes = array.bytes;
  pixels.compressor_element_bytes =
      array.compressor_element_bytes != 0 ? array.compressor_element_bytes : dtype_bytes(array.dtype);
  auto compression = kernels::parse_detector_compression(array.compression);
  if (compression.ok())
    pixels.compression = *compression;
  else
    pixels.problem = std::move(compression).error();
  return pixels;
}

/// An array of the start message as values of type T. Frames of a mask are as large as the detector's frame;
/// a declared size that the bytes can't fill costs its allocation only once the sizes have been compared.
template <typename T>
Result<std::vector<T>> values_of(const v2::ArrayView& array, Dtype wanted) {
  if (array.dtype != wanted)
    return fail(Errc::dtype_unsupported, "array of " + std::string(dtype_name(array.dtype)) + " where " +
                                             std::string(dtype_name(wanted)) + " is expected");
  // lz4 shrinks by less than 255: a larger claim is a lie.
  if (array.raw_bytes() / 255 > array.bytes.size())
    return fail(Errc::truncated, "array of too few bytes for its size");
  std::vector<T> values(array.pixels());
  const ChannelPixels pixels = pixels_of("", array);
  if (pixels.problem) return *pixels.problem;
  FF_TRY(unpack_pixels(pixels, std::as_writable_bytes(std::span(values))));
  return values;
}

template <typename T>
void set_if(const std::optional<double>& value, T&& set) {
  if (value) set(*value);
}
template <typename T>
void set_if(const std::optional<bool>& value, T&& set) {
  if (value) set(*value);
}

void copy_detector(const v2::Start& start, foreframe::wire::SeriesStart::Detector& to) {
  to.set_description(start.detector_description);
  to.set_serial_number(start.detector_serial_number);
  to.set_sensor_material(start.sensor_material);
  set_if(start.beam_center_x_px, [&](double v) { to.set_beam_center_x_px(v); });
  set_if(start.beam_center_y_px, [&](double v) { to.set_beam_center_y_px(v); });
  set_if(start.count_time_s, [&](double v) { to.set_count_time_s(v); });
  set_if(start.frame_time_s, [&](double v) { to.set_frame_time_s(v); });
  set_if(start.incident_energy_ev, [&](double v) { to.set_incident_energy_ev(v); });
  set_if(start.incident_wavelength_angstrom, [&](double v) { to.set_incident_wavelength_angstrom(v); });
  set_if(start.pixel_size_x_m, [&](double v) { to.set_pixel_size_x_m(v); });
  set_if(start.pixel_size_y_m, [&](double v) { to.set_pixel_size_y_m(v); });
  set_if(start.sensor_thickness_m, [&](double v) { to.set_sensor_thickness_m(v); });
  set_if(start.saturation_value, [&](double v) { to.set_saturation_value(v); });
  set_if(start.countrate_correction_enabled, [&](bool v) { to.set_countrate_correction_applied(v); });
  set_if(start.flatfield_enabled, [&](bool v) { to.set_flatfield_applied(v); });
  set_if(start.pixel_mask_enabled, [&](bool v) { to.set_pixel_mask_applied(v); });
  set_if(start.virtual_pixel_interpolation_enabled,
         [&](bool v) { to.set_virtual_pixel_interpolation_applied(v); });
  for (const double metres : start.detector_translation_m) to.add_translation_m(metres);
  for (const v2::Axis& axis : start.goniometer) {
    auto* entry = to.add_goniometer();
    entry->set_name(axis.name);
    entry->set_start_deg(axis.start_deg);
    entry->set_increment_deg(axis.increment_deg);
  }
  for (const std::string& channel : start.channels) to.add_channels(channel);
}

/// The correction table as numbers, where it has a type that we read.
void copy_correction_table(const v2::Start& start, foreframe::wire::SeriesStart::Detector& to) {
  if (!start.countrate_correction_table) return;
  const v2::ArrayView& table = *start.countrate_correction_table;
  if (table.dtype == Dtype::u32)
    if (auto values = values_of<std::uint32_t>(table, Dtype::u32); values.ok())
      for (const std::uint32_t value : *values) to.add_countrate_correction_table(value);
  if (table.dtype == Dtype::f32)
    if (auto values = values_of<float>(table, Dtype::f32); values.ok())
      for (const float value : *values) to.add_countrate_correction_table(static_cast<double>(value));
}

What from_start(const v2::Start& start) {
  SeriesStarted event;
  event.key = {start.series_id, start.series_unique_id};
  event.channels = start.channels;
  const auto dtype = parse_dtype(start.image_dtype);
  if (dtype && start.image_size_x && start.image_size_y && *start.image_size_x <= UINT32_MAX &&
      *start.image_size_y <= UINT32_MAX)
    event.shape = FrameShape{*dtype, static_cast<std::uint32_t>(*start.image_size_y),
                             static_cast<std::uint32_t>(*start.image_size_x)};
  event.images_expected = start.number_of_images;
  event.frame_time_s = start.frame_time_s;
  for (const v2::ChannelNumber& threshold : start.threshold_energy_ev)
    event.threshold_energy_ev[threshold.channel] = threshold.value;
  // A mask that can't be read must not cost the series: it is left out, and the log says so.
  for (const v2::ChannelArray& mask : start.pixel_mask)
    if (auto values = values_of<std::uint32_t>(mask.array, Dtype::u32); values.ok())
      event.pixel_mask[mask.channel] = std::move(*values);
    else
      note_left_out("pixel_mask", mask.channel, values.error());
  for (const v2::ChannelArray& flat : start.flatfield)
    if (auto values = values_of<float>(flat.array, Dtype::f32); values.ok())
      event.flatfield[flat.channel] = std::move(*values);
    else
      note_left_out("flatfield", flat.channel, values.error());
  copy_detector(start, *event.said.mutable_detector());
  copy_correction_table(start, *event.said.mutable_detector());
  event.said.set_user_data_cbor(std::string(as_text(start.user_data)));
  event.said.set_series_date_utc_ns(start.arm_date_utc_ns.value_or(0));
  return event;
}

/// Series date + start of exposure; kNoTime where either is missing or the sum leaves int64.
std::int64_t detector_time_of(const v2::Image& image) {
  if (!image.series_date_utc_ns || !image.start_time) return kNoTime;
  const auto offset = v2::rational_to_ns(*image.start_time);
  std::int64_t sum = 0;
  if (!offset.ok() || __builtin_add_overflow(*image.series_date_utc_ns, *offset, &sum)) return kNoTime;
  return sum;
}

What from_image(const v2::Image& image) {
  FrameArrived event;
  event.key = {image.series_id, image.series_unique_id};
  event.frame = image.image_id;
  event.detector_time_ns = detector_time_of(image);
  event.user_data = image.user_data;
  for (const v2::ChannelImage& channel : image.data) {
    if (channel.pixels.ok()) {
      event.channels.push_back(pixels_of(channel.channel, *channel.pixels));
      continue;
    }
    ChannelPixels unusable;
    unusable.channel = channel.channel;
    unusable.problem = channel.pixels.error();
    event.channels.push_back(std::move(unusable));
  }
  return event;
}

}  // namespace

std::variant<SeriesStarted, FrameArrived, SeriesEnded, Unreadable> read_stream_v2(ByteSpan message) {
  v2::Seen seen;
  auto parsed = v2::parse(message, &seen);
  if (!parsed.ok()) {
    Unreadable event{std::move(parsed).error(), std::nullopt, seen.image_id};
    if (seen.series_id) event.key = SeriesKey{*seen.series_id, seen.series_unique_id};
    return event;
  }
  if (const auto* start = std::get_if<v2::Start>(&*parsed)) return from_start(*start);
  if (const auto* image = std::get_if<v2::Image>(&*parsed)) return from_image(*image);
  const auto& end = std::get<v2::End>(*parsed);
  return SeriesEnded{{end.series_id, end.series_unique_id}};
}

Result<std::unique_ptr<FrameSource>> StreamV2Source::open(const ZmqPullOptions& options) {
  FF_ASSIGN(auto socket, ZmqPull::open(options));
  return std::unique_ptr<FrameSource>(new StreamV2Source(std::move(socket)));
}

Result<std::optional<SourceEvent>> StreamV2Source::poll(std::chrono::nanoseconds timeout) {
  return receive_event(*socket_, timeout, [](const std::vector<Payload>& parts) -> What {
    if (parts.size() != 1)
      return Unreadable{
          fail(Errc::malformed, "Stream V2 has one part a message, this one has " +
                                    std::to_string(parts.size()) +
                                    "; Stream V1 is not read: set the detector's stream format to cbor"),
          std::nullopt, std::nullopt};
    return read_stream_v2(parts[0].bytes());
  });
}

}  // namespace ff::agent
