// SPDX-License-Identifier: Apache-2.0
//
// AgentRoster: which agent speaks on which connection. Bounded by link.agents_max through the link itself.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/transport/link.hpp"

namespace ff::collector {

class AgentRoster {
 public:
  void join(const transport::PeerId& peer, const std::string& agent) { agents_[peer] = agent; }
  void leave(const transport::PeerId& peer) { agents_.erase(peer); }
  /// "" when the peer has left meanwhile.
  [[nodiscard]] std::string agent_of(const transport::PeerId& peer) const {
    const auto found = agents_.find(peer);
    return found == agents_.end() ? "" : found->second;
  }
  [[nodiscard]] std::optional<transport::PeerId> peer_of(const std::string& agent) const {
    for (const auto& [peer, name] : agents_)
      if (name == agent) return peer;
    return std::nullopt;
  }
  [[nodiscard]] std::size_t size() const noexcept { return agents_.size(); }

 private:
  std::map<transport::PeerId, std::string> agents_;
};

}  // namespace ff::collector
