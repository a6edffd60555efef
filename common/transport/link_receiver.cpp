// SPDX-License-Identifier: Apache-2.0
//
// The collector's end of the link. Everything a peer can make us hold is bounded: peers by number, message
// sizes by ZeroMQ, unacknowledged bytes by credit; who breaks the rules is told BYE and forgotten.
#include <algorithm>
#include <map>
#include <utility>

#include "common/base/clock.hpp"
#include "common/transport/link.hpp"
#include "common/transport/link_socket.hpp"
#include "common/transport/link_split.hpp"
#include "common/wire/control_record.hpp"

namespace ff::transport {
namespace {

namespace wire = foreframe::wire;
using std::chrono::nanoseconds;

constexpr int kAcknowledgeBatch = 128;
constexpr std::uint32_t kMalformedMax = 8;  ///< then the peer is told BYE
constexpr int kQueueMessages = 64;          ///< ZeroMQ's own queue per peer, each way
constexpr std::uint64_t kCreditLeastBytes = 64u << 10;
constexpr std::size_t kPartsMax = 3;  ///< identity, LinkMessage, envelope

struct Peer {
  std::string agent;
  std::uint64_t under_way_bytes = 0;
  std::map<std::string, std::uint64_t> under_way;  ///< serialized RecordId: envelope bytes
  wire::Acknowledge acknowledgements;              ///< gathered, sent at the next poll()
  std::uint32_t malformed = 0;
  std::uint64_t told_credit_bytes = 0;
  nanoseconds patience{0};
  std::int64_t last_heard_ns = 0;
  std::int64_t last_sent_ns = 0;
};

}  // namespace

struct LinkReceiver::Body {
  LinkReceiver* self = nullptr;
  LinkReceiverOptions options;
  LinkSocket socket;
  std::map<PeerId, Peer> peers;
  std::uint32_t partition_count = 0;
  std::int64_t next_timers_ns = 0;

  bool send(const PeerId& id, const wire::LinkMessage& message);
  void say_bye(const PeerId& id, const std::string& reason);
  void forget(const PeerId& id, const std::string& reason);
  void malformed(const PeerId& id, const Error& why);
  void greet(const PeerId& id, const wire::Hello& hello);
  void settle(Peer& peer, const wire::RecordId& record);
  void watch(const PeerId& id, const wire::Watch& watch);
  [[nodiscard]] std::uint64_t credit_share() const;
  void share_credit(const PeerId& newcomer);
  void send_acknowledgements(const PeerId& id, Peer& peer);
  void keep_alive();
  void forget_silent();
  std::optional<ReceivedEnvelope> handle(std::vector<Payload> parts, bool too_many);
  std::optional<ReceivedEnvelope> take_record(const PeerId& id, Peer& peer, const wire::RecordId& record,
                                              Payload envelope);
};

bool LinkReceiver::Body::send(const PeerId& id, const wire::LinkMessage& message) {
  if (!socket.send_copy(as_bytes(id), true)) return false;  // ROUTER_MANDATORY: the peer is gone
  return socket.send_message(message, false);
}

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
  Peer& peer = peers[id];
  peer = Peer{};
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

void LinkReceiver::Body::watch(const PeerId& id, const wire::Watch& watch) {
  for (const wire::RecordSet& set : watch.records()) {
    const Status checked = ff::wire::check_record_set(set);
    if (!checked.ok()) return malformed(id, checked.error());
  }
  if (self->on_watch) self->on_watch(id, watch);
}

void LinkReceiver::Body::settle(Peer& peer, const wire::RecordId& record) {
  const auto found = peer.under_way.find(record.SerializeAsString());
  if (found == peer.under_way.end()) return;
  peer.under_way_bytes -= found->second;
  peer.under_way.erase(found);
}

std::optional<ReceivedEnvelope> LinkReceiver::Body::take_record(const PeerId& id, Peer& peer,
                                                                const wire::RecordId& record,
                                                                Payload envelope) {
  // One envelope always fits, so the limit is credit plus one of the largest.
  if (!peer.under_way.empty() && peer.under_way_bytes + envelope.size() > options.credit_bytes) {
    const Error why{Errc::queue_full, "agent " + peer.agent + " sent more than its credit"};
    if (self->on_malformed) self->on_malformed(id, why);
    say_bye(id, why.message);
    forget(id, why.message);
    return std::nullopt;
  }
  const auto [entry, is_new] = peer.under_way.try_emplace(record.SerializeAsString(), envelope.size());
  if (is_new) peer.under_way_bytes += envelope.size();
  return ReceivedEnvelope{id, record, std::move(envelope)};
}

std::optional<ReceivedEnvelope> LinkReceiver::Body::handle(std::vector<Payload> parts, bool too_many) {
  const PeerId id(as_text(parts[0].bytes()));
  if (too_many || parts.size() < 2) {
    malformed(id, Error{Errc::malformed, "link message with a wrong number of parts"});
    return std::nullopt;
  }
  const auto message = parse_link_message(parts[1].bytes());
  if (!message.ok()) {
    malformed(id, message.error());
    return std::nullopt;
  }
  const bool is_record = message->message_case() == wire::LinkMessage::kRecord;
  if (is_record != (parts.size() == 3)) {
    malformed(id, Error{Errc::malformed, "link message with a wrong number of parts"});
    return std::nullopt;
  }
  if (message->message_case() == wire::LinkMessage::kHello) {
    greet(id, message->hello());
    return std::nullopt;
  }
  const auto found = peers.find(id);
  if (found == peers.end()) {
    malformed(id, Error{Errc::disconnected, "say HELLO first"});
    return std::nullopt;
  }
  found->second.last_heard_ns = monotonic_now_ns();
  switch (message->message_case()) {
    case wire::LinkMessage::kRecord:
      return take_record(id, found->second, message->record(), std::move(parts[2]));
    case wire::LinkMessage::kWatch: watch(id, message->watch()); return std::nullopt;
    case wire::LinkMessage::kHeartbeat: return std::nullopt;
    case wire::LinkMessage::kBye: forget(id, "bye: " + message->bye().reason()); return std::nullopt;
    default:
      malformed(id, Error{Errc::malformed, "a message that only collectors send"});
      return std::nullopt;
  }
}

void LinkReceiver::Body::send_acknowledgements(const PeerId& id, Peer& peer) {
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

LinkReceiver::LinkReceiver() : body_(std::make_unique<Body>()) { body_->self = this; }
LinkReceiver::~LinkReceiver() = default;

Result<std::unique_ptr<LinkReceiver>> LinkReceiver::open(const LinkReceiverOptions& options) {
  std::unique_ptr<LinkReceiver> receiver(new LinkReceiver);
  Body& body = *receiver->body_;
  body.options = options;
  const std::uint64_t largest = std::max<std::uint64_t>(options.envelope_bytes_max, kLinkMessageBytesMax);
  FF_TRY(body.socket.open(ZMQ_ROUTER));
  FF_TRY(body.socket.set(ZMQ_ROUTER_MANDATORY, 1));
  FF_TRY(body.socket.set(ZMQ_RCVHWM, kQueueMessages));
  FF_TRY(body.socket.set(ZMQ_SNDHWM, kQueueMessages));
  FF_TRY(body.socket.set_i64(ZMQ_MAXMSGSIZE, static_cast<std::int64_t>(largest)));
  FF_TRY(body.socket.bind(options.listen));
  return receiver;
}

void LinkReceiver::set_partition_count(std::uint32_t partitions) { body_->partition_count = partitions; }

std::optional<ReceivedEnvelope> LinkReceiver::poll(nanoseconds timeout) {
  Body& b = *body_;
  const std::int64_t deadline_ns = monotonic_now_ns() + timeout.count();
  b.keep_alive();
  for (;;) {
    bool too_many = false;
    auto parts = b.socket.receive(kPartsMax, too_many);
    if (parts) {
      auto received = b.handle(std::move(*parts), too_many);
      if (received) return received;
      continue;
    }
    b.forget_silent();
    b.keep_alive();
    const std::int64_t left_ns = deadline_ns - monotonic_now_ns();
    if (left_ns <= 0) return std::nullopt;
    b.socket.wait(std::min(nanoseconds(left_ns), b.options.heartbeat / 2));
  }
}

void LinkReceiver::keep_alive() { body_->keep_alive(); }

void LinkReceiver::acknowledge(const PeerId& peer, const wire::RecordId& id) {
  const auto found = body_->peers.find(peer);
  if (found == body_->peers.end()) return;  // gone; the record is sent again over its next connection
  body_->settle(found->second, id);
  *found->second.acknowledgements.add_records() = id;
  if (found->second.acknowledgements.records_size() >= kAcknowledgeBatch)
    body_->send_acknowledgements(found->first, found->second);
}

void LinkReceiver::refuse(const PeerId& peer, const wire::RecordId& id, const Error& why) {
  const auto found = body_->peers.find(peer);
  if (found == body_->peers.end()) return;
  body_->settle(found->second, id);
  wire::LinkMessage message;
  wire::Refuse& refuse = *message.mutable_refuse();
  *refuse.mutable_record() = id;
  refuse.set_code(std::string(to_string(why.code)));
  refuse.set_message(why.message);
  if (body_->send(peer, message)) found->second.last_sent_ns = monotonic_now_ns();
}

bool LinkReceiver::send_news(const PeerId& peer, const wire::ReceiptNews& news) {
  const auto found = body_->peers.find(peer);
  if (found == body_->peers.end()) return false;
  for (const wire::LinkMessage& message : split_news(news)) {
    if (!body_->send(peer, message)) return false;
    found->second.last_sent_ns = monotonic_now_ns();
  }
  return true;
}

bool LinkReceiver::send_missing(const PeerId& peer, const wire::Missing& missing) {
  wire::LinkMessage message;
  *message.mutable_missing() = missing;
  if (!body_->peers.contains(peer) || message.ByteSizeLong() > kLinkMessageBytesMax) return false;
  return body_->send(peer, message);
}

std::size_t LinkReceiver::peer_count() const { return body_->peers.size(); }
std::string LinkReceiver::address() const { return body_->socket.bound_address(); }

}  // namespace ff::transport
