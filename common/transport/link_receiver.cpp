// SPDX-License-Identifier: Apache-2.0
//
// The collector's end of the link: its socket, what comes in, and what the collector says to an agent.
#include <algorithm>
#include <utility>

#include "common/base/clock.hpp"
#include "common/transport/link_receiver_body.hpp"
#include "common/transport/link_split.hpp"
#include "common/wire/control_record.hpp"

namespace ff::transport {
namespace {

namespace wire = foreframe::wire;
using std::chrono::nanoseconds;

constexpr int kAcknowledgeBatch = 128;
constexpr int kQueueMessages = 64;    ///< ZeroMQ's own queue per peer, each way
constexpr std::size_t kPartsMax = 3;  ///< identity, LinkMessage, envelope

}  // namespace

bool LinkReceiver::Body::send(const PeerId& id, const wire::LinkMessage& message) {
  if (!socket.send_copy(as_bytes(id), true)) return false;  // ROUTER_MANDATORY: the peer is gone
  return socket.send_message(message, false);
}

void LinkReceiver::Body::watch(const PeerId& id, const wire::Watch& watch) {
  for (const wire::RecordSet& set : watch.records()) {
    const Status checked = ff::wire::check_record_set(set);
    if (!checked.ok()) return malformed(id, checked.error());
  }
  if (self->on_watch) self->on_watch(id, watch);
}

void LinkReceiver::Body::settle(LinkPeer& peer, const wire::RecordId& record) {
  const auto found = peer.under_way.find(record.SerializeAsString());
  if (found == peer.under_way.end()) return;
  peer.under_way_bytes -= found->second;
  peer.under_way.erase(found);
}

std::optional<ReceivedEnvelope> LinkReceiver::Body::take_record(const PeerId& id, LinkPeer& peer,
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
