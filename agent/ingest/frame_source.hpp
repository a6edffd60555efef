// SPDX-License-Identifier: Apache-2.0
//
// FrameSource: what any detector says, in one set of words.
//
// Data path  detector > [FrameSource] > series ingest > window > encode
// Bodies     stream_v2_source.hpp (DECTRIS Stream V2), plain_source.hpp (JSON header + pixels).
// Not here   which series a message belongs to and what is wrong with its order (series_ingest.hpp).
//
// Pixels stay where the message brought them (compressed or not) until they are unpacked into a pool slot.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/frame_view.hpp"
#include "common/base/payload.hpp"
#include "common/base/result.hpp"
#include "common/wire/records.pb.h"
#include "kernels/interop/bslz4.hpp"

namespace ff::agent {

/// A series as the detector names it. Detectors start again at 1 after a restart, so that only the unique id,
/// where there is one, tells two series of the same number apart.
struct SeriesKey {
  std::uint64_t id = 0;
  std::string unique_id;

  /// True when nothing speaks against both being the same series.
  [[nodiscard]] bool matches(const SeriesKey& other) const {
    return id == other.id && (unique_id.empty() || other.unique_id.empty() || unique_id == other.unique_id);
  }
};

/// Pixels of one channel as they came, or why they can't be used.
struct ChannelPixels {
  std::string channel;
  FrameShape shape;
  bool big_endian = false;
  bool column_major = false;
  kernels::DetectorCompression compression = kernels::DetectorCompression::none;
  std::size_t compressor_element_bytes = 0;
  ByteSpan bytes;                ///< points into the event's message
  std::optional<Error> problem;  ///< set: the pixels are unusable, only the frame number counts
};

/// What the detector said before the first image. Empty where it did not say.
struct SeriesStarted {
  SeriesKey key;
  std::vector<std::string> channels;
  std::optional<FrameShape> shape;  ///< of every channel
  std::optional<std::uint64_t> images_expected;
  std::optional<double> frame_time_s;
  std::map<std::string, std::vector<std::uint32_t>> pixel_mask;  ///< by channel; 0 = good
  std::map<std::string, std::vector<float>> flatfield;           ///< by channel
  std::map<std::string, double> threshold_energy_ev;             ///< by channel
  foreframe::wire::SeriesStart said;  ///< the detector's metadata; geometry and streams are filled in later
};

struct FrameArrived {
  SeriesKey key;
  std::uint64_t frame = 0;                    ///< number in the series, from 0
  std::int64_t detector_time_ns = INT64_MIN;  ///< UTC by the detector's clock; kNoTime if it sent none
  std::vector<ChannelPixels> channels;
  ByteSpan user_data;  ///< one CBOR item; points into the event's message
};

struct SeriesEnded {
  SeriesKey key;
};

/// A message that could not be understood, with what it still told.
struct Unreadable {
  Error why;
  std::optional<SeriesKey> key;
  std::optional<std::uint64_t> frame;
};

struct SourceEvent {
  std::variant<SeriesStarted, FrameArrived, SeriesEnded, Unreadable> what;
  std::int64_t received_utc_ns = 0;
  std::int64_t received_monotonic_ns = 0;
  std::size_t message_bytes = 0;
  std::vector<Payload> message;  ///< keeps the bytes alive that `what` points into
};

class FrameSource {
 public:
  virtual ~FrameSource() = default;

  /// The next message, or nothing after `timeout`. Errors are those of the socket, not of messages: io_error.
  /// One thread only.
  [[nodiscard]] virtual Result<std::optional<SourceEvent>> poll(std::chrono::nanoseconds timeout) = 0;
  /// "stream_v2" or "plain"; goes into the series record.
  [[nodiscard]] virtual std::string_view name() const = 0;
};

}  // namespace ff::agent
