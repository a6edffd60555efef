// SPDX-License-Identifier: Apache-2.0
#include "collector/receipts/receipt_table.hpp"

#include <algorithm>

namespace ff::collector {
namespace {

namespace proto = foreframe::wire;

constexpr std::uint64_t kRangeBytes = 64;  ///< a node of the ranges' tree
constexpr std::uint64_t kMarksBytes = 256, kStreamBytes = 512;

std::uint64_t end_of(const proto::WindowRange& range) { return range.first() + range.count(); }

void name_stream(const proto::RecordSet& from, proto::RecordSet& to) {
  to.set_series_uid(from.series_uid());
  to.set_detector(from.detector());
  to.set_stream(from.stream());
}

}  // namespace

StreamOfSeries stream_of(const proto::RecordSet& records) {
  return {records.series_uid(), records.detector(), records.stream()};
}

ReceiptTable::Stream& ReceiptTable::open(const StreamOfSeries& key) {
  const auto [found, is_new] = streams_.try_emplace(key);
  Stream& stream = found->second;
  if (is_new) {
    stream.age = ages_.insert(ages_.end(), key);
  } else {
    ages_.splice(ages_.end(), ages_, stream.age);
  }
  return stream;
}

void ReceiptTable::weigh(Stream& stream) {
  std::uint64_t bytes = kStreamBytes;
  const auto weigh_marks = [&bytes](const Marks& marks) {
    bytes += kMarksBytes + marks.windows.size() * kRangeBytes + marks.words.size();
  };
  for (const auto& [key, marks] : stream.outcomes) weigh_marks(marks);
  weigh_marks(stream.asked);
  bytes_ += bytes - stream.bytes;
  stream.bytes = bytes;
  while (bytes_ > bytes_max_ && streams_.size() > 1) forget_oldest();
}

void ReceiptTable::forget_oldest() {
  const auto oldest = streams_.find(ages_.front());
  ages_.pop_front();
  bytes_ -= oldest->second.bytes;
  streams_.erase(oldest);
  ++forgotten_;
}

void ReceiptTable::add(const proto::Receipt& receipt) {
  const proto::RecordSet& records = receipt.records();
  Stream& stream = open(stream_of(records));
  const auto key = std::pair(receipt.destination(), receipt.outcome());
  if (!stream.outcomes.contains(key) && stream.outcomes.size() >= kOutcomesPerStreamMax) return;
  Marks news;
  news.start = records.series_start();
  news.end = records.series_end();
  for (const proto::WindowRange& range : records.windows()) {
    news.windows.add(range.first(), end_of(range));
    stream.asked.windows.remove(range.first(), end_of(range));
  }
  stream.asked.start = stream.asked.start && !news.start;
  stream.asked.end = stream.asked.end && !news.end;
  for (const auto& [other, marks] : stream.outcomes) {  // the first one stands
    if (other.first != receipt.destination() || other.second == receipt.outcome()) continue;
    for (const proto::WindowRange& range : records.windows())
      marks.windows.each_in(range.first(), end_of(range), [&news](std::uint64_t first, std::uint64_t end) {
        news.windows.remove(first, end);
      });
    news.start = news.start && !marks.start;
    news.end = news.end && !marks.end;
  }
  Marks& marks = stream.outcomes[key];
  for (const auto& [first, end] : news.windows.ranges()) marks.windows.add(first, end);
  marks.start = marks.start || news.start;
  marks.end = marks.end || news.end;
  marks.words = receipt.reason();
  marks.who = receipt.sink();
  weigh(stream);
}

void ReceiptTable::add(const proto::ReplayRequest& replay) {
  const proto::RecordSet& records = replay.records();
  Stream& stream = open(stream_of(records));
  for (const proto::WindowRange& range : records.windows())
    stream.asked.windows.add(range.first(), end_of(range));
  stream.asked.start = stream.asked.start || records.series_start();
  stream.asked.end = stream.asked.end || records.series_end();
  stream.asked.words = replay.reason();
  stream.asked.who = replay.requester();
  weigh(stream);
}

void ReceiptTable::add(const proto::SinkAbility& ability, std::int64_t written_utc_ns) {
  const auto key = std::pair(ability.destination(), ability.sink());
  if (!abilities_.contains(key) && abilities_.size() >= kAbilitiesMax)
    abilities_.erase(std::ranges::min_element(abilities_, {},
                                              [](const auto& known) { return known.second.written_utc_ns; }));
  abilities_[key] = {ability, written_utc_ns};
}

void ReceiptTable::answer(const proto::RecordSet& asked, proto::ReceiptNews& news) const {
  const auto found = streams_.find(stream_of(asked));
  if (found == streams_.end()) return;
  const auto cut = [&asked](const Marks& marks, proto::RecordSet& known) {
    name_stream(asked, known);
    for (const proto::WindowRange& range : asked.windows())
      marks.windows.each_in(range.first(), end_of(range), [&known](std::uint64_t first, std::uint64_t end) {
        proto::WindowRange& piece = *known.add_windows();
        piece.set_first(first);
        piece.set_count(end - first);
      });
    known.set_series_start(asked.series_start() && marks.start);
    known.set_series_end(asked.series_end() && marks.end);
    return known.windows_size() > 0 || known.series_start() || known.series_end();
  };
  for (const auto& [key, marks] : found->second.outcomes) {
    proto::Receipt receipt;
    if (!cut(marks, *receipt.mutable_records())) continue;
    receipt.set_outcome(key.second);
    receipt.set_destination(key.first);
    receipt.set_sink(marks.who);
    receipt.set_reason(marks.words);
    *news.add_receipts() = std::move(receipt);
  }
  proto::ReplayRequest replay;
  if (!cut(found->second.asked, *replay.mutable_records())) return;
  replay.set_requester(found->second.asked.who);
  replay.set_reason(found->second.asked.words);
  *news.add_replays() = std::move(replay);
}

void ReceiptTable::tell_abilities(std::int64_t since_utc_ns, proto::ReceiptNews& news) const {
  for (const auto& [key, known] : abilities_)
    if (known.written_utc_ns >= since_utc_ns) *news.add_abilities() = known.ability;
}

}  // namespace ff::collector
