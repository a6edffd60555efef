// SPDX-License-Identifier: Apache-2.0
//
// Waiting for receipts.
#include "agent/spool/receipt_book.hpp"

#include <algorithm>

namespace ff::agent {
namespace {

using foreframe::wire::Receipt;
using foreframe::wire::RecordSet;

/// A collector that starts reads old replay requests too: what was sent again just now need not go once more.
constexpr std::int64_t kRequestPauseNs = 10'000'000'000;
constexpr std::uint32_t kDoublingsMax = 10;
/// This part of a pause is waited for news; then the collector is asked, and only then the records go again.
constexpr std::int64_t kAskAfterPercent = 90;

std::int64_t pause_of(std::chrono::nanoseconds timeout, std::uint32_t repeats) noexcept {
  return timeout.count() << std::min(repeats, kDoublingsMax);
}

}  // namespace

RecordGroup group_of(const wire::EnvelopeHeader& header) {
  const std::uint64_t window = header.has_block()          ? header.block().window()
                               : header.has_window()       ? header.window().window()
                               : header.has_series_start() ? RecordGroup::kStart
                                                           : RecordGroup::kEnd;
  return {header.series_uid(), header.detector(), header.stream(), window};
}

void ReceiptBook::set_due(Entry& entry, std::int64_t due_ns) {
  due_.erase({entry.due_ns, entry.first_offset});
  entry.due_ns = due_ns;
  due_.insert({due_ns, entry.first_offset});
}

void ReceiptBook::note(const RecordGroup& group, std::uint64_t offset, std::int64_t now_ns,
                       bool may_be_receipted) {
  const Stream key{group.series_uid, group.detector, group.stream};
  const auto [stream, is_new_stream] = streams_.try_emplace(key);
  if (is_new_stream) unheard_.insert(key);
  const auto [found, is_new] = stream->second.try_emplace(group.window);
  Entry& entry = found->second;
  entry.last_offset = offset;
  if (!is_new) return;
  entry.first_offset = offset;
  places_.emplace(offset, Place{stream, group.window});
  set_due(entry, now_ns + options_.timeout.count() / 100 * kAskAfterPercent);
  if (may_be_receipted) questions_.push_back(offset);
}

template <typename Visit>
void ReceiptBook::visit(const RecordSet& records, Visit&& visit) {
  const auto stream = streams_.find({records.series_uid(), records.detector(), records.stream()});
  if (stream == streams_.end()) return;
  // Walks what is here, not what is named: a range may be long.
  for (const auto& range : records.windows()) {
    const std::uint64_t end = range.first() + range.count();
    for (auto entry = stream->second.lower_bound(range.first());
         entry != stream->second.end() && entry->first < end && entry->first < RecordGroup::kStart;) {
      const auto here = entry++;
      visit(stream, here);
    }
  }
  for (const std::uint64_t special : {RecordGroup::kStart, RecordGroup::kEnd}) {
    const bool named = special == RecordGroup::kStart ? records.series_start() : records.series_end();
    const auto entry = stream->second.find(special);
    if (named && entry != stream->second.end()) visit(stream, entry);
  }
  if (stream->second.empty()) streams_.erase(stream);
}

std::vector<GroupPlace> ReceiptBook::settle(const Receipt& receipt) {
  std::vector<GroupPlace> settled;
  const auto named = std::ranges::find(options_.destinations, receipt.destination());
  if (named == options_.destinations.end()) return settled;
  const auto bit = std::uint32_t{1} << (named - options_.destinations.begin());
  const auto all = static_cast<std::uint32_t>((std::uint64_t{1} << options_.destinations.size()) - 1);
  visit(receipt.records(), [&](Streams::iterator stream, Entries::iterator found) {
    Entry& entry = found->second;
    if ((entry.receipts & bit) != 0) return;  // the first one stands
    entry.receipts |= bit;
    if (receipt.outcome() != Receipt::STORED)
      entry.bad_news =
          receipt.destination() + ": " + Receipt::Outcome_Name(receipt.outcome()) + ": " + receipt.reason();
    if (entry.receipts != all) return;
    settled.push_back(describe({stream, found->first}, entry));
    places_.erase(entry.first_offset);
    due_.erase({entry.due_ns, entry.first_offset});
    requested_.erase(entry.first_offset);
    stream->second.erase(found);
  });
  return settled;
}

std::size_t ReceiptBook::request(const foreframe::wire::ReplayRequest& request, std::int64_t now_ns) {
  std::size_t count = 0;
  visit(request.records(),
        [&](Streams::iterator, Entries::iterator found) { request_one(found->second, now_ns, count); });
  return count;
}

void ReceiptBook::request_one(Entry& entry, std::int64_t now_ns, std::size_t& count) {
  if (entry.sent_again_ns != 0 && now_ns - entry.sent_again_ns < kRequestPauseNs) return;
  count += requested_.insert(entry.first_offset).second ? 1 : 0;
}

void ReceiptBook::lost_on_the_way(const RecordGroup& group) {
  const auto stream = streams_.find({group.series_uid, group.detector, group.stream});
  if (stream == streams_.end()) return;
  const auto entry = stream->second.find(group.window);
  if (entry != stream->second.end()) requested_.insert(entry->second.first_offset);
}

std::optional<GroupPlace> ReceiptBook::next_resend(std::int64_t now_ns, std::uint64_t acknowledged) {
  const auto send = [&](std::uint64_t offset) {
    const Place& place = places_.at(offset);
    Entry& entry = entry_at(place);
    requested_.erase(offset);
    ++entry.repeats;
    entry.sent_again_ns = now_ns;
    entry.asked = false;
    set_due(entry, now_ns + pause_of(options_.timeout, entry.repeats) / 100 * kAskAfterPercent);
    return describe(place, entry);
  };
  // In order of the spool: what is not acknowledged yet comes last.
  if (!requested_.empty() && entry_at(places_.at(*requested_.begin())).last_offset < acknowledged)
    return send(*requested_.begin());
  while (!due_.empty() && due_.begin()->first <= now_ns) {
    const std::uint64_t offset = due_.begin()->second;
    Entry& entry = entry_at(places_.at(offset));
    const std::int64_t pause = pause_of(options_.timeout, entry.repeats);
    if (entry.last_offset >= acknowledged) {
      set_due(entry, now_ns + pause);  // its time begins when the log has it
    } else if (!std::exchange(entry.asked, true)) {
      questions_.push_back(offset);
      set_due(entry, now_ns + pause / 100 * (100 - kAskAfterPercent));
    } else {
      return send(offset);
    }
  }
  return std::nullopt;
}

std::uint64_t ReceiptBook::free_end(std::uint64_t noted_end) const noexcept {
  return places_.empty() ? noted_end : std::min(noted_end, places_.begin()->first);
}

void ReceiptBook::ask_again() {
  questions_.clear();
  for (const auto& [offset, place] : places_) questions_.push_back(offset);
  for (const auto& [stream, entries] : streams_) unheard_.insert(stream);
}

std::vector<RecordSet> ReceiptBook::take_questions() {
  std::map<Stream, std::set<std::uint64_t>> windows;
  for (const Stream& stream : std::exchange(unheard_, {})) windows[stream];
  for (const std::uint64_t offset : std::exchange(questions_, {}))
    if (const auto place = places_.find(offset); place != places_.end())
      windows[place->second.stream->first].insert(place->second.window);
  std::vector<RecordSet> sets;
  for (const auto& [stream, wanted] : windows) {
    RecordSet& set = sets.emplace_back();
    set.set_series_uid(std::get<0>(stream));
    set.set_detector(std::get<1>(stream));
    set.set_stream(std::get<2>(stream));
    for (const std::uint64_t window : wanted) {
      if (window == RecordGroup::kStart) set.set_series_start(true);
      if (window == RecordGroup::kEnd) set.set_series_end(true);
      if (window >= RecordGroup::kStart) continue;
      auto* last = set.windows_size() > 0 ? set.mutable_windows(set.windows_size() - 1) : nullptr;
      if (last == nullptr || last->first() + last->count() != window) {
        last = set.add_windows();
        last->set_first(window);
      }
      last->set_count(last->count() + 1);
    }
  }
  return sets;
}

GroupPlace ReceiptBook::describe(const Place& place, const Entry& entry) const {
  const auto& [uid, detector, stream] = place.stream->first;
  return {{uid, detector, stream, place.window}, entry.first_offset, entry.last_offset, entry.bad_news};
}

}  // namespace ff::agent
