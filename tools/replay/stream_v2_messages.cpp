// SPDX-License-Identifier: Apache-2.0
//
// A series in Stream V2, with every field that a DECTRIS detector sends.
#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "common/wire/stream_v2_write.hpp"
#include "tools/replay/series_messages.hpp"

namespace ff::tools {

namespace {

namespace v2 = wire::stream_v2;

constexpr std::uint64_t kClockHz = 100'000'000;  // the time base of start_time, stop_time and real_time
constexpr double kReadoutShare = 1e-3;           // of the frame time
constexpr double kEnergyEv = 12400;

std::string_view compression_word(kernels::DetectorCompression kind) {
  switch (kind) {
    case kernels::DetectorCompression::bslz4: return "bslz4";
    case kernels::DetectorCompression::lz4: return "lz4";
    case kernels::DetectorCompression::none: return "";
  }
  return "";
}

v2::ArrayView array_view(const FrameShape& shape, ByteSpan bytes, const PayloadOptions& payload) {
  v2::ArrayView view;
  view.rows = shape.rows;
  view.cols = shape.cols;
  view.dtype = shape.dtype;
  view.big_endian = payload.big_endian;
  view.column_major = payload.column_major;
  view.compression = compression_word(payload.compression);
  // DECTRIS: the element size matters to bslz4 only; lz4 says 0.
  view.compressor_element_bytes = payload.compression == kernels::DetectorCompression::bslz4
                                      ? static_cast<std::uint32_t>(dtype_bytes(shape.dtype))
                                      : 0;
  view.bytes = bytes;
  return view;
}

class StreamV2Messages final : public SeriesMessages {
 public:
  StreamV2Messages(const RecordingInfo& info, FramePayloads& payloads, const MessageOptions& options,
                   double frame_time_s)
      : info_(info), payloads_(payloads), options_(options), frame_time_s_(frame_time_s) {
    for (std::uint32_t c = 0; c < options.channels; ++c)
      channels_.push_back("threshold_" + std::to_string(c + 1));
  }

  /// Arrays of the start message are made once. Errors: those of compress_array.
  Status prepare(std::vector<std::byte> user_data) {
    user_data_ = std::move(user_data);
    if (!options_.all_header_arrays) return {};
    const auto kind = options_.payload.compression;
    if (!info_.pixel_mask.empty()) {
      FF_ASSIGN(mask_, compress_array(std::as_bytes(std::span(info_.pixel_mask)), 4, kind));
    }
    const std::vector<float> flat(info_.shape.pixels(), 1.0f);
    FF_ASSIGN(flatfield_, compress_array(std::as_bytes(std::span(flat)), 4, kind));
    for (std::uint32_t i = 0; i < 256; ++i) countrate_.push_back(static_cast<float>(i) * 1.01f);
    return {};
  }

  Result<MessageParts> start(const SeriesName& series, std::uint64_t frames) override {
    v2::Start start = detector();
    start.series_id = series.id;
    start.series_unique_id = series.unique_id;
    start.arm_date_utc_ns = series.date_utc_ns;
    start.number_of_images = frames;
    start.user_data = user_data_;
    if (options_.all_header_arrays) add_arrays(start);
    return MessageParts{v2::write(start, {options_.unknown_keys})};
  }

  Result<ImageMessage> image(const SeriesName& series, std::uint64_t frame) override {
    v2::Image image;
    image.series_id = series.id;
    image.series_unique_id = series.unique_id;
    image.image_id = frame;
    image.series_date_utc_ns = series.date_utc_ns;
    const std::uint64_t begin = ticks(static_cast<double>(frame) * frame_time_s_);
    const std::uint64_t exposed = ticks(frame_time_s_ * (1 - kReadoutShare));
    image.start_time = v2::Rational{begin, kClockHz};
    image.stop_time = v2::Rational{begin + exposed, kClockHz};
    image.real_time = v2::Rational{exposed, kClockHz};
    const auto user_data =
        options_.image_user_data
            ? nlohmann::json::to_cbor({{"frame", frame}, {"shutter", "open"}, {"ring_current_mA", 99.5}})
            : std::vector<std::uint8_t>{};
    image.user_data = std::as_bytes(std::span(user_data));
    // A payload lasts until the next is asked for; further channels need their own memory.
    std::vector<std::vector<std::byte>> kept(channels_.size());
    for (std::size_t c = 0; c < channels_.size(); ++c) {
      FF_ASSIGN(ByteSpan bytes, payloads_.payload((frame + c) % info_.frames));
      if (channels_.size() > 1) {
        kept[c].assign(bytes.begin(), bytes.end());
        bytes = kept[c];
      }
      image.data.push_back({channels_[c], array_view(info_.shape, bytes, options_.payload)});
    }
    v2::WrittenImage written = v2::write(image, {options_.unknown_keys});
    ImageMessage message;
    message.array_offset = written.first_array_offset;
    message.parts.push_back(std::move(written.message));
    return message;
  }

  MessageParts end(const SeriesName& series) override {
    return MessageParts{v2::write(v2::End{series.id, series.unique_id}, {options_.unknown_keys})};
  }

 private:
  static std::uint64_t ticks(double seconds) {
    return static_cast<std::uint64_t>(std::llround(seconds * static_cast<double>(kClockHz)));
  }

  [[nodiscard]] v2::Start detector() const {
    v2::Start start;
    start.beam_center_x_px = info_.shape.cols / 2.0;
    start.beam_center_y_px = info_.shape.rows / 2.0;
    start.channels = channels_;
    start.count_time_s = frame_time_s_ * (1 - kReadoutShare);
    start.frame_time_s = frame_time_s_;
    start.countrate_correction_enabled = false;
    start.detector_description = info_.description.empty()
                                     ? "foreframe replay"
                                     : "foreframe replay: " + info_.description.substr(0, 200);
    start.detector_serial_number = "FF-REPLAY-1";
    start.detector_translation_m = {0.0, 0.0, 0.2};
    start.flatfield_enabled = false;
    start.goniometer = {{"omega", 0.0, 0.1}, {"chi", 0.0, 0.0}, {"phi", 12.5, 0.0}, {"two_theta", 0.0, 0.0}};
    start.image_dtype = std::string(dtype_name(info_.shape.dtype));
    start.image_size_x = info_.shape.cols;
    start.image_size_y = info_.shape.rows;
    start.incident_energy_ev = kEnergyEv;
    start.incident_wavelength_angstrom = 12398.41984 / kEnergyEv;
    start.pixel_mask_enabled = !info_.pixel_mask.empty();
    start.pixel_size_x_m = start.pixel_size_y_m = 75e-6;
    start.saturation_value = dtype_bytes(info_.shape.dtype) == 1 ? 254 : 60000;
    start.sensor_material = "Si";
    start.sensor_thickness_m = 450e-6;
    for (std::size_t c = 0; c < channels_.size(); ++c) {
      start.threshold_energy_ev.push_back({channels_[c], kEnergyEv / 2 + 1000.0 * static_cast<double>(c)});
    }
    start.virtual_pixel_interpolation_enabled = false;
    return start;
  }

  void add_arrays(v2::Start& start) const {
    PayloadOptions plain_order;
    plain_order.compression = options_.payload.compression;
    for (const std::string& channel : channels_) {
      if (!mask_.empty()) {
        start.pixel_mask.push_back(
            {channel, array_view({Dtype::u32, info_.shape.rows, info_.shape.cols}, mask_, plain_order)});
      }
      start.flatfield.push_back(
          {channel, array_view({Dtype::f32, info_.shape.rows, info_.shape.cols}, flatfield_, plain_order)});
    }
    plain_order.compression = kernels::DetectorCompression::none;
    start.countrate_correction_table =
        array_view({Dtype::f32, 1, static_cast<std::uint32_t>(countrate_.size())},
                   std::as_bytes(std::span(countrate_)), plain_order);
  }

  const RecordingInfo& info_;
  FramePayloads& payloads_;
  MessageOptions options_;
  double frame_time_s_;
  std::vector<std::string> channels_;
  std::vector<std::byte> mask_, flatfield_, user_data_;
  std::vector<float> countrate_;
};

Result<std::vector<std::byte>> user_data_as_cbor(const std::string& text) {
  if (text.empty()) return std::vector<std::byte>{};
  const auto parsed = nlohmann::json::parse(text, nullptr, false);
  if (parsed.is_discarded())
    return fail(Errc::invalid_argument,
                "--user-data: is not JSON; quote it for the shell, as in '{\"proposal\": \"p1\"}'");
  const std::vector<std::uint8_t> cbor = nlohmann::json::to_cbor(parsed);
  const ByteSpan bytes = std::as_bytes(std::span(cbor));
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

}  // namespace

Result<std::unique_ptr<SeriesMessages>> make_stream_v2_messages(const RecordingInfo& info,
                                                                FramePayloads& payloads,
                                                                const MessageOptions& options,
                                                                double frame_time_s) {
  FF_ASSIGN(std::vector<std::byte> user_data, user_data_as_cbor(options.start_user_data_json));
  auto messages = std::make_unique<StreamV2Messages>(info, payloads, options, frame_time_s);
  FF_TRY(messages->prepare(std::move(user_data)));
  return std::unique_ptr<SeriesMessages>(std::move(messages));
}

Result<std::unique_ptr<SeriesMessages>> make_series_messages(const RecordingInfo& info,
                                                             FramePayloads& payloads,
                                                             const MessageOptions& options,
                                                             double frame_time_s) {
  if (options.channels < 1 || options.channels > v2::kChannelsMax) {
    return fail(Errc::out_of_range, "--channels takes 1 to " + std::to_string(v2::kChannelsMax));
  }
  return options.format == WireFormat::plain ? make_plain_messages(info, payloads, options, frame_time_s)
                                             : make_stream_v2_messages(info, payloads, options, frame_time_s);
}

}  // namespace ff::tools
