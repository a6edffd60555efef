// SPDX-License-Identifier: Apache-2.0
//
// LedgerPublisher: one writer, opened when there is something to say.
#include "hpc_sink/seal/ledger_publisher.hpp"

#include "common/base/clock.hpp"
#include "hpc_sink/seal/published_seals.hpp"

namespace ff::sink {
namespace {

constexpr std::int64_t kRetryNs = 2'000'000'000;

void report(service::LogLimiter& limiter, const std::string& why) {
  std::uint64_t held_back = 0;
  if (limiter.allow(held_back))
    service::log_error("a seal could not be published; trying again",
                       {{"why", why}, {"held_back", held_back}});
}

}  // namespace

// FNV-1a: the same in every build and on every host.
std::uint32_t ledger_partition(const std::string& detector, std::uint32_t partitions) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : detector) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return partitions == 0 ? 0 : static_cast<std::uint32_t>(hash % partitions);
}

bool LedgerPublisher::writer_ready() {
  if (writer_) return true;
  if (!open_ || monotonic_now_ns() < next_try_ns_) return false;
  Error why;
  writer_ = open_(why);
  if (writer_) return true;
  next_try_ns_ = monotonic_now_ns() + kRetryNs;
  report(troubles_, why.message);
  return false;
}

void LedgerPublisher::delivered(const SealId& id, const Result<transport::LogPosition>& position) {
  in_flight_.erase(id);
  if (!position.ok()) {
    look_ = true;
    next_try_ns_ = monotonic_now_ns() + kRetryNs;
    return report(troubles_, position.error().message);
  }
  Status noted = catalogue_.set_published(id.first, id.second);
  if (!noted.ok() && noted_.ok()) noted_ = std::move(noted);
}

// Of a series only its latest seal: it holds the hash of those before it, and the topic keeps no other.
Status LedgerPublisher::hand_over() {
  FF_ASSIGN(const std::vector<SealRow> waiting, catalogue_.unpublished_seals());
  look_ = false;
  if (waiting.empty()) return {};
  if (!writer_ready()) {
    look_ = static_cast<bool>(open_);
    return {};
  }
  const auto partitions = writer_->partition_count(transport::Topic::ledger);
  for (const SealRow& seal : waiting) {
    const SealId id{seal.series, seal.number};
    if (in_flight_.contains(id)) continue;
    FF_ASSIGN(Payload value, seal_record_value(seal.seal));
    const Status handed =
        !partitions.ok()
            ? Status(partitions.error())
            : writer_->produce(transport::Topic::ledger, ledger_partition(seal.detector, *partitions),
                               seal_record_key(seal.series), std::move(value),
                               [this, id](const auto& position) { delivered(id, position); });
    if (!handed.ok()) {
      look_ = true;
      next_try_ns_ = monotonic_now_ns() + kRetryNs;
      report(troubles_, handed.error().message);
      return {};
    }
    in_flight_.insert(id);
  }
  return {};
}

Status LedgerPublisher::tick() {
  if (look_ && monotonic_now_ns() >= next_try_ns_) FF_TRY(hand_over());
  if (writer_) writer_->poll(std::chrono::nanoseconds(0));
  return std::exchange(noted_, Status{});
}

Status LedgerPublisher::finish(std::chrono::nanoseconds patience) {
  next_try_ns_ = 0;
  FF_TRY(tick());
  if (writer_ && !in_flight_.empty())
    if (const Status flushed = writer_->flush(patience); !flushed.ok())
      report(troubles_, flushed.error().message);
  return std::exchange(noted_, Status{});
}

}  // namespace ff::sink
