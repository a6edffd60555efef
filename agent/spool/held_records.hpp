// SPDX-License-Identifier: Apache-2.0
//
// HeldRecords: windows with a block that a sink can't decode yet. They wait in the spool, whole, and nothing else
// waits behind them.
//
// Data path  spool > [HeldRecords: does it have to wait?] > link
// Whole windows, because a window record without its blocks would have the sinks ask for what may not be sent. A
// window of which some records have gone already waits with the rest. Memory: kWindowsMax windows; beyond them
// everything waits. One thread.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "agent/spool/receipt_book.hpp"
#include "agent/spool/sink_abilities.hpp"

namespace ff::agent {

class HeldRecords {
 public:
  static constexpr std::size_t kWindowsMax = 65'536;

  /// `payload`: of a block, at least its beginning. True when the record has to wait.
  [[nodiscard]] bool holds(const wire::EnvelopeHeader& header, ByteSpan payload,
                           const SinkAbilities& abilities, std::int64_t now_ns) {
    if (!header.has_block() && !header.has_window()) return false;
    const auto needs = header.has_block() ? block_needs(payload) : std::nullopt;
    std::string who = needs ? abilities.who_cannot(*needs, now_ns) : std::string();
    if (who.empty()) return !windows_.empty() && windows_.contains(group_of(header));
    who_ = std::move(who);
    needs_.insert(*needs);
    windows_.insert(group_of(header));
    return true;
  }
  /// Too many wait: what follows can't pass them.
  [[nodiscard]] bool is_full() const noexcept { return windows_.size() >= kWindowsMax; }
  [[nodiscard]] std::size_t windows() const noexcept { return windows_.size(); }
  /// Who can't decode them: "sink NAME of DESTINATION decodes blocks up to 0.2"; "" when nothing waits.
  [[nodiscard]] const std::string& who() const noexcept { return who_; }

  /// True when some of what waits can be decoded now; then all of it is forgotten, and to be looked at again.
  [[nodiscard]] bool release(const SinkAbilities& abilities, std::int64_t now_ns) {
    for (const BlockNeeds& needs : needs_)
      if (abilities.who_cannot(needs, now_ns).empty()) {
        forget();
        return true;
      }
    return false;
  }
  void forget() {
    windows_.clear();
    needs_.clear();
    who_.clear();
  }

 private:
  std::set<RecordGroup> windows_;
  std::set<BlockNeeds> needs_;
  std::string who_;
};

}  // namespace ff::agent
