// SPDX-License-Identifier: Apache-2.0
//
// Stream V2 messages, key by key.
#include "common/wire/stream_v2_write.hpp"

#include <string_view>

#include "common/base/check.hpp"
#include "common/wire/cbor_writer.hpp"

namespace ff::wire::stream_v2 {

namespace {

constexpr std::uint64_t kRowMajorTag = 40, kColumnMajorTag = 1040, kCompressedTag = 56500,
                        kSignatureTag = 55799;

/// Typed-array tag of RFC 8746 §2.1.
std::uint64_t typed_array_tag(Dtype dtype, bool big_endian) {
  switch (dtype) {
    case Dtype::u8: return 64;
    case Dtype::u16: return big_endian ? 65 : 69;
    case Dtype::u32: return big_endian ? 66 : 70;
    case Dtype::i8: return 72;
    case Dtype::i16: return big_endian ? 73 : 77;
    case Dtype::i32: return big_endian ? 74 : 78;
    case Dtype::f16: return big_endian ? 80 : 84;
    case Dtype::f32: return big_endian ? 81 : 85;
  }
  FF_CHECK(!"a dtype");
  return 0;
}

// Key and value; nothing where the value is empty.
void write_rational(CborWriter& cbor, std::string_view key, const std::optional<Rational>& value) {
  if (!value) return;
  cbor.text(key);
  cbor.array(2);
  cbor.unsigned_number(value->numerator);
  cbor.unsigned_number(value->denominator);
}

// A typed array, and in front of it its dimensions unless it is a bare row.
void write_pixels(CborWriter& cbor, const ArrayView& view, bool with_dimensions) {
  if (with_dimensions) {
    cbor.tag(view.column_major ? kColumnMajorTag : kRowMajorTag);
    cbor.array(2);
    cbor.array(2);
    cbor.unsigned_number(view.rows);
    cbor.unsigned_number(view.cols);
  }
  cbor.tag(typed_array_tag(view.dtype, view.big_endian));
  if (!view.compression.empty()) {
    cbor.tag(kCompressedTag);
    cbor.array(3);
    cbor.text(view.compression);
    cbor.unsigned_number(view.compressor_element_bytes);
  }
  cbor.byte_string(view.bytes);
}

void write_channel_arrays(CborWriter& cbor, std::string_view key, const std::vector<ChannelArray>& channels) {
  if (channels.empty()) return;
  cbor.text(key);
  cbor.map(channels.size());
  for (const ChannelArray& entry : channels) {
    cbor.text(entry.channel);
    write_pixels(cbor, entry.array, true);
  }
}

void begin_message(CborWriter& cbor, std::string_view type, std::uint64_t series_id,
                   const std::string& series_unique_id) {
  cbor.tag(kSignatureTag);
  cbor.open_map();
  cbor.text("type");
  cbor.text(type);
  cbor.field("series_id", std::optional(series_id));
  cbor.field("series_unique_id", series_unique_id);
}

void write_unknown_keys(CborWriter& cbor) {
  cbor.text("firmware_hint");
  cbor.map(2);
  cbor.text("levels");
  cbor.array(2);
  cbor.number(1.5);
  cbor.array(0);
  cbor.text("blob");
  cbor.byte_string(as_bytes("\x01\x02\x03"));
  cbor.text("magic_number");
  cbor.unsigned_number(0x52414D45);
}

void write_goniometer(CborWriter& cbor, const std::vector<Axis>& axes) {
  if (axes.empty()) return;
  cbor.text("goniometer");
  cbor.map(axes.size());
  for (const Axis& axis : axes) {
    cbor.text(axis.name);
    cbor.map(2);
    cbor.field("increment", std::optional(axis.increment_deg));
    cbor.field("start", std::optional(axis.start_deg));
  }
}

void write_lists(CborWriter& cbor, const Start& start) {
  if (!start.channels.empty()) {
    cbor.text("channels");
    cbor.array(start.channels.size());
    for (const std::string& channel : start.channels) cbor.text(channel);
  }
  if (!start.detector_translation_m.empty()) {
    cbor.text("detector_translation");
    cbor.array(start.detector_translation_m.size());
    for (const double metres : start.detector_translation_m) cbor.number(metres);
  }
  if (!start.threshold_energy_ev.empty()) {
    cbor.text("threshold_energy");
    cbor.map(start.threshold_energy_ev.size());
    for (const ChannelNumber& threshold : start.threshold_energy_ev) {
      cbor.text(threshold.channel);
      cbor.number(threshold.value);
    }
  }
}

void write_corrections(CborWriter& cbor, const Start& start) {
  cbor.field("countrate_correction_enabled", start.countrate_correction_enabled);
  if (start.countrate_correction_table) {
    cbor.text("countrate_correction_lookup_table");
    write_pixels(cbor, *start.countrate_correction_table, false);
  }
  write_channel_arrays(cbor, "flatfield", start.flatfield);
  cbor.field("flatfield_enabled", start.flatfield_enabled);
  write_channel_arrays(cbor, "pixel_mask", start.pixel_mask);
  cbor.field("pixel_mask_enabled", start.pixel_mask_enabled);
  cbor.field("virtual_pixel_interpolation_enabled", start.virtual_pixel_interpolation_enabled);
}

/// A whole number where the value is one, as the detector sends it.
void write_saturation(CborWriter& cbor, const std::optional<double>& value) {
  if (!value) return;
  cbor.text("saturation_value");
  const bool whole =
      *value >= 0 && *value < 0x1p53 && static_cast<double>(static_cast<std::uint64_t>(*value)) == *value;
  if (whole)
    cbor.unsigned_number(static_cast<std::uint64_t>(*value));
  else
    cbor.number(*value);
}

void write_scalars(CborWriter& cbor, const Start& start) {
  cbor.date_field("arm_date", start.arm_date_utc_ns);
  cbor.field("beam_center_x", start.beam_center_x_px);
  cbor.field("beam_center_y", start.beam_center_y_px);
  cbor.field("count_time", start.count_time_s);
  cbor.field("detector_description", start.detector_description);
  cbor.field("detector_serial_number", start.detector_serial_number);
  cbor.field("frame_time", start.frame_time_s);
  cbor.field("image_dtype", start.image_dtype);
  cbor.field("image_size_x", start.image_size_x);
  cbor.field("image_size_y", start.image_size_y);
  cbor.field("incident_energy", start.incident_energy_ev);
  cbor.field("incident_wavelength", start.incident_wavelength_angstrom);
  cbor.field("number_of_images", start.number_of_images);
  cbor.field("pixel_size_x", start.pixel_size_x_m);
  cbor.field("pixel_size_y", start.pixel_size_y_m);
  cbor.field("sensor_material", start.sensor_material);
  cbor.field("sensor_thickness", start.sensor_thickness_m);
  write_saturation(cbor, start.saturation_value);
}

}  // namespace

std::vector<std::byte> write(const Start& start, const WriteOptions& options) {
  CborWriter cbor;
  begin_message(cbor, "start", start.series_id, start.series_unique_id);
  write_scalars(cbor, start);
  write_lists(cbor, start);
  write_goniometer(cbor, start.goniometer);
  write_corrections(cbor, start);
  cbor.item_field("user_data", start.user_data);
  if (options.unknown_keys) write_unknown_keys(cbor);
  cbor.close_map();
  return cbor.take();
}

std::vector<std::byte> write(const End& end, const WriteOptions& options) {
  CborWriter cbor(256);
  begin_message(cbor, "end", end.series_id, end.series_unique_id);
  if (options.unknown_keys) write_unknown_keys(cbor);
  cbor.close_map();
  return cbor.take();
}

WrittenImage write(const Image& image, const WriteOptions& options) {
  std::size_t pixel_bytes = 0;
  for (const ChannelImage& channel : image.data) pixel_bytes += channel.pixels.value().bytes.size();
  CborWriter cbor(pixel_bytes + 1024 + image.user_data.size());
  begin_message(cbor, "image", image.series_id, image.series_unique_id);
  cbor.field("image_id", std::optional(image.image_id));
  write_rational(cbor, "real_time", image.real_time);
  cbor.date_field("series_date", image.series_date_utc_ns);
  write_rational(cbor, "start_time", image.start_time);
  write_rational(cbor, "stop_time", image.stop_time);
  cbor.item_field("user_data", image.user_data);
  if (options.unknown_keys) write_unknown_keys(cbor);
  cbor.text("data");
  cbor.map(image.data.size());
  WrittenImage written;
  for (const ChannelImage& channel : image.data) {
    const ArrayView& view = channel.pixels.value();
    cbor.text(channel.channel);
    write_pixels(cbor, view, true);
    if (written.first_array_offset == 0) written.first_array_offset = cbor.size() - view.bytes.size();
  }
  cbor.close_map();
  written.message = cbor.take();
  return written;
}

}  // namespace ff::wire::stream_v2
