// SPDX-License-Identifier: Apache-2.0
//
// Keeping records for their receipts.
#include "agent/spool/receipt_keeper.hpp"

#include "agent/spool/spool_scan.hpp"
#include "common/base/clock.hpp"
#include "common/base/uuid.hpp"
#include "common/service/logging.hpp"

namespace ff::agent {
namespace {

using foreframe::wire::Receipt;

constexpr int kHeadersPerWalk = 64;
constexpr std::int64_t kAskInterval = 200'000'000;

std::string name_of(const GroupPlace& place) {
  const auto uid = Uuid::from_bytes(as_bytes(place.group.series_uid));
  const std::string what = place.group.window == RecordGroup::kStart ? "start"
                           : place.group.window == RecordGroup::kEnd
                               ? "end"
                               : "window " + std::to_string(place.group.window);
  return (uid.ok() ? uid->to_string() : "?") + " stream " + std::to_string(place.group.stream) + " " + what;
}

}  // namespace

ReceiptKeeper::ReceiptKeeper(ReceiptBookOptions options, double resend_share,
                             std::unique_ptr<transport::SegmentReader> walker,
                             std::unique_ptr<transport::SegmentReader> again, Quarantine& quarantine,
                             SpoolWaits& waits, AgentMetrics& metrics)
    : book_(std::move(options)),
      budget_(resend_share),
      walker_(std::move(walker)),
      again_(std::move(again)),
      quarantine_(quarantine),
      waits_(waits),
      metrics_(metrics) {}

Result<bool> ReceiptKeeper::walk(std::uint64_t sent_end) {
  const std::int64_t now = monotonic_now_ns();
  for (int headers = 0; headers < kHeadersPerWalk; ++headers) {
    if (!book_.has_room()) return false;
    auto record = next_header(*walker_);
    if (!record.ok() && record.error().code == Errc::io_error) return std::move(record).error();
    if (!record.ok()) continue;  // damage: the sender names it
    if (!record->has_value()) return false;
    // No envelope, or a damaged one: nobody will ever give a receipt for it.
    if (!(*record)->header.ok()) continue;
    book_.note(group_of(*(*record)->header), (*record)->offset, now, (*record)->offset < sent_end);
  }
  return true;
}

void ReceiptKeeper::ask(transport::LinkSender& link) {
  const std::int64_t now = monotonic_now_ns();
  if (!link.connected() || now - asked_ns_ < kAskInterval) return;
  asked_ns_ = now;
  const auto questions = book_.take_questions();
  if (questions.empty()) return;
  const Status asked = link.watch(questions);
  if (!asked.ok()) book_.ask_again();
}

void ReceiptKeeper::on_news(const foreframe::wire::ReceiptNews& news) {
  for (const Receipt& receipt : news.receipts()) {
    waits_.receipts.fetch_add(1, std::memory_order_relaxed);
    for (const GroupPlace& place : book_.settle(receipt)) {
      metrics_.receipts.add();
      if (!place.bad_news.empty()) quarantine(place);
    }
  }
  for (const auto& request : news.replays()) {
    const std::size_t groups = book_.request(request, monotonic_now_ns());
    metrics_.replays_requested.add(static_cast<double>(groups));
    if (groups > 0)
      service::log_info("records are asked for again",
                        {{"by", request.requester()}, {"why", request.reason()}, {"windows", groups}});
  }
}

std::optional<transport::SegmentRecord> ReceiptKeeper::read_of(const GroupPlace& place) {
  while (again_->next_offset() <= place.last_offset) {
    const auto record = next_header(*again_);
    if (!record.ok() && record.error().code == Errc::io_error) return std::nullopt;
    if (!record.ok()) continue;
    if (!record->has_value()) return std::nullopt;
    if (!(*record)->header.ok() || group_of(*(*record)->header) != place.group) continue;
    if ((*record)->offset > place.last_offset) return std::nullopt;
    again_->seek((*record)->offset);
    auto whole = again_->next();
    if (whole.ok()) return std::move(*whole);
  }
  return std::nullopt;
}

void ReceiptKeeper::on_welcome() {
  book_.ask_again();
  if (resending_) again_->seek(resending_->first_offset);
}

// A window of which only some records come again tells the sinks that the others are gone.
bool ReceiptKeeper::may_go_whole(const GroupPlace& place, const MayGo& may_go) {
  again_->seek(place.first_offset);
  while (again_->next_offset() <= place.last_offset) {
    const auto record = next_header(*again_);
    if (!record.ok() && record.error().code != Errc::io_error) continue;
    if (!record.ok() || !record->has_value()) break;
    if (!(*record)->header.ok() || group_of(*(*record)->header) != place.group) continue;
    if (!may_go(*(*record)->header, (*record)->payload_beginning.bytes())) return false;
  }
  return true;
}

std::optional<transport::SegmentRecord> ReceiptKeeper::next_again(std::uint64_t acknowledged,
                                                                  const MayGo& may_go) {
  if (!budget_.allows()) return std::nullopt;
  if (!resending_) {
    resending_ = book_.next_resend(monotonic_now_ns(), acknowledged);
    if (!resending_) return std::nullopt;
    if (!may_go_whole(*resending_, may_go)) return resending_.reset(), std::nullopt;
    metrics_.groups_resent.add();
    again_->seek(resending_->first_offset);
  }
  auto record = read_of(*resending_);
  if (!record) resending_.reset();
  return record;
}

void ReceiptKeeper::quarantine(const GroupPlace& place) {
  metrics_.report(Fault::record_refused, "a sink will never store these records; quarantined",
                  {{"records", name_of(place)}, {"why", place.bad_news}});
  resending_.reset();  // `again_` is needed here
  again_->seek(place.first_offset);
  while (const auto record = read_of(place)) {
    const auto envelope = wire::parse_envelope(record->value.bytes());
    if (!envelope.ok()) continue;
    const Status kept = quarantine_.keep(envelope->header, place.bad_news, record->value.bytes());
    if (kept.ok()) continue;
    metrics_.quarantine_overflow.add();
    service::log_error("rejected record could not be kept", {{"why", kept.error().message}});
  }
}

Status ReceiptKeeper::commit(std::uint64_t acknowledged) {
  waits_.unreceipted.store(book_.waiting(), std::memory_order_relaxed);
  metrics_.receipts_waiting.set(static_cast<double>(book_.waiting()));
  const std::uint64_t end = std::min(acknowledged, book_.free_end(walker_->next_offset()));
  return walker_->commit(end);
}

}  // namespace ff::agent
