// SPDX-License-Identifier: Apache-2.0
//
// Sending the spool.
#include "agent/spool/send_stage.hpp"

#include <algorithm>
#include <thread>

#include "common/base/clock.hpp"
#include "common/service/logging.hpp"
#include "common/wire/envelope.hpp"

namespace ff::agent {
namespace {

constexpr auto kIdlePoll = std::chrono::milliseconds(10);
constexpr std::int64_t kCommitInterval = 200'000'000;
constexpr std::int64_t kHeldInterval = 200'000'000;
constexpr std::size_t kDoneBeyondMax = 1u << 20;  // records acknowledged behind one that waits, 48 bytes each
constexpr int kBurst = 64;                        // records sent between two looks at the socket

}  // namespace

Result<SpoolReaders> SpoolReaders::open(const std::filesystem::path& folder) {
  SpoolReaders readers;
  FF_ASSIGN(readers.sender, transport::SegmentReader::open(folder, "sender"));
  FF_ASSIGN(readers.free, transport::SegmentReader::open(folder, "free"));
  FF_ASSIGN(readers.again, transport::SegmentReader::follow(folder));
  return readers;
}

foreframe::wire::RecordId SendStage::id_of(const Identity& identity) {
  foreframe::wire::RecordId id;
  id.set_detector(std::get<0>(identity));
  id.set_stream(std::get<1>(identity));
  id.set_epoch(std::get<2>(identity));
  id.set_sequence(std::get<3>(identity));
  return id;
}

SendStage::SendStage(SendStageOptions options, SpoolReaders readers,
                     std::unique_ptr<transport::LinkSender> link, Quarantine quarantine,
                     std::atomic<std::uint32_t>& partition_count, SpoolWaits& waits, service::Health& health,
                     AgentMetrics& metrics)
    : spool_(std::move(readers.sender)),
      link_(std::move(link)),
      quarantine_(std::move(quarantine)),
      partition_count_(partition_count),
      waits_(waits),
      health_(health),
      metrics_(metrics),
      abilities_(options.receipts.destinations) {
  cursor_ = committed_ = sent_end_ = expected_ = spool_->committed();
  if (options.wait_for_receipts)
    keeper_ = std::make_unique<ReceiptKeeper>(std::move(options.receipts), options.resend_share,
                                              std::move(readers.free), std::move(readers.again), quarantine_,
                                              waits_, metrics_);
  else
    free_ = std::move(readers.free);
  link_->positions = [this] { return positions(); };
  link_->on_welcome = [this](const foreframe::wire::Welcome& welcome) { on_welcome(welcome); };
  link_->on_refused = [this](const foreframe::wire::Refuse& refusal) { on_refused(refusal); };
  link_->on_missing = [this](const foreframe::wire::SequenceRange& range) { on_missing(range); };
  link_->on_news = [this](const foreframe::wire::ReceiptNews& news) { on_news(news); };
  link_->on_acknowledged = [this](const foreframe::wire::RecordId& id) {
    metrics_.records_acknowledged.add();
    done(id);
  };
}

Status SendStage::run(const std::atomic<bool>& spool_closed, const std::atomic<std::int64_t>& deadline_ns) {
  health_.set_trouble("link", "no collector answers yet");
  bool was_connected = false;
  while (true) {
    bool sent = false;
    for (int burst = 0; burst < kBurst; ++burst) {
      FF_ASSIGN(const bool one, send_next());
      if (!one) break;
      sent = true;
    }
    send_missing();
    release_held();
    if (keeper_)
      FF_TRY(look_after_receipts(sent));
    else
      watch_streams();
    link_->poll(sent ? std::chrono::milliseconds(0) : kIdlePoll);
    if (link_->connected() != was_connected) {
      was_connected = link_->connected();
      waits_.connected.store(was_connected, std::memory_order_relaxed);
      metrics_.link_connected.set(was_connected ? 1 : 0);
      health_.set_trouble("link", was_connected ? "" : "no collector answers");
    }
    FF_TRY(commit_if_due(false));
    const std::int64_t deadline = deadline_ns.load(std::memory_order_relaxed);
    const bool drained = spool_closed.load(std::memory_order_acquire) && outstanding() == 0;
    if (drained || (deadline != 0 && monotonic_now_ns() >= deadline)) break;
  }
  FF_TRY(commit_if_due(true));
  link_->say_bye("agent stopped");
  return {};
}

/// Without receipts to wait for there is still to be heard what the sinks can decode.
void SendStage::watch_streams() {
  if (unheard_.empty() || !link_->connected()) return;
  std::vector<foreframe::wire::RecordSet> sets;
  for (const auto& [uid, detector, stream] : unheard_) {
    auto& set = sets.emplace_back();
    set.set_series_uid(uid);
    set.set_detector(detector);
    set.set_stream(stream);
  }
  if (link_->watch(sets).ok()) unheard_.clear();
}

/// Notes what was written, asks, and sends again: behind the new records, with what the budget allows.
Status SendStage::look_after_receipts(bool sent_new) {
  FF_TRY(keeper_->walk(sent_end_));
  keeper_->ask(*link_);
  if (!sent_new && !next_ && link_->connected()) keeper_->budget().nothing_new(monotonic_now_ns());
  for (int burst = 0; burst < kBurst && send_again(); ++burst) {
  }
  return {};
}

std::uint64_t SendStage::outstanding() {
  const std::uint64_t end = spool_->end_offset();
  return end > cursor_ ? end - cursor_ - std::min<std::uint64_t>(done_.size(), end - cursor_) : 0;
}

/// True when a record was sent or passed over; false when there is nothing to send or no credit.
Result<bool> SendStage::send_next() {
  if (!link_->connected()) return false;
  if (!next_) {
    auto read = spool_->next();
    if (!read.ok()) {
      const Errc code = read.error().code;
      if (code != Errc::out_of_range && code != Errc::crc_mismatch) return std::move(read).error();
      metrics_.spool_damage.add();
      service::log_error("spool lost records before they were sent",
                         {{"why", std::string_view(read.error().message)}});
      return true;
    }
    if (!read->has_value()) return false;
    next_ = std::move(**read);
    if (next_->offset > expected_)
      gaps_.emplace(expected_, next_->offset);  // damaged: nobody will acknowledge them
    expected_ = next_->offset + 1;
  }
  if (next_->offset < cursor_ || done_.contains(next_->offset) || under_way_.contains(next_->offset))
    return next_.reset(), true;
  if (!link_->can_send(next_->value.size())) return false;

  switch (send_record(*next_, false)) {
    case Sent::not_now: return false;
    case Sent::held:
      if (held_.is_full() || done_.size() >= kDoneBeyondMax) return false;
      break;
    case Sent::unreadable:
      // Our own spool holds something that is no envelope: it can't be sent, and must not stop what follows.
      metrics_.report(Fault::record_refused, "unreadable record in the spool", {{"offset", next_->offset}});
      done_.insert(next_->offset);
      break;
    case Sent::yes:
      metrics_.records_sent.add();
      sent_end_ = std::max(sent_end_, next_->offset + 1);
      break;
  }
  return next_.reset(), true;
}

/// True when a record was sent once more, or passed over.
bool SendStage::send_again() {
  if (!link_->connected()) return false;
  const auto may_go = [this](const wire::EnvelopeHeader& header, ByteSpan payload) {
    return !held_.holds(header, payload, abilities_, monotonic_now_ns());
  };
  if (!again_) again_ = keeper_->next_again(cursor_, may_go);
  if (!again_ || !link_->can_send(again_->value.size())) return false;
  const Sent sent = send_record(*again_, true);
  if (sent == Sent::not_now || sent == Sent::held) return false;
  if (sent == Sent::yes) metrics_.records_resent.add();
  return again_.reset(), true;
}

SendStage::Sent SendStage::send_record(const transport::SegmentRecord& record, bool again) {
  auto envelope = wire::parse_envelope(record.value.bytes());
  if (!envelope.ok()) {
    service::log_error("spool holds a record that is no envelope; passed over",
                       {{"offset", record.offset}, {"why", std::string_view(envelope.error().message)}});
    return Sent::unreadable;
  }
  if (held_.holds(envelope->header, envelope->payload, abilities_, monotonic_now_ns())) return Sent::held;
  const auto& header = envelope->header;
  if (!keeper_ && header.has_series_start()) {
    heard_ = {
        {header.series_uid(), header.detector(), header.stream()}};  // one stream's news tell of all sinks
    unheard_ = heard_;
  }
  const Identity identity{header.detector(), header.stream(), header.epoch(), header.sequence()};
  const Status sent = link_->send(id_of(identity), record.value);
  if (!sent.ok()) return Sent::not_now;  // credit or connection went away meanwhile
  offsets_[identity] = record.offset;
  under_way_[record.offset] = {identity, record.value, again};
  if (keeper_ && again) keeper_->budget().sent_again(record.value.size(), monotonic_now_ns());
  if (keeper_ && !again) keeper_->budget().sent_new(record.value.size(), monotonic_now_ns());
  return Sent::yes;
}

/// What can be decoded since a sink was updated, or since one was not heard of for long, is sent in its turn.
void SendStage::release_held() {
  const std::int64_t now = monotonic_now_ns();
  if (held_.windows() > 0 && now - held_checked_ns_ >= kHeldInterval) {
    held_checked_ns_ = now;
    if (held_.release(abilities_, now)) read_again_from_cursor();
  }
  tell_held();
}

void SendStage::tell_held() {
  metrics_.windows_held.set(static_cast<double>(held_.windows()));
  if (held_.who() == cannot_decode_) return;
  cannot_decode_ = held_.who();
  const bool waits = !cannot_decode_.empty();
  health_.set_trouble(
      "sinks",
      waits ? cannot_decode_ + "; windows with newer blocks stay in the spool until it is updated" : "");
  if (waits)
    service::log_warning("windows wait in the spool for sinks that can decode them",
                         {{"why", cannot_decode_}});
}

/// What was passed over lies before records that were sent since; those are known by their offsets.
void SendStage::read_again_from_cursor() {
  next_.reset();
  spool_->rewind();
  expected_ = spool_->committed();
}

/// Sent, jumped over, and not acknowledged: only what is under way is still ours to send for the collector's gap. What
/// was acknowledged elsewhere, quarantined, or waits for its turn or for a sink is left.
void SendStage::on_missing(const foreframe::wire::SequenceRange& range) {
  const Identity first{range.detector(), range.stream(), range.epoch(), range.first_sequence()};
  for (auto found = offsets_.lower_bound(first); found != offsets_.end(); ++found) {
    const auto& [detector, stream, epoch, sequence] = found->first;
    const bool inside = detector == range.detector() && stream == range.stream() && epoch == range.epoch() &&
                        sequence - range.first_sequence() < range.count();
    if (!inside) return;
    missing_.insert(found->second);
  }
}

void SendStage::send_missing() {
  while (!missing_.empty() && link_->connected()) {
    const auto found = under_way_.find(*missing_.begin());
    missing_.erase(missing_.begin());
    if (found == under_way_.end()) continue;
    if (!link_->send(id_of(found->second.identity), found->second.envelope).ok()) return;
    metrics_.records_resent.add();
  }
}

void SendStage::on_news(const foreframe::wire::ReceiptNews& news) {
  for (const auto& ability : news.abilities()) {
    abilities_.note(ability, monotonic_now_ns());
    metrics_.abilities.add();
  }
  if (keeper_) keeper_->on_news(news);
}

void SendStage::on_welcome(const foreframe::wire::Welcome& welcome) {
  partition_count_.store(welcome.partition_count(), std::memory_order_relaxed);
  service::log_info("collector takes over", {{"collector", welcome.collector()},
                                             {"address", link_->peer()},
                                             {"records_under_way", under_way_.size()}});
  if (keeper_)
    for (const auto& [offset, record] : under_way_)
      if (const auto sent = wire::parse_envelope(record.envelope.bytes()); record.again && sent.ok())
        keeper_->lost_on_the_way(sent->header);
  under_way_.clear();
  offsets_.clear();
  missing_.clear();
  again_.reset();
  held_.forget();
  read_again_from_cursor();
  if (keeper_) keeper_->on_welcome();
  unheard_ = heard_;
}

void SendStage::on_refused(const foreframe::wire::Refuse& refusal) {
  const auto& id = refusal.record();
  metrics_.report(Fault::record_refused, "collector refused a record for good; quarantined",
                  {{"stream", id.stream()},
                   {"sequence", id.sequence()},
                   {"code", refusal.code()},
                   {"why", refusal.message()}});
  const auto found = offsets_.find({id.detector(), id.stream(), id.epoch(), id.sequence()});
  if (found == offsets_.end()) return;
  const ByteSpan bytes = under_way_.at(found->second).envelope.bytes();
  const auto envelope = wire::parse_envelope(bytes);  // it was one when it was sent
  const Status kept =
      envelope.ok() ? quarantine_.keep(envelope->header, refusal.code() + ": " + refusal.message(), bytes)
                    : Status(envelope.error());
  if (!kept.ok()) {
    metrics_.quarantine_overflow.add();
    service::log_error("refused record could not be kept", {{"why", std::string_view(kept.error().message)}});
  }
  done(id);
}

void SendStage::done(const foreframe::wire::RecordId& id) {
  const auto found = offsets_.find({id.detector(), id.stream(), id.epoch(), id.sequence()});
  if (found == offsets_.end()) return;  // acknowledged twice, or sent before a reconnection
  const std::uint64_t offset = found->second;
  const bool again = under_way_.at(offset).again;
  under_way_.erase(offset);
  offsets_.erase(found);
  if (again) return;  // the log had it before
  done_.insert(offset);
  auto& up_to = acknowledged_up_to_[{id.detector(), id.stream(), id.epoch()}];
  up_to = std::max<std::uint64_t>(up_to, id.sequence());
  advance_cursor();
}

void SendStage::advance_cursor() {
  while (true) {
    if (!done_.empty() && *done_.begin() <= cursor_) {
      cursor_ = std::max(cursor_, *done_.begin() + 1);
      done_.erase(done_.begin());
    } else if (!gaps_.empty() && gaps_.begin()->first <= cursor_) {
      cursor_ = std::max(cursor_, gaps_.begin()->second);
      gaps_.erase(gaps_.begin());
    } else {
      return;
    }
  }
}

std::vector<foreframe::wire::StreamPosition> SendStage::positions() const {
  auto first = acknowledged_up_to_;
  for (auto& [stream, sequence] : first) ++sequence;
  for (const auto& [identity, offset] : offsets_) {
    if (under_way_.at(offset).again) continue;
    const auto& [detector, stream, epoch, sequence] = identity;
    auto& lowest = first.try_emplace({detector, stream, epoch}, sequence).first->second;
    lowest = std::min(lowest, sequence);
  }
  std::vector<foreframe::wire::StreamPosition> positions;
  for (const auto& [stream, sequence] : first) {
    auto& position = positions.emplace_back();
    position.set_detector(std::get<0>(stream));
    position.set_stream(std::get<1>(stream));
    position.set_epoch(std::get<2>(stream));
    position.set_first_unacknowledged_sequence(sequence);
  }
  return positions;
}

Status SendStage::commit_if_due(bool now) {
  const std::int64_t time = monotonic_now_ns();
  if (!now && time - committed_ns_ < kCommitInterval) return {};
  committed_ns_ = time;
  advance_cursor();
  const std::uint64_t unsent = outstanding();
  metrics_.spool_records.set(static_cast<double>(unsent));
  waits_.unsent.store(unsent, std::memory_order_relaxed);
  return commit_cursors();
}

/// A full disk keeps the cursors where they were: after a crash some records go twice. It is no reason to stop.
Status SendStage::commit_cursors() {
  Status moved = cursor_ != committed_ ? spool_->commit(cursor_) : Status{};
  if (moved.ok()) {
    committed_ = cursor_;
    moved = keeper_ ? keeper_->commit(cursor_) : free_->commit(cursor_);
  }
  const bool disk_full = !moved.ok() && moved.error().code == Errc::disk_full;
  if (disk_full != cursors_stuck_) {
    cursors_stuck_ = disk_full;
    health_.set_trouble("spool cursors", disk_full ? moved.error().message : "");
    if (disk_full) service::log_error("the spool's cursors can't be moved", {{"why", moved.error().message}});
  }
  return disk_full ? Status{} : moved;
}

}  // namespace ff::agent
