// SPDX-License-Identifier: Apache-2.0
//
// SinkAbilities: the newest block that every sink of the required destinations can decode.
//
// Sinks announce themselves at start and once an hour; who was not heard for two hours is taken for gone. Before
// any has spoken, everything may be sent: the log keeps it.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/wire/receipts.pb.h"

namespace ff::agent {

/// Version and required features of a block, from the first bytes of its header (docs/formats/block.md).
struct BlockNeeds {
  std::uint8_t major = 0, minor = 0;
  std::uint32_t features = 0;
  friend auto operator<=>(const BlockNeeds&, const BlockNeeds&) = default;
};
/// Nothing for bytes that are too short to be a block.
[[nodiscard]] inline std::optional<BlockNeeds> block_needs(ByteSpan block) noexcept {
  if (block.size() < 12) return std::nullopt;
  return BlockNeeds{static_cast<std::uint8_t>(block[4]), static_cast<std::uint8_t>(block[5]),
                    load_le<std::uint32_t>(block.data() + 8)};
}

class SinkAbilities {
 public:
  explicit SinkAbilities(std::vector<std::string> destinations) : destinations_(std::move(destinations)) {}

  void note(const foreframe::wire::SinkAbility& ability, std::int64_t now_ns) {
    if (std::ranges::find(destinations_, ability.destination()) == destinations_.end()) return;
    const auto key = std::pair(ability.destination(), ability.sink());
    if (sinks_.size() >= kSinksMax && !sinks_.contains(key)) return;
    sinks_[key] = {ability, now_ns};
  }

  /// Who can't decode such a block: "sink NAME of DESTINATION decodes blocks up to 0.2"; empty: all can.
  [[nodiscard]] std::string who_cannot(const BlockNeeds& needs, std::int64_t now_ns) const {
    for (const auto& [key, heard] : sinks_) {
      if (now_ns - heard.at_ns > kForgottenNs) continue;
      const auto& can = heard.ability;
      const bool newer = std::tuple(std::uint32_t{needs.major}, std::uint32_t{needs.minor}) >
                         std::tuple(can.block_major(), can.block_minor());
      const bool unknown = (needs.features & ~can.block_features()) != 0;
      if (newer || unknown)
        return "sink " + key.second + " of " + key.first + " decodes blocks up to " +
               std::to_string(can.block_major()) + "." + std::to_string(can.block_minor()) +
               (unknown ? ", not all their features" : "");
    }
    return {};
  }

 private:
  static constexpr std::int64_t kForgottenNs = 7'200'000'000'000;
  static constexpr std::size_t kSinksMax = 4096;
  struct Heard {
    foreframe::wire::SinkAbility ability;
    std::int64_t at_ns = 0;
  };
  std::vector<std::string> destinations_;
  std::map<std::pair<std::string, std::string>, Heard> sinks_;  ///< by destination and name
};

}  // namespace ff::agent
