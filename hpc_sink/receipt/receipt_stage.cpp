// SPDX-License-Identifier: Apache-2.0
//
// ReceiptStage: its thread, from the queue to delivery reports.
#include "hpc_sink/receipt/receipt_stage.hpp"

#include <algorithm>
#include <pthread.h>
#include <utility>

#include "common/base/clock.hpp"
#include "common/base/crc32c.hpp"
#include "common/service/logging.hpp"

namespace ff::sink {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr std::size_t kQueueTasks = 4096, kBatchVerdicts = 4096, kInFlightMax = 256;
constexpr std::uint64_t kLetterBytesMax = 64u << 20;
constexpr std::int64_t kBatchNs = 20'000'000;
constexpr nanoseconds kTurn = milliseconds(10), kRoomPoll = milliseconds(50);
constexpr nanoseconds kPauseMin = milliseconds(100), kPauseMax = std::chrono::seconds(10);
constexpr std::int64_t kAbilityIntervalNs = 3600ll * 1'000'000'000;

}  // namespace

ReceiptStage::ReceiptStage(ReceiptSender sender, ReceiptSurroundings around)
    : sender_(std::move(sender)),
      around_(std::move(around)),
      queue_(kQueueTasks),
      batch_(sender_),
      pause_(kPauseMin) {
  thread_ = std::thread([this] { loop(); });
  pthread_setname_np(thread_.native_handle(), "receipt");
}

ReceiptStage::~ReceiptStage() { static_cast<void>(drain(nanoseconds(0))); }

void ReceiptStage::settle(Verdict verdict) {
  std::uint64_t bytes = 0;
  for (const DeadLetter& letter : verdict.letters) bytes += letter.envelope.size();
  while (bytes > 0 && letter_bytes_ > 0 && letter_bytes_ + bytes > kLetterBytesMax) {
    if (around_.stopping()) return;
    std::this_thread::sleep_for(kTurn);
  }
  letter_bytes_ += bytes;
  Task task = std::move(verdict);
  while (!queue_.push_for(task, kRoomPoll))
    if (around_.stopping()) return;
}

void ReceiptStage::ask(ReplayAsk ask) {
  Task task = std::move(ask);
  static_cast<void>(queue_.try_push(task));
}

Status ReceiptStage::drain(nanoseconds timeout) {
  if (!thread_.joinable()) return {};
  deadline_ns_ = monotonic_now_ns() + timeout.count();
  queue_.close();
  thread_.join();
  if (all_said()) return {};
  return fail(Errc::timed_out, "the log did not take all receipts; their records will be read again");
}

bool ReceiptStage::all_said() const {
  return queue_.finished() && outgoing_.empty() && in_flight_ == 0 && batch_.verdicts() == 0;
}

void ReceiptStage::loop() {
  while (!all_said() && monotonic_now_ns() < deadline_ns_) {
    if (!writer_ && !open_writer()) {
      std::this_thread::sleep_for(kTurn);
      continue;
    }
    if (monotonic_now_ns() >= ability_due_ns_) announce_ability();
    take_in();
    close_batch();
    send();
    writer_->poll(in_flight_ > 0 ? kTurn : nanoseconds(0));
    say_trouble();
  }
  writer_.reset();
}

bool ReceiptStage::open_writer() {
  if (monotonic_now_ns() < retry_at_ns_) return false;
  Error why;
  writer_ = around_.open_writer(why);
  if (writer_) {
    pause_ = kPauseMin;
    trouble_.clear();
    return true;
  }
  trouble_ = why.message;
  retry_at_ns_ = monotonic_now_ns() + pause_.count();
  pause_ = std::min(2 * pause_, kPauseMax);
  say_trouble();
  return false;
}

// Only so much is taken from the queue as the log takes from us: the rest holds the store back.
void ReceiptStage::take_in() {
  nanoseconds wait = in_flight_ > 0 || !outgoing_.empty() || batch_.verdicts() > 0 ? nanoseconds(0) : kTurn;
  while (outgoing_.size() + in_flight_ < kInFlightMax && batch_.verdicts() < kBatchVerdicts) {
    auto task = queue_.pop_for(std::exchange(wait, nanoseconds(0)));
    if (!task) return;
    if (auto* verdict = std::get_if<Verdict>(&*task)) take(std::move(*verdict));
    if (const auto* ask = std::get_if<ReplayAsk>(&*task)) take(*ask);
  }
}

void ReceiptStage::take(Verdict verdict) {
  if (!verdict.letters.empty()) {
    auto group = std::make_shared<LetterGroup>();
    const std::vector<DeadLetter> letters = std::exchange(verdict.letters, {});
    group->outstanding = letters.size();
    group->verdict = std::move(verdict);
    for (const DeadLetter& letter : letters)
      outgoing_.push_back(std::make_shared<Outgoing>(Outgoing{
          transport::Topic::dead, letter.key + "\n" + group->verdict.reason, letter.envelope, {}, group}));
    return;
  }
  if (verdict.part == RecordPart::none) return around_.offsets.done(verdict.tickets);
  if (batch_.verdicts() == 0) batch_began_ns_ = monotonic_now_ns();
  batch_.add(std::move(verdict));
}

void ReceiptStage::take(const ReplayAsk& ask) {
  around_.metrics.replays_requested.add();
  enqueue(replay_line(sender_, ask, utc_now_ns()));
}

void ReceiptStage::close_batch() {
  if (batch_.verdicts() == 0) return;
  const bool due = monotonic_now_ns() - batch_began_ns_ >= kBatchNs || queue_.finished();
  if (!due && batch_.verdicts() < kBatchVerdicts) return;
  for (ReceiptLine& line : batch_.take(utc_now_ns())) enqueue(std::move(line));
}

void ReceiptStage::enqueue(ReceiptLine line) {
  auto sealed = wire::seal_control(line.record);
  if (!sealed.ok()) {  // can't be with at most kBatchVerdicts ranges of 20 bytes in it
    service::log_error("receipt not written", {{"why", sealed.error().message}});
    return;
  }
  outgoing_.push_back(std::make_shared<Outgoing>(Outgoing{
      transport::Topic::receipts, std::move(line.key), std::move(*sealed), std::move(line.tickets), {}}));
}

void ReceiptStage::announce_ability() {
  ability_due_ns_ = monotonic_now_ns() + kAbilityIntervalNs;
  enqueue(ability_line(sender_, utc_now_ns()));
}

void ReceiptStage::send() {
  while (!outgoing_.empty() && in_flight_ < kInFlightMax && monotonic_now_ns() >= retry_at_ns_) {
    const std::shared_ptr<Outgoing> out = outgoing_.front();
    const Status produced = produce(out);
    if (!produced.ok()) {
      if (produced.error().code == Errc::queue_full) return;  // poll() makes room
      outgoing_.pop_front();
      return failed(out, produced.error());
    }
    outgoing_.pop_front();
    ++in_flight_;
  }
}

Result<std::uint32_t> ReceiptStage::partition_for(transport::Topic topic, const std::string& key) {
  if (!partitions_.contains(topic)) {
    FF_ASSIGN(const std::uint32_t count, writer_->partition_count(topic));
    partitions_[topic] = std::max(count, 1u);
  }
  return crc32c(as_bytes(key)) % partitions_[topic];
}

Status ReceiptStage::produce(const std::shared_ptr<Outgoing>& out) {
  FF_ASSIGN(const std::uint32_t partition,
            partition_for(out->topic, out->key.substr(0, out->key.find('\n'))));
  return writer_->produce(out->topic, partition, out->key, out->value,
                          [this, out](const Result<transport::LogPosition>& position) {
                            --in_flight_;
                            if (position.ok()) return delivered(out);
                            failed(out, position.error());
                          });
}

void ReceiptStage::delivered(const std::shared_ptr<Outgoing>& out) {
  pause_ = kPauseMin;
  trouble_.clear();
  if (out->group) {
    around_.metrics.dead_letters.add();
    letter_bytes_ -= out->value.size();
    if (--out->group->outstanding == 0) take(std::move(out->group->verdict));
    return;
  }
  if (out->tickets.empty()) return;  // a request or an ability
  around_.metrics.receipts_written.add();
  around_.step(StoreStep::receipt_written);
  around_.offsets.done(out->tickets);
}

// Said again, first of all that waits, after a pause.
void ReceiptStage::failed(const std::shared_ptr<Outgoing>& out, const Error& why) {
  around_.metrics.receipt_retries.add();
  outgoing_.push_front(out);
  trouble_ = why.message;
  retry_at_ns_ = monotonic_now_ns() + pause_.count();
  pause_ = std::min(2 * pause_, kPauseMax);
}

void ReceiptStage::say_trouble() {
  const std::string from_log = writer_ ? writer_->trouble() : std::string();
  around_.trouble(trouble_.empty() ? from_log : trouble_);
}

}  // namespace ff::sink
