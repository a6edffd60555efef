// SPDX-License-Identifier: Apache-2.0
//
// The plain format turned into the agent's words.
#include "agent/ingest/plain_source.hpp"

#include <nlohmann/json.hpp>

#include "agent/ingest/pixel_unpack.hpp"
#include "agent/ingest/source_event.hpp"
#include "common/base/frame_pool.hpp"

namespace ff::agent {
namespace {

using Json = nlohmann::json;
using What = std::variant<SeriesStarted, FrameArrived, SeriesEnded, Unreadable>;

/// Deepest nesting of a JSON text, counted before it is parsed: what follows may recurse.
std::uint32_t json_depth(std::string_view text) noexcept {
  std::uint32_t depth = 0, deepest = 0;
  bool in_string = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string && c == '\\')
      ++at;
    else if (c == '"')
      in_string = !in_string;
    else if (!in_string && (c == '{' || c == '['))
      deepest = std::max(deepest, ++depth);
    else if (!in_string && (c == '}' || c == ']') && depth > 0)
      --depth;
  }
  return deepest;
}

Result<Json> parse_header(ByteSpan part) {
  if (part.size() > kPlainHeaderBytesMax)
    return fail(Errc::too_large,
                "header of " + std::to_string(part.size()) + " bytes; at most 64 KiB are accepted");
  if (json_depth(as_text(part)) > kPlainHeaderDepthMax)
    return fail(Errc::too_deep, "header is nested deeper than 32 levels");
  Json header = Json::parse(as_text(part), nullptr, false);
  if (header.is_discarded() || !header.is_object()) return fail(Errc::malformed, "header is no JSON object");
  return header;
}

std::optional<std::uint64_t> unsigned_of(const Json& header, const char* key) {
  const auto found = header.find(key);
  if (found == header.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<std::uint64_t>();
}

std::optional<double> number_of(const Json& header, const char* key) {
  const auto found = header.find(key);
  if (found == header.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

std::string text_of(const Json& header, const char* key) {
  const auto found = header.find(key);
  if (found == header.end() || !found->is_string()) return {};
  return found->get<std::string>().substr(0, 4096);
}

Result<SeriesKey> key_of(const Json& header) {
  const auto id = unsigned_of(header, "series");
  if (!id) return fail(Errc::malformed, "header lacks \"series\", a number from 0");
  return SeriesKey{*id, text_of(header, "series_unique_id")};
}

/// "dtype" and "shape" [rows, cols]. Errors: dtype_unsupported, shape_mismatch.
Result<FrameShape> shape_of(const Json& header) {
  const auto dtype = parse_dtype(text_of(header, "dtype"));
  if (!dtype)
    return fail(Errc::dtype_unsupported,
                "\"dtype\" is none of uint8, uint16, uint32, int8, int16, int32, float16, float32");
  const auto found = header.find("shape");
  const bool two = found != header.end() && found->is_array() && found->size() == 2 &&
                   (*found)[0].is_number_unsigned() && (*found)[1].is_number_unsigned();
  if (!two) return fail(Errc::shape_mismatch, "\"shape\" is not [rows, cols]");
  const auto rows = (*found)[0].get<std::uint64_t>(), cols = (*found)[1].get<std::uint64_t>();
  if (rows == 0 || cols == 0 || rows > 65536 || cols > 65536)
    return fail(Errc::shape_mismatch, "\"shape\" is not in 1 ... 65536");
  return FrameShape{*dtype, static_cast<std::uint32_t>(rows), static_cast<std::uint32_t>(cols)};
}

std::vector<std::string> channels_of(const Json& header) {
  std::vector<std::string> channels;
  const auto found = header.find("channels");
  if (found == header.end() || !found->is_array() || found->size() > 64) return channels;
  for (const Json& name : *found)
    if (name.is_string()) channels.push_back(name.get<std::string>().substr(0, 4096));
  return channels;
}

/// Appends `value` to the message as CBOR; the returned span lives as long as `parts`.
ByteSpan keep_as_cbor(const Json& header, std::vector<Payload>& parts) {
  const auto found = header.find("user_data");
  if (found == header.end()) return {};
  const std::vector<std::uint8_t> cbor = Json::to_cbor(*found);
  parts.push_back(Payload::copy(std::as_bytes(std::span(cbor))));
  return parts.back().bytes();
}

void copy_detector(const Json& header, foreframe::wire::SeriesStart::Detector& to) {
  to.set_description(text_of(header, "detector_description"));
  to.set_serial_number(text_of(header, "detector_serial_number"));
  to.set_sensor_material(text_of(header, "sensor_material"));
  if (const auto v = number_of(header, "count_time_s")) to.set_count_time_s(*v);
  if (const auto v = number_of(header, "frame_time_s")) to.set_frame_time_s(*v);
  if (const auto v = number_of(header, "pixel_size_x_m")) to.set_pixel_size_x_m(*v);
  if (const auto v = number_of(header, "pixel_size_y_m")) to.set_pixel_size_y_m(*v);
  if (const auto v = number_of(header, "beam_center_x_px")) to.set_beam_center_x_px(*v);
  if (const auto v = number_of(header, "beam_center_y_px")) to.set_beam_center_y_px(*v);
  if (const auto v = number_of(header, "incident_energy_ev")) to.set_incident_energy_ev(*v);
  if (const auto v = number_of(header, "incident_wavelength_angstrom"))
    to.set_incident_wavelength_angstrom(*v);
  if (const auto v = number_of(header, "sensor_thickness_m")) to.set_sensor_thickness_m(*v);
  if (const auto v = number_of(header, "saturation_value")) to.set_saturation_value(*v);
}

What from_start(const Json& header, const SeriesKey& key, std::vector<Payload>& parts) {
  SeriesStarted event;
  event.key = key;
  event.channels = channels_of(header);
  event.images_expected = unsigned_of(header, "frames");
  event.frame_time_s = number_of(header, "frame_time_s");
  if (header.contains("shape")) {
    auto shape = shape_of(header);
    if (!shape.ok()) return Unreadable{std::move(shape).error(), key, std::nullopt};
    event.shape = *shape;
  }
  if (parts.size() > 2)
    return Unreadable{fail(Errc::malformed, "a start has one further part at most, the mask"), key,
                      std::nullopt};
  if (parts.size() == 2) {
    const ByteSpan bytes = parts[1].bytes();
    if (!event.shape || bytes.size() != event.shape->pixels() * 4)
      return Unreadable{fail(Errc::shape_mismatch, "the mask is not \"shape\" uint32 values"), key,
                        std::nullopt};
    auto& mask = event.pixel_mask[event.channels.empty() ? "" : event.channels[0]];
    mask.resize(event.shape->pixels());
    std::memcpy(mask.data(), bytes.data(), bytes.size());
  }
  copy_detector(header, *event.said.mutable_detector());
  event.said.set_user_data_cbor(std::string(as_text(keep_as_cbor(header, parts))));
  return event;
}

ChannelPixels pixels_of(const Json& header, const FrameShape& shape, ByteSpan bytes) {
  ChannelPixels pixels;
  pixels.shape = shape;
  pixels.bytes = bytes;
  pixels.big_endian = text_of(header, "byte_order") == "big";
  pixels.compressor_element_bytes = dtype_bytes(shape.dtype);
  auto compression = kernels::parse_detector_compression(text_of(header, "compression"));
  if (compression.ok())
    pixels.compression = *compression;
  else
    pixels.problem = std::move(compression).error();
  return pixels;
}

What from_image(const Json& header, const SeriesKey& key, std::vector<Payload>& parts) {
  const auto frame = unsigned_of(header, "frame");
  if (!frame)
    return Unreadable{fail(Errc::malformed, "header lacks \"frame\", a number from 0"), key, std::nullopt};
  if (parts.size() < 2)
    return Unreadable{fail(Errc::truncated, "an image has a pixel part after its header"), key, frame};
  auto shape = shape_of(header);
  if (!shape.ok()) return Unreadable{std::move(shape).error(), key, frame};

  FrameArrived event;
  event.key = key;
  event.frame = *frame;
  const auto time = header.find("time_ns");
  event.detector_time_ns =
      time != header.end() && time->is_number_integer() ? time->get<std::int64_t>() : kNoTime;
  const std::vector<std::string> channels = channels_of(header);
  for (std::size_t part = 1; part < parts.size(); ++part) {
    event.channels.push_back(pixels_of(header, *shape, parts[part].bytes()));
    if (part - 1 < channels.size())
      event.channels.back().channel = channels[part - 1];
    else if (parts.size() > 2)
      event.channels.back().channel = "channel_" + std::to_string(part);
  }
  event.user_data = keep_as_cbor(header, parts);
  return event;
}

}  // namespace

std::variant<SeriesStarted, FrameArrived, SeriesEnded, Unreadable> read_plain(std::vector<Payload>& parts) {
  const auto unreadable = [](Error why) { return Unreadable{std::move(why), std::nullopt, std::nullopt}; };
  if (parts.empty()) return unreadable(fail(Errc::truncated, "message without a header"));
  auto header = parse_header(parts[0].bytes());
  if (!header.ok()) return unreadable(std::move(header).error());
  auto key = key_of(*header);
  if (!key.ok()) return unreadable(std::move(key).error());
  const std::string type = text_of(*header, "type");
  if (type == "image") return from_image(*header, *key, parts);
  if (type == "start") return from_start(*header, *key, parts);
  if (type == "end") return SeriesEnded{*key};
  return Unreadable{fail(Errc::unsupported_feature, "\"type\" is not start, image or end"), *key,
                    std::nullopt};
}

Result<std::unique_ptr<FrameSource>> PlainSource::open(const ZmqPullOptions& options) {
  FF_ASSIGN(auto socket, ZmqPull::open(options));
  return std::unique_ptr<FrameSource>(new PlainSource(std::move(socket)));
}

Result<std::optional<SourceEvent>> PlainSource::poll(std::chrono::nanoseconds timeout) {
  return receive_event(*socket_, timeout, [](std::vector<Payload>& parts) { return read_plain(parts); });
}

}  // namespace ff::agent
