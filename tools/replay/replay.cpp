// SPDX-License-Identifier: Apache-2.0
//
// The replay loop: pace, build, damage, send, account.
#include "tools/replay/replay.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "common/base/clock.hpp"
#include "common/base/uuid.hpp"

namespace ff::tools {

namespace {

constexpr double kDefaultRateHz = 10;
constexpr std::size_t kPreloadBytesMax = 4ull << 30;
constexpr std::uint64_t kStrayImages = 3;
constexpr std::byte kImpossible{0x1c};  // no CBOR item begins with it, no JSON text holds it

std::int64_t pixel_value(Dtype dtype, const std::byte* pixel) {
  switch (dtype) {
    case Dtype::u8: return load_le<std::uint8_t>(pixel);
    case Dtype::u16: return load_le<std::uint16_t>(pixel);
    case Dtype::u32: return load_le<std::uint32_t>(pixel);
    case Dtype::i8: return load_le<std::int8_t>(pixel);
    case Dtype::i16: return load_le<std::int16_t>(pixel);
    default: return load_le<std::int32_t>(pixel);
  }
}

/// Frame n is due n frame times after the series began. Late frames go out at once; none is skipped.
class Pacer {
 public:
  explicit Pacer(double frame_time_s) : frame_time_ns_(frame_time_s * 1e9) {}

  void begin() { begin_ns_ = monotonic_now_ns(); }
  void wait_for(std::uint64_t frame, ReplayReport& report) {
    if (frame_time_ns_ <= 0) return;
    const std::int64_t due_ns =
        begin_ns_ + static_cast<std::int64_t>(static_cast<double>(frame) * frame_time_ns_);
    const std::int64_t late_ns = monotonic_now_ns() - due_ns;
    if (late_ns >= 0) {
      if (static_cast<double>(late_ns) > frame_time_ns_) ++report.late_frames;
      report.latest_s = std::max(report.latest_s, static_cast<double>(late_ns) * 1e-9);
      return;
    }
    timespec due{due_ns / 1'000'000'000, due_ns % 1'000'000'000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr) == EINTR) {
    }
  }

 private:
  double frame_time_ns_;
  std::int64_t begin_ns_ = 0;
};

class Replay {
 public:
  Replay(FrameReader& reader, const FaultPlan& faults, const ReplayOptions& options, PushSocket& socket,
         SeriesMessages& messages, Pacer pacer)
      : faults_(faults),
        options_(options),
        socket_(socket),
        messages_(messages),
        pacer_(pacer),
        frames_(options.frames > 0 ? options.frames : reader.info().frames) {}

  Result<ReplayReport> run(const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    const std::int64_t begin_ns = monotonic_now_ns();
    for (std::uint64_t index = 0; index < options_.series_count; ++index) {
      FF_TRY(run_series(index, [&](std::uint64_t done) {
        progress(index * frames_ + done, options_.series_count * frames_);
      }));
    }
    report_.seconds = static_cast<double>(monotonic_now_ns() - begin_ns) * 1e-9;
    return std::move(report_);
  }

 private:
  /// An image that goes out after the next one.
  struct HeldImage {
    std::uint64_t frame;
    MessageParts parts;
  };

  static SeriesName name_series(std::uint64_t id) { return {id, Uuid::mint().to_string(), utc_now_ns()}; }

  Status run_series(std::uint64_t index, const std::function<void(std::uint64_t)>& progress) {
    SeriesReport& series = report_.series.emplace_back();
    series.name = name_series(options_.first_series_id + index);
    series.frames_planned = frames_;
    held_.reset();
    if (!faults_.missing_start()) {
      FF_ASSIGN(MessageParts start, messages_.start(series.name, frames_));
      FF_TRY(send_or_fail(start));
      series.start_sent = true;
    }
    pacer_.begin();
    for (std::uint64_t frame = 0; frame < frames_; ++frame) {
      if (faults_.abort_after() && frame >= *faults_.abort_after()) break;
      if (faults_.stray_images() && frame == frames_ / 2) FF_TRY(send_stray_images(series));
      pacer_.wait_for(frame, report_);
      FF_TRY(send_frame(index, frame, series));
      progress(frame + 1);
    }
    FF_TRY(release_held(series, std::nullopt));
    if (faults_.abort_after() && *faults_.abort_after() < frames_) {
      series.aborted_after = *faults_.abort_after();
      return {};
    }
    MessageParts end = messages_.end(series.name);
    FF_TRY(send_or_fail(end));
    series.end_sent = true;
    return {};
  }

  Status send_frame(std::uint64_t index, std::uint64_t frame, SeriesReport& series) {
    const FrameFault fault = faults_.fault_of(index, frame);
    if (fault == FrameFault::drop) {
      series.incidents.push_back({frame, fault, "not sent"});
      return {};
    }
    FF_ASSIGN(ImageMessage image, messages_.image(series.name, frame));
    const std::uint64_t detail = faults_.detail_of(index, frame);
    MessageParts copy;
    if (fault == FrameFault::truncate) series.incidents.push_back({frame, fault, truncate(image, detail)});
    if (fault == FrameFault::corrupt) series.incidents.push_back({frame, fault, corrupt(image, detail)});
    if (fault == FrameFault::twice) copy = image.parts;
    if (fault == FrameFault::reorder && !held_) {
      held_ = HeldImage{frame, std::move(image.parts)};
      return {};
    }
    FF_TRY(send_image(image.parts, frame, series));
    if (!copy.empty()) {
      FF_TRY(send_image(copy, frame, series));
      series.incidents.push_back({frame, fault, "sent twice"});
    }
    return release_held(series, frame);
  }

  /// Sends the held image, now behind `after`; at the end of a series it simply goes last, in its order.
  Status release_held(SeriesReport& series, std::optional<std::uint64_t> after) {
    if (!held_) return {};
    HeldImage held = std::move(*held_);
    held_.reset();
    if (after)
      series.incidents.push_back(
          {held.frame, FrameFault::reorder, "sent after frame " + std::to_string(*after)});
    return send_image(held.parts, held.frame, series);
  }

  /// Cuts the part that holds the pixels somewhere inside.
  static std::string truncate(ImageMessage& image, std::uint64_t detail) {
    std::vector<std::byte>& part = image.parts[image.array_part];
    const std::size_t whole = part.size(), cut = 1 + detail % (whole - 1);
    part.resize(cut);
    return "cut to " + std::to_string(cut) + " of " + std::to_string(whole) + " bytes";
  }

  /// Overwrites what a reader can notice: Stream V2 has no checksum, so a flipped count would pass as data.
  std::string corrupt(ImageMessage& image, std::uint64_t detail) const {
    const bool compressed = options_.messages.payload.compression != kernels::DetectorCompression::none;
    if (compressed && detail % 2 == 0) {
      std::byte* const size_field = image.parts[image.array_part].data() + image.array_offset;
      for (int i = 0; i < 8; ++i) size_field[i] ^= std::byte{0xff};
      return "pixels: size of the first channel's compressed array overwritten";
    }
    std::vector<std::byte>& head = image.parts.front();
    std::fill_n(head.begin() + 4, std::min<std::size_t>(8, head.size() - 4), kImpossible);
    return "message: bytes 4 to 11 overwritten";
  }

  Status send_stray_images(SeriesReport& series) {
    if (series.name.id == 0)
      return fail(Errc::invalid_argument,
                  "--fault stray-images: no series is older than series 0; use --series-id");
    SeriesName& stray = series.stray_of;
    stray = name_series(series.name.id - 1);
    for (std::uint64_t frame = 0; frame < kStrayImages; ++frame) {
      FF_ASSIGN(ImageMessage image, messages_.image(stray, frame));
      FF_TRY(send_or_fail(image.parts));
      ++series.stray_images;
    }
    return {};
  }

  Status send_image(MessageParts& parts, std::uint64_t frame, SeriesReport& series) {
    if (!options_.drop_when_full) {
      ++series.image_messages;
      return send_or_fail(parts);
    }
    const std::size_t bytes = size_of(parts);
    FF_ASSIGN(const bool sent, socket_.send(parts, std::chrono::milliseconds(0)));
    if (!sent) {
      series.not_sent.push_back(frame);
      return {};
    }
    count(bytes);
    ++series.image_messages;
    return {};
  }

  Status send_or_fail(MessageParts& parts) {
    const std::size_t bytes = size_of(parts);
    FF_ASSIGN(const bool sent, socket_.send(parts, options_.stall));
    if (!sent) {
      return fail(Errc::timed_out, socket_.endpoint() + ": the receiver took nothing for " +
                                       std::to_string(options_.stall.count() / 1000) +
                                       " s; is it still running?");
    }
    count(bytes);
    return {};
  }

  static std::size_t size_of(const MessageParts& parts) {
    std::size_t bytes = 0;
    for (const auto& part : parts) bytes += part.size();
    return bytes;
  }
  void count(std::size_t bytes) {
    ++report_.messages;
    report_.bytes += bytes;
  }

  const FaultPlan& faults_;
  const ReplayOptions& options_;
  PushSocket& socket_;
  SeriesMessages& messages_;
  Pacer pacer_;
  std::uint64_t frames_;
  std::optional<HeldImage> held_;
  ReplayReport report_;
};

/// A detector announces its mask. For a recording that keeps none, the pixels that hold a sentinel in its
/// first frame are announced: gaps and bad pixels do so in every frame.
Status complete_mask(FrameReader& reader, RecordingInfo& info) {
  if (!info.pixel_mask.empty() || info.sentinels.empty() || dtype_is_float(info.shape.dtype)) return {};
  std::vector<std::byte> frame(info.shape.bytes());
  FF_TRY(reader.read(0, frame));
  info.pixel_mask.resize(info.shape.pixels());
  for (std::size_t i = 0; i < info.pixel_mask.size(); ++i) {
    const std::int64_t value =
        pixel_value(info.shape.dtype, frame.data() + i * dtype_bytes(info.shape.dtype));
    if (std::find(info.sentinels.begin(), info.sentinels.end(), value) != info.sentinels.end())
      info.pixel_mask[i] = kPixelGap;
  }
  return {};
}

}  // namespace

Result<ReplayReport> run_replay(FrameReader& reader, const FaultPlan& faults, const ReplayOptions& options,
                                const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  const double stated_s =
      options.rate_hz ? 1 / *options.rate_hz : reader.info().frame_time_s.value_or(1 / kDefaultRateHz);
  RecordingInfo info = reader.info();
  FF_TRY(complete_mask(reader, info));
  FramePayloads payloads(reader, options.messages.payload);
  MessageOptions message_options = options.messages;
  message_options.unknown_keys = faults.unknown_keys();
  FF_ASSIGN(const auto messages, make_series_messages(info, payloads, message_options, stated_s));
  if (options.preload)
    FF_TRY(payloads.preload(options.frames > 0 ? options.frames : reader.info().frames, kPreloadBytesMax));
  FF_ASSIGN(PushSocket socket, PushSocket::open(options.socket));
  FF_TRY(socket.wait_for_puller(options.wait));
  Replay replay(reader, faults, options, socket, *messages,
                Pacer(options.as_fast_as_possible ? 0 : stated_s));
  FF_ASSIGN(ReplayReport report, replay.run(progress));
  report.frame_time_s = stated_s;
  return report;
}

}  // namespace ff::tools
