// SPDX-License-Identifier: Apache-2.0
//
// The three messages, as tables of fields. Arrays are in stream_v2_array.cpp, times in stream_v2_time.cpp.
#include "common/wire/stream_v2.hpp"

#include <span>
#include <type_traits>
#include <utility>

#include "common/wire/cbor_reader.hpp"

namespace ff::wire::stream_v2 {
namespace {

// ---------------------------------------------------------------- typed fields

Result<std::string> read_string(CborReader& in) {
  FF_ASSIGN(const std::string_view text, in.read_text(kTextBytesMax));
  return std::string(text);
}

Result<std::int64_t> read_date(CborReader& in) {
  FF_ASSIGN(const std::string_view text, in.read_text(64));
  return parse_date(text);
}

Result<Rational> read_rational(CborReader& in) {
  FF_ASSIGN(auto parts, in.enter_array());
  if (parts.open_ended || parts.left != 2) return fail(Errc::malformed, "a time is [numerator, denominator]");
  Rational time;
  FF_ASSIGN(time.numerator, in.read_unsigned());
  FF_ASSIGN(time.denominator, in.read_unsigned());
  return time;
}

Result<std::vector<double>> read_numbers(CborReader& in) {
  FF_ASSIGN(auto entries, in.enter_array());
  std::vector<double> numbers;
  while (true) {
    FF_ASSIGN(const bool another, in.more(entries));
    if (!another) return numbers;
    if (numbers.size() == 16) return fail(Errc::too_large, "more than 16 numbers where 3 are usual");
    FF_ASSIGN(const double number, in.read_number());
    numbers.push_back(number);
  }
}

Result<std::vector<std::string>> read_strings(CborReader& in) {
  FF_ASSIGN(auto entries, in.enter_array());
  std::vector<std::string> texts;
  while (true) {
    FF_ASSIGN(const bool another, in.more(entries));
    if (!another) return texts;
    if (texts.size() == kChannelsMax) return fail(Errc::too_large, "more than 64 channels");
    FF_ASSIGN(std::string text, read_string(in));
    texts.push_back(std::move(text));
  }
}

/// Calls `entry(name)` for each pair of a map; `entry` reads the value.
template <typename Entry>
Status for_each_entry(CborReader& in, std::size_t entries_max, Entry&& entry) {
  FF_ASSIGN(auto entries, in.enter_map());
  for (std::size_t count = 0;; ++count) {
    FF_ASSIGN(const bool another, in.more(entries));
    if (!another) return {};
    if (count == entries_max)
      return fail(Errc::too_large, "map of more than " + std::to_string(entries_max) + " entries");
    FF_ASSIGN(std::string name, read_string(in));
    FF_TRY(entry(std::move(name)));
  }
}

Result<ArrayView> read_array(CborReader& in) {
  FF_ASSIGN(const ByteSpan item, in.take_raw());
  return parse_array(item);
}

Result<std::vector<ChannelArray>> read_channel_arrays(CborReader& in) {
  std::vector<ChannelArray> arrays;
  FF_TRY(for_each_entry(in, kChannelsMax, [&](std::string name) -> Status {
    FF_ASSIGN(const ArrayView array, read_array(in));
    arrays.push_back({std::move(name), array});
    return {};
  }));
  return arrays;
}

Result<std::vector<ChannelImage>> read_channel_images(CborReader& in) {
  std::vector<ChannelImage> images;
  FF_TRY(for_each_entry(in, kChannelsMax, [&](std::string name) -> Status {
    FF_ASSIGN(const ByteSpan item, in.take_raw());
    images.push_back({std::move(name), parse_array(item)});
    return {};
  }));
  return images;
}

Result<std::vector<ChannelNumber>> read_channel_numbers(CborReader& in) {
  std::vector<ChannelNumber> numbers;
  FF_TRY(for_each_entry(in, kChannelsMax, [&](std::string name) -> Status {
    FF_ASSIGN(const double value, in.read_number());
    numbers.push_back({std::move(name), value});
    return {};
  }));
  return numbers;
}

Result<Axis> read_axis(CborReader& in, std::string name) {
  Axis axis{std::move(name), 0, 0};
  FF_TRY(for_each_entry(in, kAxesMax, [&](const std::string& key) -> Status {
    if (key != "start" && key != "increment") return in.skip();
    FF_ASSIGN(const double value, in.read_number());
    (key == "start" ? axis.start_deg : axis.increment_deg) = value;
    return {};
  }));
  return axis;
}

Result<std::vector<Axis>> read_goniometer(CborReader& in) {
  std::vector<Axis> axes;
  FF_TRY(for_each_entry(in, kAxesMax, [&](std::string name) -> Status {
    FF_ASSIGN(Axis axis, read_axis(in, std::move(name)));
    axes.push_back(std::move(axis));
    return {};
  }));
  return axes;
}

Result<std::uint64_t> read_unsigned(CborReader& in) { return in.read_unsigned(); }
Result<double> read_number(CborReader& in) { return in.read_number(); }
Result<bool> read_boolean(CborReader& in) { return in.read_boolean(); }
Result<ByteSpan> read_raw(CborReader& in) { return in.take_raw(); }

// ---------------------------------------------------------------- messages as tables of fields

template <typename Record>
struct Field {
  std::string_view key;
  Status (*read)(CborReader&, Record&);
};

/// Field `key` is read by `read` into `member`.
template <auto member, auto read, typename Record>
Status read_into(CborReader& in, Record& record) {
  auto value = read(in);
  if (!value.ok()) return std::move(value).error();
  record.*member = std::move(value).value();
  return {};
}

constexpr Field<Start> kStartFields[] = {
    {"series_id", read_into<&Start::series_id, read_unsigned>},
    {"series_unique_id", read_into<&Start::series_unique_id, read_string>},
    {"arm_date", read_into<&Start::arm_date_utc_ns, read_date>},
    {"beam_center_x", read_into<&Start::beam_center_x_px, read_number>},
    {"beam_center_y", read_into<&Start::beam_center_y_px, read_number>},
    {"channels", read_into<&Start::channels, read_strings>},
    {"count_time", read_into<&Start::count_time_s, read_number>},
    {"countrate_correction_enabled", read_into<&Start::countrate_correction_enabled, read_boolean>},
    {"countrate_correction_lookup_table", read_into<&Start::countrate_correction_table, read_array>},
    {"detector_description", read_into<&Start::detector_description, read_string>},
    {"detector_serial_number", read_into<&Start::detector_serial_number, read_string>},
    {"detector_translation", read_into<&Start::detector_translation_m, read_numbers>},
    {"flatfield", read_into<&Start::flatfield, read_channel_arrays>},
    {"flatfield_enabled", read_into<&Start::flatfield_enabled, read_boolean>},
    {"frame_time", read_into<&Start::frame_time_s, read_number>},
    {"goniometer", read_into<&Start::goniometer, read_goniometer>},
    {"image_dtype", read_into<&Start::image_dtype, read_string>},
    {"image_size_x", read_into<&Start::image_size_x, read_unsigned>},
    {"image_size_y", read_into<&Start::image_size_y, read_unsigned>},
    {"incident_energy", read_into<&Start::incident_energy_ev, read_number>},
    {"incident_wavelength", read_into<&Start::incident_wavelength_angstrom, read_number>},
    {"number_of_images", read_into<&Start::number_of_images, read_unsigned>},
    {"pixel_mask", read_into<&Start::pixel_mask, read_channel_arrays>},
    {"pixel_mask_enabled", read_into<&Start::pixel_mask_enabled, read_boolean>},
    {"pixel_size_x", read_into<&Start::pixel_size_x_m, read_number>},
    {"pixel_size_y", read_into<&Start::pixel_size_y_m, read_number>},
    {"saturation_value", read_into<&Start::saturation_value, read_number>},
    {"sensor_material", read_into<&Start::sensor_material, read_string>},
    {"sensor_thickness", read_into<&Start::sensor_thickness_m, read_number>},
    {"threshold_energy", read_into<&Start::threshold_energy_ev, read_channel_numbers>},
    {"user_data", read_into<&Start::user_data, read_raw>},
    {"virtual_pixel_interpolation_enabled",
     read_into<&Start::virtual_pixel_interpolation_enabled, read_boolean>},
};

constexpr Field<Image> kImageFields[] = {
    {"series_id", read_into<&Image::series_id, read_unsigned>},
    {"series_unique_id", read_into<&Image::series_unique_id, read_string>},
    {"image_id", read_into<&Image::image_id, read_unsigned>},
    {"real_time", read_into<&Image::real_time, read_rational>},
    {"start_time", read_into<&Image::start_time, read_rational>},
    {"stop_time", read_into<&Image::stop_time, read_rational>},
    {"series_date", read_into<&Image::series_date_utc_ns, read_date>},
    {"data", read_into<&Image::data, read_channel_images>},
    {"user_data", read_into<&Image::user_data, read_raw>},
};

constexpr Field<End> kEndFields[] = {
    {"series_id", read_into<&End::series_id, read_unsigned>},
    {"series_unique_id", read_into<&End::series_unique_id, read_string>},
};

/// Which keys a message can't do without were there, as bits.
constexpr unsigned kSeriesId = 1, kImageId = 2, kData = 4;

unsigned needed_bit(std::string_view key) noexcept {
  if (key == "series_id") return kSeriesId;
  if (key == "image_id") return kImageId;
  return key == "data" ? kData : 0;
}

Result<bool> skip_null(CborReader& in) {
  FF_ASSIGN(const CborItem item, in.peek());
  if (item.kind != CborKind::null) return false;
  FF_TRY(in.next());
  return true;
}

template <typename Record>
Status read_fields(CborReader in, std::span<const Field<Record>> fields, Record& record, unsigned& found) {
  FF_ASSIGN(auto pairs, in.enter_map());
  while (true) {
    FF_ASSIGN(const bool another, in.more(pairs));
    if (!another) break;
    FF_ASSIGN(const CborItem key_item, in.peek());
    if (key_item.kind != CborKind::text_string) {  // nobody's key: pass over it and its value
      FF_TRY(in.skip());
      FF_TRY(in.skip());
      continue;
    }
    FF_TRY(in.next());
    const std::string_view key = as_text(key_item.bytes);
    FF_ASSIGN(const bool null, skip_null(in));
    if (null) continue;
    const Field<Record>* known = nullptr;
    for (const Field<Record>& field : fields)
      if (field.key == key) known = &field;
    const Status status = known != nullptr ? known->read(in, record) : in.skip();
    if (!status.ok())
      return fail(status.error().code,
                  "field '" + std::string(key.substr(0, 64)) + "': " + status.error().message);
    if (known != nullptr) found |= needed_bit(key);
  }
  if (!in.at_end()) return fail(Errc::malformed, "bytes after the end of the message");
  return {};
}

/// The message's type; DECTRIS sends it first, others may not.
Result<std::string> find_type(CborReader in) {
  FF_ASSIGN(auto pairs, in.enter_map());
  while (true) {
    FF_ASSIGN(const bool another, in.more(pairs));
    if (!another) return fail(Errc::malformed, "message has no key 'type'");
    FF_ASSIGN(const CborItem key, in.peek());
    FF_TRY(in.skip());
    if (key.kind == CborKind::text_string && as_text(key.bytes) == "type") return read_string(in);
    FF_TRY(in.skip());
  }
}

template <typename Record>
void note_seen(const Record& record, unsigned found, Seen& seen) {
  if ((found & kSeriesId) != 0) seen.series_id = record.series_id;
  seen.series_unique_id = record.series_unique_id;
  if constexpr (std::is_same_v<Record, Image>)
    if ((found & kImageId) != 0) seen.image_id = record.image_id;
}

template <typename Record>
Result<Message> parse_as(CborReader in, std::span<const Field<Record>> fields, unsigned needed, Seen& seen) {
  Record record;
  unsigned found = 0;
  const Status status = read_fields(in, fields, record, found);
  note_seen(record, found, seen);
  FF_TRY(status);
  if ((found & needed) != needed)
    return fail(Errc::malformed, "a message '" + seen.type + "' lacks series_id, image_id or data");
  return Message(std::move(record));
}

}  // namespace

Result<Message> parse(ByteSpan message, Seen* seen) {
  Seen local;
  Seen& told = seen != nullptr ? *seen : local;
  told = {};
  const CborReader in(message, kCborDepthMax);
  CborReader body = in;
  // RFC 8949 §3.4.6: tag 55799 in front says "this is CBOR" and nothing more; enter_map passes over it.
  FF_ASSIGN(told.type, find_type(body));
  if (told.type == "image") return parse_as<Image>(in, kImageFields, kSeriesId | kImageId | kData, told);
  if (told.type == "start") return parse_as<Start>(in, kStartFields, kSeriesId, told);
  if (told.type == "end") return parse_as<End>(in, kEndFields, kSeriesId, told);
  return fail(Errc::unsupported_feature,
              "message type '" + told.type.substr(0, 64) + "' is not start, image or end");
}

}  // namespace ff::wire::stream_v2
