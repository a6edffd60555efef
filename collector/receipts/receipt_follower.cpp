// SPDX-License-Identifier: Apache-2.0
#include "collector/receipts/receipt_follower.hpp"

#include <chrono>
#include <utility>

#include "common/service/logging.hpp"

namespace ff::collector {
namespace {

constexpr std::chrono::nanoseconds kPoll = std::chrono::milliseconds(100);
constexpr std::chrono::nanoseconds kErrorPause = std::chrono::milliseconds(500);

}  // namespace

ReceiptFollower::ReceiptFollower(std::unique_ptr<transport::LogReader> log, CollectorMetrics& metrics)
    : log_(std::move(log)), metrics_(metrics), thread_([this] { run(); }) {}

ReceiptFollower::~ReceiptFollower() {
  stop_ = true;
  queue_.close();
  thread_.join();
}

std::optional<ReceiptFollower::Item> ReceiptFollower::take() {
  return queue_.pop_for(std::chrono::nanoseconds(0));
}

std::string ReceiptFollower::trouble() const {
  const std::lock_guard lock(trouble_mutex_);
  return trouble_;
}

void ReceiptFollower::set_trouble(std::string words) {
  const std::lock_guard lock(trouble_mutex_);
  trouble_ = std::move(words);
}

void ReceiptFollower::run() {
  while (!stop_) read_one();
}

void ReceiptFollower::read_one() {
  auto record = log_->poll(kPoll);
  if (!record.ok()) {
    const Error& why = record.error();
    service::log_warning("receipts topic", {{"reason", why.message}});
    if (why.code == Errc::out_of_range || why.code == Errc::crc_mismatch || why.code == Errc::malformed)
      return;  // records are gone; their agents send again
    set_trouble(why.message);
    std::this_thread::sleep_for(kErrorPause);
    return;
  }
  set_trouble(log_->trouble());
  if (!record->has_value()) {
    if (was_at_end_ || !log_->caught_up()) return;
    was_at_end_ = true;
    return hand_over(Item{{}, 0, true});
  }
  const Payload& value = (*record)->value;
  auto parsed = wire::parse_receipt_record(value.bytes());
  if (!parsed.ok()) {
    metrics_.receipts_malformed.add();
    service::log_warning("record of the receipts topic can't be used",
                         {{"offset", (*record)->position.offset}, {"reason", parsed.error().message}});
    return;
  }
  metrics_.receipts_read.add();
  hand_over(Item{std::move(parsed).value(), value.size(), false});
}

void ReceiptFollower::hand_over(Item item) { static_cast<void>(queue_.push(std::move(item))); }

}  // namespace ff::collector
