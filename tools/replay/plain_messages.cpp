// SPDX-License-Identifier: Apache-2.0
//
// A series in the plain ZeroMQ format: a JSON header, then one part of pixels for each channel.
#include <nlohmann/json.hpp>

#include "tools/replay/series_messages.hpp"

namespace ff::tools {

namespace {

using nlohmann::ordered_json;

std::vector<std::byte> text_part(const ordered_json& header) {
  const std::string text = header.dump();
  const ByteSpan bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

class PlainMessages final : public SeriesMessages {
 public:
  PlainMessages(const RecordingInfo& info, FramePayloads& payloads, const MessageOptions& options,
                double frame_time_s, ordered_json user_data)
      : info_(info),
        payloads_(payloads),
        options_(options),
        frame_time_s_(frame_time_s),
        user_data_(std::move(user_data)) {
    for (std::uint32_t c = 0; c < options.channels; ++c)
      channels_.push_back("threshold_" + std::to_string(c + 1));
  }

  Result<MessageParts> start(const SeriesName& series, std::uint64_t frames) override {
    ordered_json header = headed("start", series);
    header["frames"] = frames;
    describe_pixels(header);
    header["frame_time_s"] = frame_time_s_;
    header["detector_description"] = "foreframe replay";
    if (!user_data_.is_null()) header["user_data"] = user_data_;
    MessageParts parts{text_part(header)};
    if (options_.all_header_arrays && !info_.pixel_mask.empty()) {
      const ByteSpan mask = std::as_bytes(std::span(info_.pixel_mask));
      parts.emplace_back(mask.begin(), mask.end());
    }
    return parts;
  }

  Result<ImageMessage> image(const SeriesName& series, std::uint64_t frame) override {
    ordered_json header = headed("image", series);
    header["frame"] = frame;
    describe_pixels(header);
    header["compression"] = compression();
    if (options_.payload.big_endian) header["byte_order"] = "big";
    header["time_ns"] =
        series.date_utc_ns + static_cast<std::int64_t>(static_cast<double>(frame) * frame_time_s_ * 1e9);
    if (options_.image_user_data) header["user_data"] = {{"frame", frame}, {"shutter", "open"}};
    ImageMessage message;
    message.parts.push_back(text_part(header));
    message.array_part = 1;
    for (std::size_t c = 0; c < channels_.size(); ++c) {
      FF_ASSIGN(const ByteSpan bytes, payloads_.payload((frame + c) % info_.frames));
      message.parts.emplace_back(bytes.begin(), bytes.end());
    }
    return message;
  }

  MessageParts end(const SeriesName& series) override {
    return MessageParts{text_part(headed("end", series))};
  }

 private:
  [[nodiscard]] ordered_json headed(const char* type, const SeriesName& series) const {
    ordered_json header = {{"type", type}, {"series", series.id}, {"series_unique_id", series.unique_id}};
    if (options_.unknown_keys)
      header["firmware_hint"] = {{"levels", {1.5, nullptr}}, {"magic_number", 0x52414D45}};
    return header;
  }
  void describe_pixels(ordered_json& header) const {
    header["shape"] = {info_.shape.rows, info_.shape.cols};
    header["dtype"] = std::string(dtype_name(info_.shape.dtype));
    if (channels_.size() > 1) header["channels"] = channels_;
  }
  [[nodiscard]] const char* compression() const {
    switch (options_.payload.compression) {
      case kernels::DetectorCompression::bslz4: return "bslz4";
      case kernels::DetectorCompression::lz4: return "lz4";
      case kernels::DetectorCompression::none: return "none";
    }
    return "none";
  }

  const RecordingInfo& info_;
  FramePayloads& payloads_;
  MessageOptions options_;
  double frame_time_s_;
  ordered_json user_data_;
  std::vector<std::string> channels_;
};

}  // namespace

Result<std::unique_ptr<SeriesMessages>> make_plain_messages(const RecordingInfo& info,
                                                            FramePayloads& payloads,
                                                            const MessageOptions& options,
                                                            double frame_time_s) {
  ordered_json user_data;
  if (!options.start_user_data_json.empty()) {
    user_data = ordered_json::parse(options.start_user_data_json, nullptr, false);
    if (user_data.is_discarded()) return fail(Errc::invalid_argument, "--user-data: is not JSON");
  }
  if (options.payload.column_major)
    return fail(Errc::invalid_argument, "--column-major: the plain format is row-major");
  return std::unique_ptr<SeriesMessages>(
      std::make_unique<PlainMessages>(info, payloads, options, frame_time_s, std::move(user_data)));
}

}  // namespace ff::tools
