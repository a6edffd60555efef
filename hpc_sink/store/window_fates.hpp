// SPDX-License-Identifier: Apache-2.0
//
// WindowFates: what became of one window's frames, as data file, catalogue and seal keep it.
//
// Data path  decode > store [data file, catalogue] > seal
// Not here   the bytes that are hashed (hpc_sink/seal/window_leaf.hpp).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hpc_sink/decode/frame_fate.hpp"

namespace ff::sink {

struct WindowFates {
  std::uint64_t window = 0;
  bool complete = false;                    ///< all that was sent of it was read
  std::vector<FrameFate> fates;             ///< one per frame; unspecified: nothing is known of it here
  bool reported = false;                    ///< the agent's window record came
  std::string payload_sha256{};             ///< 32 bytes of that record, or empty
  std::vector<std::uint32_t> pixel_crcs{};  ///< one per frame, 0 for those not stored; or empty: none stored
  std::string facts{};                      ///< a serialised WindowFacts (ledger.proto), or empty
};

/// Joins two reports of one window, frame by frame. A frame that is stored stays what it is: its pixels are in a
/// file, and a later report can't change them. What a sink presumed lost before the agent's window record came
/// gives way to the record. Else the better fate stands (better_fate). The result is complete when one of the
/// reports was and every frame has a fate that won't improve.
[[nodiscard]] WindowFates merge_fates(const WindowFates& known, const WindowFates& later);

/// The CRC of the frame at `position`; 0 where there is none.
[[nodiscard]] inline std::uint32_t pixel_crc_of(const WindowFates& window, std::size_t position) noexcept {
  return position < window.pixel_crcs.size() ? window.pixel_crcs[position] : 0;
}

}  // namespace ff::sink
