// SPDX-License-Identifier: Apache-2.0
//
// LedgerPublisher: one writer; notes in their order, seals in theirs, deletions last.
#include "hpc_sink/seal/ledger_publisher.hpp"

#include <algorithm>

#include "common/base/clock.hpp"
#include "hpc_sink/seal/published_seals.hpp"

namespace ff::sink {
namespace {

constexpr std::int64_t kRetryNs = 2'000'000'000;
constexpr std::int64_t kCountNs = 500'000'000;
constexpr std::size_t kInFlightMax = 64;

}  // namespace

// FNV-1a: the same in every build and on every host.
std::uint32_t ledger_partition(const std::string& detector, std::uint32_t partitions) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : detector) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return partitions == 0 ? 0 : static_cast<std::uint32_t>(hash % partitions);
}

LedgerPublisher::~LedgerPublisher() {
  if (opening_.valid()) opening_.wait();
}

void LedgerPublisher::failed(const Error& why) {
  look_ = true;
  next_try_ns_ = monotonic_now_ns() + kRetryNs;
  std::uint64_t held_back = 0;
  if (troubles_.allow(held_back))
    service::log_error("the ledger topic could not be written; trying again",
                       {{"why", why.message}, {"held_back", held_back}});
}

bool LedgerPublisher::writer_ready() {
  if (writer_) return true;
  if (!open_) return false;
  if (!opening_.valid()) {
    opening_ = std::async(std::launch::async, [open = open_] {
      Error why;
      auto writer = open(why);
      return std::pair(std::move(writer), why.message);
    });
  }
  if (opening_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return false;
  auto [writer, why] = opening_.get();
  Error trouble{Errc::io_error, why};
  if (writer) {
    const auto partitions = writer->partition_count(transport::Topic::ledger);
    if (partitions.ok()) {
      partitions_ = *partitions;
      writer_ = std::move(writer);
      return true;
    }
    trouble = partitions.error();
  }
  failed(trouble);
  return false;
}

bool LedgerPublisher::produce(std::uint32_t partition, const std::string& key, Payload value,
                              transport::LogWriter::Delivered delivered) {
  const Status handed =
      writer_->produce(transport::Topic::ledger, partition, key, std::move(value), std::move(delivered));
  if (!handed.ok()) failed(handed.error());
  return handed.ok();
}

void LedgerPublisher::note_delivered(std::int64_t number, const Result<transport::LogPosition>& position) {
  if (!position.ok()) {
    notes_in_flight_.erase(number);
    return failed(position.error());
  }
  notes_delivered_.push_back(number);  // in flight until the catalogue has dropped it
  metrics_.ledger_published.add();
}

void LedgerPublisher::seal_delivered(const SealId& id, const Result<transport::LogPosition>& position) {
  seals_in_flight_.erase(id);
  if (!position.ok()) return failed(position.error());
  metrics_.ledger_published.add();
  Status noted = catalogue_.set_published(id.first, id.second);
  if (!noted.ok() && noted_.ok()) noted_ = std::move(noted);
}

Status LedgerPublisher::hand_over_notes() {
  const std::int64_t after = notes_in_flight_.empty() ? 0 : *notes_in_flight_.rbegin();
  if (notes_in_flight_.size() >= kInFlightMax) return {};
  FF_ASSIGN(const auto waiting, catalogue_.notes(after, kInFlightMax - notes_in_flight_.size()));
  for (const auto& [number, note] : waiting) {
    const bool handed = produce(
        ledger_partition(note.detector, partitions_), note.key,
        Payload::own(std::vector<std::byte>(as_bytes(note.value).begin(), as_bytes(note.value).end())),
        [this, id = number](const auto& position) { note_delivered(id, position); });
    if (!handed) return {};
    notes_in_flight_.insert(number);
  }
  return {};
}

Result<std::vector<SealRow>> LedgerPublisher::seals_waiting() const {
  FF_ASSIGN(std::vector<SealRow> waiting, catalogue_.unpublished_seals());
  if (owns_) std::erase_if(waiting, [this](const SealRow& seal) { return !owns_(seal.detector); });
  return waiting;
}

Status LedgerPublisher::hand_over_seals() {
  FF_ASSIGN(const std::vector<SealRow> waiting, seals_waiting());
  for (const SealRow& seal : waiting) {
    const SealId id{seal.series, seal.number};
    if (seals_in_flight_.contains(id)) continue;
    FF_ASSIGN(Payload value, seal_record_value(seal.seal));
    const bool handed = produce(ledger_partition(seal.detector, partitions_),
                                seal_record_key(seal.series, destination_, seal.number), std::move(value),
                                [this, id](const auto& position) { seal_delivered(id, position); });
    if (!handed) return {};
    seals_in_flight_.insert(id);
  }
  return {};
}

// A deletion that fails is forgotten: the partition's next owner finds the record superfluous too. Where the seal will
// not be published by this sink, that owner needs the records.
Status LedgerPublisher::hand_over_graves() {
  FF_ASSIGN(const std::vector<SealRow> unpublished, catalogue_.unpublished_seals());
  std::set<Uuid> early, foreign;
  for (const SealRow& seal : unpublished)
    (owns_ && !owns_(seal.detector) ? foreign : early).insert(seal.series);
  for (std::size_t left = graves_.size(); left > 0; --left) {
    Grave grave = std::move(graves_.front());
    graves_.pop_front();
    if (foreign.contains(grave.series)) continue;
    if (early.contains(grave.series)) {
      graves_.push_back(std::move(grave));
      continue;
    }
    if (!produce(grave.partition, grave.key, Payload(), {})) {
      graves_.push_front(std::move(grave));
      return {};
    }
  }
  return {};
}

void LedgerPublisher::bury(const Uuid& series, std::uint32_t partition, const std::set<std::string>& keys) {
  for (const std::string& key : keys) graves_.push_back({series, partition, key});
}

Status LedgerPublisher::hand_over() {
  if (!writer_ready()) return {};
  look_ = false;
  FF_TRY(hand_over_notes());
  FF_TRY(hand_over_seals());
  return graves_.empty() ? Status{} : hand_over_graves();
}

Status LedgerPublisher::tick() {
  if ((look_ || !graves_.empty()) && monotonic_now_ns() >= next_try_ns_) FF_TRY(hand_over());
  if (writer_) writer_->poll(std::chrono::nanoseconds(0));
  if (!notes_delivered_.empty()) {
    FF_TRY(catalogue_.drop_notes(notes_delivered_));
    for (const std::int64_t number : std::exchange(notes_delivered_, {})) notes_in_flight_.erase(number);
    look_ = true;  // there may be more than may be in flight at once
  }
  if (monotonic_now_ns() >= next_count_ns_) {
    next_count_ns_ = monotonic_now_ns() + kCountNs;
    FF_ASSIGN(const std::uint64_t unpublished, waiting());
    metrics_.ledger_waiting.set(static_cast<double>(unpublished));
  }
  return std::exchange(noted_, Status{});
}

Result<std::uint64_t> LedgerPublisher::waiting() const {
  FF_ASSIGN(const std::uint64_t notes, catalogue_.note_count());
  FF_ASSIGN(const std::vector<SealRow> seals, seals_waiting());
  return notes + seals.size();
}

Status LedgerPublisher::finish(std::chrono::nanoseconds patience) {
  const std::int64_t deadline_ns = monotonic_now_ns() + patience.count();
  next_try_ns_ = 0;
  look_ = true;
  while (true) {
    FF_TRY(tick());
    FF_ASSIGN(const std::uint64_t unpublished, waiting());
    const std::int64_t left_ns = deadline_ns - monotonic_now_ns();
    if (unpublished == 0 && graves_.empty()) break;
    if (!open_ || left_ns <= 0) return std::exchange(noted_, Status{});
    if (writer_)
      writer_->poll(std::chrono::milliseconds(5));
    else if (opening_.valid())
      static_cast<void>(opening_.wait_for(std::chrono::milliseconds(20)));
    else
      return {};  // it could not be opened
  }
  if (!writer_) return {};
  const Status flushed =
      writer_->flush(std::chrono::nanoseconds(std::max<std::int64_t>(deadline_ns - monotonic_now_ns(), 0)));
  if (!flushed.ok()) failed(flushed.error());
  return std::exchange(noted_, Status{});
}

}  // namespace ff::sink
