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
constexpr int kBurst = 64;  // records sent between two looks at the socket

}  // namespace

SendStage::SendStage(std::unique_ptr<transport::SegmentReader> spool,
                     std::unique_ptr<transport::LinkSender> link, Quarantine quarantine,
                     std::atomic<std::uint32_t>& partition_count, service::Health& health,
                     AgentMetrics& metrics)
    : spool_(std::move(spool)),
      link_(std::move(link)),
      quarantine_(std::move(quarantine)),
      partition_count_(partition_count),
      health_(health),
      metrics_(metrics) {
  cursor_ = committed_ = spool_->committed();
  link_->positions = [this] { return positions(); };
  link_->on_welcome = [this](const foreframe::wire::Welcome& welcome) { on_welcome(welcome); };
  link_->on_refused = [this](const foreframe::wire::Refuse& refusal) { on_refused(refusal); };
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
    link_->poll(sent ? std::chrono::milliseconds(0) : kIdlePoll);
    if (link_->connected() != was_connected) {
      was_connected = link_->connected();
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
  }
  if (next_->offset < cursor_ || done_.contains(next_->offset)) return next_.reset(), true;
  if (!link_->can_send(next_->value.size())) return false;

  auto envelope = wire::parse_envelope(next_->value.bytes());
  if (!envelope.ok()) {
    // Our own spool holds something that is no envelope: it can't be sent, and must not stop what follows.
    service::log_error("spool holds a record that is no envelope; passed over",
                       {{"offset", next_->offset}, {"why", std::string_view(envelope.error().message)}});
    metrics_.report(Fault::record_refused, "unreadable record in the spool", {{"offset", next_->offset}});
    done_.insert(next_->offset);
    return next_.reset(), true;
  }
  foreframe::wire::RecordId id;
  id.set_detector(envelope->header.detector());
  id.set_stream(envelope->header.stream());
  id.set_epoch(envelope->header.epoch());
  id.set_sequence(envelope->header.sequence());
  const Status sent = link_->send(id, next_->value);
  if (!sent.ok()) return false;  // credit or connection went away meanwhile; it stays next
  const Identity identity{id.detector(), id.stream(), id.epoch(), id.sequence()};
  offsets_[identity] = next_->offset;
  under_way_[next_->offset] = {identity, std::move(next_->value)};
  next_.reset();
  metrics_.records_sent.add();
  return true;
}

void SendStage::on_welcome(const foreframe::wire::Welcome& welcome) {
  partition_count_.store(welcome.partition_count(), std::memory_order_relaxed);
  service::log_info("collector takes over", {{"collector", welcome.collector()},
                                             {"address", link_->peer()},
                                             {"records_under_way", under_way_.size()}});
  under_way_.clear();
  offsets_.clear();
  next_.reset();
  spool_->rewind();
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
  const Status kept = quarantine_.keep(refusal, under_way_.at(found->second).envelope.bytes());
  if (!kept.ok())
    service::log_error("refused record could not be kept", {{"why", std::string_view(kept.error().message)}});
  done(id);
}

void SendStage::done(const foreframe::wire::RecordId& id) {
  const auto found = offsets_.find({id.detector(), id.stream(), id.epoch(), id.sequence()});
  if (found == offsets_.end()) return;  // acknowledged twice, or sent before a reconnection
  done_.insert(found->second);
  under_way_.erase(found->second);
  offsets_.erase(found);
  auto& up_to = acknowledged_up_to_[{id.detector(), id.stream(), id.epoch()}];
  up_to = std::max<std::uint64_t>(up_to, id.sequence());
  while (!done_.empty() && *done_.begin() == cursor_) {
    done_.erase(done_.begin());
    ++cursor_;
  }
}

std::vector<foreframe::wire::StreamPosition> SendStage::positions() const {
  auto first = acknowledged_up_to_;
  for (auto& [stream, sequence] : first) ++sequence;
  for (const auto& [identity, offset] : offsets_) {
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
  while (!done_.empty() && *done_.begin() == cursor_) {
    done_.erase(done_.begin());
    ++cursor_;
  }
  metrics_.spool_records.set(static_cast<double>(outstanding()));
  if (cursor_ == committed_) return {};
  FF_TRY(spool_->commit(cursor_));
  committed_ = cursor_;
  return {};
}

}  // namespace ff::agent
