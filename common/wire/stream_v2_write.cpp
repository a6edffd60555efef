// SPDX-License-Identifier: Apache-2.0
//
// Stream V2 messages through libcbor's encoders, into one growing buffer.
#include "common/wire/stream_v2_write.hpp"

#include <cbor.h>
#include <string_view>

#include "common/base/check.hpp"
#include "common/base/clock.hpp"

namespace ff::wire::stream_v2 {

namespace {

constexpr std::uint64_t kTagDate = 0, kTagRowMajor = 40, kTagColumnMajor = 1040, kTagCompressed = 56500,
                        kTagSignature = 55799;

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

class CborWriter {
 public:
  explicit CborWriter(std::size_t expected_bytes = 4096) { bytes_.reserve(expected_bytes); }

  void unsigned_number(std::uint64_t value) {
    head([&](auto* at, auto room) { return cbor_encode_uint(value, at, room); });
  }
  void number(double value) {
    head([&](auto* at, auto room) { return cbor_encode_double(value, at, room); });
  }
  void boolean(bool value) {
    head([&](auto* at, auto room) { return cbor_encode_bool(value, at, room); });
  }
  void tag(std::uint64_t value) {
    head([&](auto* at, auto room) { return cbor_encode_tag(value, at, room); });
  }
  void array(std::size_t count) {
    head([&](auto* at, auto room) { return cbor_encode_array_start(count, at, room); });
  }
  void map(std::size_t count) {
    head([&](auto* at, auto room) { return cbor_encode_map_start(count, at, room); });
  }
  void open_map() {
    head([](auto* at, auto room) { return cbor_encode_indef_map_start(at, room); });
  }
  void close_map() {
    head([](auto* at, auto room) { return cbor_encode_break(at, room); });
  }
  void text(std::string_view value) {
    head([&](auto* at, auto room) { return cbor_encode_string_start(value.size(), at, room); });
    append(as_bytes(value));
  }
  void byte_string(ByteSpan value) {
    head([&](auto* at, auto room) { return cbor_encode_bytestring_start(value.size(), at, room); });
    append(value);
  }
  /// A complete CBOR item made elsewhere.
  void item(ByteSpan value) { append(value); }

  void date(std::int64_t utc_ns) {
    tag(kTagDate);
    text(format_utc(utc_ns));
  }
  void rational(const Rational& value) {
    array(2);
    unsigned_number(value.numerator);
    unsigned_number(value.denominator);
  }
  /// A typed array, and in front of it its dimensions unless it is a bare row.
  void pixels(const ArrayView& view, bool with_dimensions) {
    if (with_dimensions) {
      tag(view.column_major ? kTagColumnMajor : kTagRowMajor);
      array(2);
      array(2);
      unsigned_number(view.rows);
      unsigned_number(view.cols);
    }
    tag(typed_array_tag(view.dtype, view.big_endian));
    if (!view.compression.empty()) {
      tag(kTagCompressed);
      array(3);
      text(view.compression);
      unsigned_number(view.compressor_element_bytes);
    }
    byte_string(view.bytes);
  }
  void channel_arrays(std::string_view key, const std::vector<ChannelArray>& channels) {
    if (channels.empty()) return;
    text(key);
    map(channels.size());
    for (const ChannelArray& entry : channels) {
      text(entry.channel);
      pixels(entry.array, true);
    }
  }

  void field(std::string_view key, const std::string& value) {
    if (value.empty()) return;
    text(key);
    text(value);
  }
  void field(std::string_view key, const std::optional<double>& value) {
    if (!value) return;
    text(key);
    number(*value);
  }
  void field(std::string_view key, const std::optional<bool>& value) {
    if (!value) return;
    text(key);
    boolean(*value);
  }
  void field(std::string_view key, const std::optional<std::uint64_t>& value) {
    if (!value) return;
    text(key);
    unsigned_number(*value);
  }
  void field(std::string_view key, const std::optional<Rational>& value) {
    if (!value) return;
    text(key);
    rational(*value);
  }
  void date_field(std::string_view key, const std::optional<std::int64_t>& utc_ns) {
    if (!utc_ns) return;
    text(key);
    date(*utc_ns);
  }
  void item_field(std::string_view key, ByteSpan value) {
    if (value.empty()) return;
    text(key);
    item(value);
  }

  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  [[nodiscard]] std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  template <typename Encode>
  void head(Encode encode) {
    unsigned char room[16];
    const std::size_t written = encode(room, sizeof room);
    FF_CHECK(written > 0);
    append(std::as_bytes(std::span(room, written)));
  }
  void append(ByteSpan value) { bytes_.insert(bytes_.end(), value.begin(), value.end()); }

  std::vector<std::byte> bytes_;
};

void begin_message(CborWriter& cbor, std::string_view type, std::uint64_t series_id,
                   const std::string& series_unique_id) {
  cbor.tag(kTagSignature);
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
    cbor.pixels(*start.countrate_correction_table, false);
  }
  cbor.channel_arrays("flatfield", start.flatfield);
  cbor.field("flatfield_enabled", start.flatfield_enabled);
  cbor.channel_arrays("pixel_mask", start.pixel_mask);
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
  cbor.field("real_time", image.real_time);
  cbor.date_field("series_date", image.series_date_utc_ns);
  cbor.field("start_time", image.start_time);
  cbor.field("stop_time", image.stop_time);
  cbor.item_field("user_data", image.user_data);
  if (options.unknown_keys) write_unknown_keys(cbor);
  cbor.text("data");
  cbor.map(image.data.size());
  WrittenImage written;
  for (const ChannelImage& channel : image.data) {
    const ArrayView& view = channel.pixels.value();
    cbor.text(channel.channel);
    cbor.pixels(view, true);
    if (written.first_array_offset == 0) written.first_array_offset = cbor.size() - view.bytes.size();
  }
  cbor.close_map();
  written.message = cbor.take();
  return written;
}

}  // namespace ff::wire::stream_v2
