// SPDX-License-Identifier: Apache-2.0
//
// Agents of a collector: greeted, given their share of the credit, kept alive, forgotten.
#include <algorithm>
#include <utility>

#include "common/base/clock.hpp"
#include "common/transport/link_receiver_body.hpp"

namespace ff::transport {
namespace {

namespace wire = foreframe::wire;

constexpr std::uint32_t kMalformedMax = 8;  ///< then the peer is told BYE
constexpr std::uint64_t kCreditLeastBytes = 64u << 10;

}  // namespace

void LinkReceiver::Body::say_bye(const PeerId& id, const std::string& reason) {
  wire::LinkMessage message;
  message.mutable_bye()->set_reason(reason);
  static_cast<void>(send(id, message));
}

void LinkReceiver::Body::forget(const PeerId& id, const std::string& reason) {
  if (peers.erase(id) == 0) return;
  if (self->on_gone) self->on_gone(id, reason);
  share_credit("");
}

std::uint64_t LinkReceiver::Body::credit_share() const {
  const std::uint64_t share = options.credit_total_bytes / std::max<std::size_t>(peers.size(), 1);
  return std::min(options.credit_bytes, std::max(kCreditLeastBytes, share));
}

/// Agents came or went: tells those whose share has changed. One that has more under way than its new share sends
/// nothing until enough of it is acknowledged.
void LinkReceiver::Body::share_credit(const PeerId& newcomer) {
  const std::uint64_t share = credit_share();
  for (auto& [id, peer] : peers) {
    if (peer.told_credit_bytes == share || id == newcomer) continue;
    wire::LinkMessage message;
    message.mutable_credit()->set_credit_bytes(share);
    if (!send(id, message)) continue;  // told at the next change; until then the limit of all holds
    peer.told_credit_bytes = share;
    peer.last_sent_ns = monotonic_now_ns();
  }
}

void LinkReceiver::Body::malformed(const PeerId& id, const Error& why) {
  if (self->on_malformed) self->on_malformed(id, why);
  const auto peer = peers.find(id);
  if (peer != peers.end() && ++peer->second.malformed < kMalformedMax) return;
  say_bye(id, why.message);  // a stranger at once: a real agent begins anew
  forget(id, "too many malformed messages");
}

void LinkReceiver::Body::greet(const PeerId& id, const wire::Hello& hello) {
  if (hello.protocol() != kLinkProtocol)
    return malformed(id,
                     Error{Errc::unsupported_version, "link protocol " + std::to_string(hello.protocol())});
  if (hello.agent().empty() || hello.agent().size() > 128)
    return malformed(id, Error{Errc::malformed, "HELLO without a usable agent name"});
  // The same agent on an older connection: that one is dead, its TCP only doesn't know yet.
  const auto same = std::ranges::find_if(
      peers, [&](const auto& other) { return other.first != id && other.second.agent == hello.agent(); });
  if (same != peers.end()) forget(PeerId(same->first), "replaced by a newer connection");
  if (!peers.contains(id) && peers.size() >= options.agents_max) {
    if (self->on_malformed) self->on_malformed(id, Error{Errc::refused, "too many agents"});
    return say_bye(id, "this collector has " + std::to_string(peers.size()) + " agents, its limit");
  }
  LinkPeer& peer = peers[id];
  peer = LinkPeer{};
  peer.agent = hello.agent();
  peer.patience = silence_allowed(options.agent_timeout, hello.heartbeat_ms());
  peer.last_heard_ns = monotonic_now_ns();
  if (self->on_hello) self->on_hello(id, hello);
  wire::LinkMessage message;
  wire::Welcome& welcome = *message.mutable_welcome();
  welcome.set_protocol(kLinkProtocol);
  welcome.set_collector(options.collector);
  welcome.set_software(software_name());
  welcome.set_credit_bytes(credit_share());
  welcome.set_partition_count(partition_count);
  welcome.set_envelope_bytes_max(options.envelope_bytes_max);
  welcome.set_heartbeat_ms(milliseconds_u32(options.heartbeat));
  if (send(id, message)) peer.last_sent_ns = monotonic_now_ns();
  peer.told_credit_bytes = welcome.credit_bytes();
  share_credit(id);
}

void LinkReceiver::Body::send_acknowledgements(const PeerId& id, LinkPeer& peer) {
  if (peer.acknowledgements.records_size() == 0) return;
  wire::LinkMessage message;
  message.mutable_acknowledge()->Swap(&peer.acknowledgements);
  if (send(id, message)) {
    peer.last_sent_ns = monotonic_now_ns();
  } else {
    message.mutable_acknowledge()->Swap(&peer.acknowledgements);  // its queue is full: next time
  }
}

void LinkReceiver::Body::keep_alive() {
  const std::int64_t now_ns = monotonic_now_ns();
  for (auto& [id, peer] : peers) {
    send_acknowledgements(id, peer);
    if (now_ns - peer.last_sent_ns < options.heartbeat.count()) continue;
    wire::LinkMessage message;
    message.mutable_heartbeat()->set_sent_utc_ns(utc_now_ns());
    static_cast<void>(send(id, message));
    peer.last_sent_ns = now_ns;
  }
}

/// Only asked when everything that came was read: what waits in our own queue is not a peer's silence.
void LinkReceiver::Body::forget_silent() {
  const std::int64_t now_ns = monotonic_now_ns();
  if (now_ns < next_timers_ns) return;
  next_timers_ns = now_ns + options.heartbeat.count() / 4;
  std::vector<PeerId> silent;
  for (const auto& [id, peer] : peers)
    if (now_ns - peer.last_heard_ns > peer.patience.count()) silent.push_back(id);
  for (const PeerId& id : silent) forget(id, "silent for too long");
}

}  // namespace ff::transport
