// SPDX-License-Identifier: Apache-2.0
//
// FrameFate: in which state a frame number is, and where it ended if it ended badly; with the rule by which
// two reports about the same frame become one.
//
// Data path  consume > [decode] > [store] > ledger
// Not here   counting fates (hpc_sink/store/ledger.hpp).
#pragma once

#include <cstdint>
#include <string_view>

#include "common/wire/records.pb.h"

namespace ff::sink {

using foreframe::wire::FrameState;
using foreframe::wire::Stage;

struct FrameFate {
  std::uint8_t state = foreframe::wire::FRAME_STATE_UNSPECIFIED;  ///< FrameState
  std::uint8_t stage = foreframe::wire::STAGE_NONE;               ///< Stage, for DAMAGED and LOST
  friend bool operator==(const FrameFate&, const FrameFate&) = default;
};

[[nodiscard]] inline FrameFate make_fate(FrameState state,
                                         Stage stage = foreframe::wire::STAGE_NONE) noexcept {
  return {static_cast<std::uint8_t>(state), static_cast<std::uint8_t>(stage)};
}

[[nodiscard]] inline bool is_stored(FrameFate fate) noexcept {
  return fate.state == foreframe::wire::STORED_EXACT || fate.state == foreframe::wire::STORED_BOUNDED;
}

/// True when the sink itself did not get what was sent: what comes later may still make it good.
[[nodiscard]] inline bool may_improve(FrameFate fate) noexcept {
  const bool at_the_sink =
      fate.stage == foreframe::wire::STAGE_LOG || fate.stage == foreframe::wire::STAGE_RETENTION ||
      fate.stage == foreframe::wire::STAGE_DECODE || fate.stage == foreframe::wire::STAGE_STORE;
  return at_the_sink && (fate.state == foreframe::wire::LOST || fate.state == foreframe::wire::DAMAGED);
}

/// The better of two reports about one frame: stored, summarised, vetoed, damaged, lost, not acquired,
/// unknown. Of two equal states the first report stands.
[[nodiscard]] FrameFate better_fate(FrameFate first, FrameFate second) noexcept;

/// "stored_exact", "lost" ...: the ledger's words.
[[nodiscard]] std::string_view state_word(std::uint8_t state) noexcept;
/// "receive", "decode" ...
[[nodiscard]] std::string_view stage_word(std::uint8_t stage) noexcept;

}  // namespace ff::sink
