// SPDX-License-Identifier: Apache-2.0
//
// The agent's end of the link. Two states: calling (HELLO is out, no WELCOME yet) and connected. Silence, a
// BYE or a collector that has forgotten us end either state and the next collector is called.
#include <algorithm>
#include <map>
#include <tuple>
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

constexpr nanoseconds kByeLinger = std::chrono::milliseconds(200);
constexpr nanoseconds kRedialDelay = std::chrono::milliseconds(100);

using RecordKey = std::tuple<std::string, std::uint32_t, std::uint64_t, std::uint64_t>;
RecordKey key_of(const wire::RecordId& id) { return {id.detector(), id.stream(), id.epoch(), id.sequence()}; }

}  // namespace

struct LinkSender::Body {
  LinkSender* self = nullptr;
  LinkSenderOptions options;
  LinkSocket socket;
  std::size_t collector = 0;  ///< index of the one in use
  bool dialled = false;       ///< the socket is connected to that address
  bool hello_sent = false;
  bool welcomed = false;
  std::uint64_t credit_bytes = 0;
  nanoseconds patience{0};  ///< with the collector in use
  std::uint64_t envelope_bytes_max = 0;
  std::map<RecordKey, std::uint64_t> under_way;  ///< unacknowledged envelope bytes
  std::uint64_t under_way_bytes = 0;
  std::int64_t last_heard_ns = 0;
  std::int64_t last_sent_ns = 0;
  std::int64_t dial_at_ns = 0;

  Status dial();
  void hang_up();
  void keep_time();
  void try_hello();
  void handle(const wire::LinkMessage& message);
  void settle(const wire::RecordId& id);
  void take_news(const wire::ReceiptNews& news);
};

Status LinkSender::Body::dial() {
  FF_TRY(socket.open(ZMQ_DEALER));
  FF_TRY(socket.set(ZMQ_SNDHWM, 0));     // credit is the limit
  FF_TRY(socket.set(ZMQ_IMMEDIATE, 1));  // nothing is queued for a collector that isn't there
  FF_TRY(socket.set_i64(ZMQ_MAXMSGSIZE, static_cast<std::int64_t>(kLinkMessageBytesMax)));
  FF_TRY(socket.connect(options.collectors[collector]));
  dialled = true;
  hello_sent = welcomed = false;
  patience = options.collector_timeout;
  last_heard_ns = monotonic_now_ns();
  return {};
}

/// Gives this collector up; the next one is called after a short delay, so that two that refuse don't spin
/// us.
void LinkSender::Body::hang_up() {
  socket.close();
  dialled = hello_sent = welcomed = false;
  under_way.clear();
  under_way_bytes = 0;
  collector = (collector + 1) % options.collectors.size();
  dial_at_ns = monotonic_now_ns() + kRedialDelay.count();
}

void LinkSender::Body::try_hello() {
  wire::LinkMessage message;
  wire::Hello& hello = *message.mutable_hello();
  hello.set_protocol(kLinkProtocol);
  hello.set_agent(options.agent);
  hello.set_software(software_name());
  hello.set_heartbeat_ms(milliseconds_u32(options.heartbeat));
  if (self->positions)
    for (wire::StreamPosition& position : self->positions()) *hello.add_positions() = std::move(position);
  hello_sent = socket.send_message(message, false);  // false until TCP is connected
  if (hello_sent) last_sent_ns = monotonic_now_ns();
}

void LinkSender::Body::settle(const wire::RecordId& id) {
  const auto found = under_way.find(key_of(id));
  if (found == under_way.end()) return;  // of an earlier connection
  under_way_bytes -= found->second;
  under_way.erase(found);
}

void LinkSender::Body::handle(const wire::LinkMessage& message) {
  last_heard_ns = monotonic_now_ns();
  switch (message.message_case()) {
    case wire::LinkMessage::kWelcome:
      if (message.welcome().protocol() != kLinkProtocol) return hang_up();
      welcomed = true;
      credit_bytes = message.welcome().credit_bytes();
      envelope_bytes_max = message.welcome().envelope_bytes_max();
      patience = silence_allowed(options.collector_timeout, message.welcome().heartbeat_ms());
      under_way.clear();
      under_way_bytes = 0;
      if (self->on_welcome) self->on_welcome(message.welcome());
      return;
    case wire::LinkMessage::kAcknowledge:
      for (const wire::RecordId& id : message.acknowledge().records()) {
        settle(id);
        if (self->on_acknowledged) self->on_acknowledged(id);
      }
      return;
    case wire::LinkMessage::kRefuse:
      settle(message.refuse().record());
      if (self->on_refused) self->on_refused(message.refuse());
      return;
    case wire::LinkMessage::kNews: return take_news(message.news());
    case wire::LinkMessage::kMissing:
      for (const wire::SequenceRange& range : message.missing().records())
        if (self->on_missing) self->on_missing(range);
      return;
    case wire::LinkMessage::kCredit: credit_bytes = message.credit().credit_bytes(); return;
    case wire::LinkMessage::kBye: return hang_up();
    default: return;  // heartbeats; what only agents say is ignored
  }
}

/// Passes on what keeps the rules. The rest may come from a newer sink through an honest collector: it costs
/// that one piece, not the connection.
void LinkSender::Body::take_news(const wire::ReceiptNews& news) {
  wire::ReceiptNews good;
  const auto keep = [this](const Status& checked, const auto& said, auto* kept) {
    if (checked.ok()) {
      *kept->Add() = said;
    } else if (self->on_malformed) {
      self->on_malformed(checked.error());
    }
  };
  for (const auto& receipt : news.receipts())
    keep(ff::wire::check_receipt(receipt), receipt, good.mutable_receipts());
  for (const auto& replay : news.replays())
    keep(ff::wire::check_replay(replay), replay, good.mutable_replays());
  for (const auto& ability : news.abilities())
    keep(ff::wire::check_ability(ability), ability, good.mutable_abilities());
  if (self->on_news) self->on_news(good);
}

void LinkSender::Body::keep_time() {
  const std::int64_t now_ns = monotonic_now_ns();
  if (!dialled) {
    if (now_ns >= dial_at_ns && !dial().ok()) hang_up();
    return;
  }
  if (!hello_sent) try_hello();
  if (!hello_sent || now_ns - last_sent_ns < options.heartbeat.count()) return;
  wire::LinkMessage message;
  message.mutable_heartbeat()->set_sent_utc_ns(utc_now_ns());
  if (socket.send_message(message, false)) last_sent_ns = now_ns;
}

LinkSender::LinkSender() : body_(std::make_unique<Body>()) { body_->self = this; }
LinkSender::~LinkSender() = default;

Result<std::unique_ptr<LinkSender>> LinkSender::open(const LinkSenderOptions& options) {
  if (options.agent.empty() || options.agent.size() > 128)
    return fail(Errc::invalid_argument, "agent name \"" + options.agent + "\": 1 to 128 characters");
  if (options.collectors.empty()) return fail(Errc::invalid_argument, "no collector address is given");
  std::unique_ptr<LinkSender> sender(new LinkSender);
  sender->body_->options = options;
  for (const std::string& address : options.collectors) {  // a wrong address is a set-up error: say it now
    sender->body_->collector = static_cast<std::size_t>(&address - options.collectors.data());
    FF_TRY(sender->body_->dial());
  }
  sender->body_->collector = 0;
  FF_TRY(sender->body_->dial());
  return sender;
}

bool LinkSender::can_send(std::size_t bytes) const {
  const Body& b = *body_;
  if (!b.welcomed) return false;
  return b.under_way.empty() || b.under_way_bytes + bytes <= b.credit_bytes;
}

Status LinkSender::send(const wire::RecordId& id, const Payload& envelope) {
  Body& b = *body_;
  if (!b.welcomed) return fail(Errc::disconnected, "no collector at " + peer());
  if (envelope.size() > b.envelope_bytes_max)
    return fail(Errc::too_large, "envelope of " + std::to_string(envelope.size()) +
                                     " bytes; the collector at " + peer() + " takes " +
                                     std::to_string(b.envelope_bytes_max));
  if (!can_send(envelope.size()))
    return fail(Errc::queue_full, std::to_string(b.under_way_bytes) + " bytes are under way to " + peer());
  wire::LinkMessage head;
  *head.mutable_record() = id;
  if (!b.socket.send_message(head, true))
    return fail(Errc::disconnected, "connection to " + peer() + " is gone");
  if (!b.socket.send_payload(envelope, false)) {
    b.hang_up();  // half a message is out: only a new connection is clean
    return fail(Errc::disconnected, "connection to " + peer() + " broke");
  }
  b.last_sent_ns = monotonic_now_ns();
  const auto [entry, is_new] = b.under_way.try_emplace(key_of(id), envelope.size());
  if (is_new) b.under_way_bytes += envelope.size();
  return {};
}

Status LinkSender::watch(const std::vector<wire::RecordSet>& records) {
  Body& b = *body_;
  if (!b.welcomed) return fail(Errc::disconnected, "no collector at " + peer());
  for (const wire::RecordSet& set : records) FF_TRY(ff::wire::check_record_set(set));
  for (const wire::LinkMessage& message : split_watch(records))
    if (!b.socket.send_message(message, false))
      return fail(Errc::queue_full, "the connection to " + peer() + " takes no more questions now");
  b.last_sent_ns = monotonic_now_ns();
  return {};
}

void LinkSender::poll(nanoseconds timeout) {
  Body& b = *body_;
  b.keep_time();
  if (!b.dialled) timeout = std::min(timeout, kRedialDelay);
  if (!b.hello_sent) timeout = std::min<nanoseconds>(timeout, std::chrono::milliseconds(5));
  timeout = std::min(timeout, b.options.heartbeat);
  if (b.dialled) b.socket.wait(timeout);
  bool too_many = false;
  while (b.dialled) {
    const auto parts = b.socket.receive(1, too_many);
    if (!parts) break;
    const auto message = parse_link_message(parts->front().bytes());
    if (!message.ok() || too_many) {
      b.hang_up();  // whatever is at that address, it is no collector
      break;
    }
    b.handle(*message);
  }
  // Only asked when everything that came was read: what waits in our own queue is not a collector's silence.
  if (b.dialled && monotonic_now_ns() - b.last_heard_ns > b.patience.count()) b.hang_up();
  b.keep_time();
}

bool LinkSender::connected() const { return body_->welcomed; }
std::string LinkSender::peer() const { return body_->options.collectors[body_->collector]; }

void LinkSender::say_bye(const std::string& reason) {
  Body& b = *body_;
  if (!b.dialled || !b.hello_sent) return;
  wire::LinkMessage message;
  message.mutable_bye()->set_reason(reason);
  static_cast<void>(b.socket.send_message(message, false));
  b.socket.close(kByeLinger);
  b.hang_up();
}

}  // namespace ff::transport
