// SPDX-License-Identifier: Apache-2.0
//
// SeriesMessages: start, image and end messages of one series, in Stream V2 or in the plain ZeroMQ format.
//
// Formats    docs/formats/stream_v2.md, docs/formats/plain.md.
// Not here   when they are sent and what goes wrong with them (replay.hpp).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "tools/recording/recording.hpp"
#include "tools/replay/frame_payloads.hpp"
#include "tools/replay/push_socket.hpp"

namespace ff::tools {

enum class WireFormat { stream_v2, plain };

struct MessageOptions {
  WireFormat format = WireFormat::stream_v2;
  PayloadOptions payload;
  std::uint32_t channels = 1;
  bool all_header_arrays = true;  ///< pixel mask, flat field and count-rate table in the start message
  bool image_user_data = false;   ///< a small map with every image
  bool unknown_keys = false;
  std::string start_user_data_json;  ///< empty: none
};

struct SeriesName {
  std::uint64_t id = 0;
  std::string unique_id;
  std::int64_t date_utc_ns = 0;
};

/// An image message and where faults may strike.
struct ImageMessage {
  MessageParts parts;
  std::size_t array_part = 0;    ///< part that holds the array bytes
  std::size_t array_offset = 0;  ///< of the first channel's array in that part
};

class SeriesMessages {
 public:
  virtual ~SeriesMessages() = default;
  [[nodiscard]] virtual Result<MessageParts> start(const SeriesName& series, std::uint64_t frames) = 0;
  /// Channel c of frame f shows frame (f + c) of the recording, which begins again after its last.
  [[nodiscard]] virtual Result<ImageMessage> image(const SeriesName& series, std::uint64_t frame) = 0;
  [[nodiscard]] virtual MessageParts end(const SeriesName& series) = 0;
};

/// `info` and `payloads` must outlive the result. `frame_time_s` is what the messages state.
[[nodiscard]] Result<std::unique_ptr<SeriesMessages>> make_series_messages(const RecordingInfo& info,
                                                                           FramePayloads& payloads,
                                                                           const MessageOptions& options,
                                                                           double frame_time_s);
[[nodiscard]] Result<std::unique_ptr<SeriesMessages>> make_stream_v2_messages(const RecordingInfo& info,
                                                                              FramePayloads& payloads,
                                                                              const MessageOptions& options,
                                                                              double frame_time_s);
[[nodiscard]] Result<std::unique_ptr<SeriesMessages>> make_plain_messages(const RecordingInfo& info,
                                                                          FramePayloads& payloads,
                                                                          const MessageOptions& options,
                                                                          double frame_time_s);

}  // namespace ff::tools
