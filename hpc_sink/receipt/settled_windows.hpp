// SPDX-License-Identifier: Apache-2.0
//
// SettledWindows: windows whose verdict stands and is durable, so that records which come again get their
// receipt again without being decoded.
//
// Data path  consume > [settled before? say so again] ; store > [settled]
// A window on its way into a file is done (done_windows.hpp) but not settled. Thread-safe.
#pragma once

#include <optional>

#include "hpc_sink/decode/done_windows.hpp"
#include "hpc_sink/receipt/verdict.hpp"

namespace ff::sink {

class SettledWindows {
 public:
  /// `outcome`: STORED or DEAD_LETTERED.
  void settle(const WindowKey& key, Outcome outcome) {
    (outcome == foreframe::wire::Receipt::STORED ? stored_ : dead_).insert(key);
  }
  [[nodiscard]] std::optional<Outcome> outcome(const WindowKey& key) const {
    if (stored_.contains(key)) return foreframe::wire::Receipt::STORED;
    if (dead_.contains(key)) return foreframe::wire::Receipt::DEAD_LETTERED;
    return std::nullopt;
  }

 private:
  DoneWindows stored_, dead_;
};

}  // namespace ff::sink
