// SPDX-License-Identifier: Apache-2.0
//
// FinishedWindow: a window that waits for nothing more; what decode hands to store.
//
// Data path  consume > [decode > FinishedWindow] > store
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "common/base/payload.hpp"
#include "common/base/uuid.hpp"
#include "common/wire/records.pb.h"
#include "hpc_sink/consume/record_ticket.hpp"
#include "hpc_sink/consume/window_budget.hpp"
#include "hpc_sink/decode/frame_fate.hpp"

namespace ff::sink {

struct StreamKey {
  Uuid series;
  std::uint32_t stream = 0;
  friend auto operator<=>(const StreamKey&, const StreamKey&) = default;
};

struct WindowKey {
  StreamKey stream;
  std::uint64_t window = 0;
  friend auto operator<=>(const WindowKey&, const WindowKey&) = default;
};

/// Times of one frame, ns; kNoTime (common/base/frame_pool.hpp) where nobody said.
struct FrameTimes {
  std::int64_t detector_ns = INT64_MIN;
  std::int64_t received_utc_ns = INT64_MIN;
  std::int64_t received_monotonic_ns = INT64_MIN;
};

/// One frame of the window with all its tiles decoded.
struct DecodedFrame {
  std::uint32_t position = 0;      ///< in the window
  std::uint32_t pixel_crc = 0;     ///< CRC-32C of the pixels, rows dense
  std::vector<std::byte> chunk;    ///< the HDF5 chunk: compressed pixels, or the pixels themselves ...
  bool chunk_is_filtered = false;  ///< ... when compression did not make them smaller
  std::string user_data;           ///< the detector's per-image CBOR, as it came
  FrameTimes times;
};

/// An envelope for the dead-letter topic, byte for byte as it came.
struct DeadLetter {
  std::string key;  ///< that it had in its own topic
  Payload envelope;
};

struct FinishedWindow {
  WindowKey key;
  std::string detector;
  std::uint64_t epoch = 0;          ///< highest seen
  std::int32_t partition = 0;       ///< of the log, where its records lay
  std::uint32_t window_frames = 0;  ///< W
  foreframe::wire::StreamGeometry geometry;
  std::string boot_id;
  foreframe::wire::HostClock clock;
  std::set<std::string> bounds;      ///< that its lossy blocks carry, "sqrt:0.5"; empty: all exact
  std::vector<FrameFate> fates;      ///< one per grid position
  std::vector<DecodedFrame> frames;  ///< the stored ones, ascending
  bool complete = false;             ///< its record came, and every frame that was sent was decoded
  bool reported = false;             ///< its record came
  std::string payload_sha256;        ///< of that record; empty: it says none
  std::string facts;                 ///< a serialised WindowFacts
  std::string failure;               ///< why a block could not be decoded; "": none failed
  std::string missing;               ///< the first record that did not come, in words; "": all are here
  std::uint64_t came = 0;            ///< census_digest of its records
  bool dead = false;                 ///< its records came again, and it ended as badly as before
  bool refused = false;              ///< this sink can't take it, whole as it may be; `failure` says why
  std::vector<DeadLetter> letters;   ///< of a dead window: all its records that came
  std::uint64_t raw_bytes = 0;       ///< of `frames`, before compression
  RecordTickets tickets;             ///< of all records it was made from
  WindowLease lease;
};

}  // namespace ff::sink
