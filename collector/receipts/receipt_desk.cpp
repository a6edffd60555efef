// SPDX-License-Identifier: Apache-2.0
#include "collector/receipts/receipt_desk.hpp"

#include <utility>

#include "common/base/clock.hpp"

namespace ff::collector {
namespace {

namespace proto = foreframe::wire;

constexpr std::size_t kRecordsPerTurn = 64;
constexpr std::size_t kBytesPerTurn = 256u << 10;  ///< then envelopes get their turn
constexpr std::size_t kUnansweredMax = 65'536;     ///< sets per agent, while the topic is read
constexpr std::int64_t kAbilityAgeNs = 2ll * 3600 * 1'000'000'000;

}  // namespace

void ReceiptDesk::turn() {
  std::size_t bytes = 0;
  bool any = false;
  for (std::size_t i = 0; i < kRecordsPerTurn && bytes < kBytesPerTurn; ++i) {
    const auto item = follower_.take();
    if (!item) break;
    any = true;
    bytes += item->bytes;
    if (item->is_end) {
      complete_ = true;
      answer_all();
    } else {
      take(item->record);
    }
  }
  if (!any) return;
  for (const auto& [peer, news] : std::exchange(outgoing_, {})) send(peer, news);
  show();
}

void ReceiptDesk::take(const wire::ReceiptRecord& record) {
  const auto tell_watchers = [this](const StreamOfSeries& stream, const auto& add) {
    const auto watchers = watchers_.find(stream);
    if (!complete_ || watchers == watchers_.end()) return;
    for (const transport::PeerId& peer : watchers->second) add(outgoing_[peer]);
  };
  switch (record.record_case()) {
    case wire::ReceiptRecord::kReceipt:
      table_.add(record.receipt());
      return tell_watchers(stream_of(record.receipt().records()),
                           [&](proto::ReceiptNews& news) { *news.add_receipts() = record.receipt(); });
    case wire::ReceiptRecord::kReplay:
      table_.add(record.replay());
      return tell_watchers(stream_of(record.replay().records()),
                           [&](proto::ReceiptNews& news) { *news.add_replays() = record.replay(); });
    case wire::ReceiptRecord::kAbility:
      table_.add(record.ability(), record.written_utc_ns());
      if (complete_)
        for (const auto& [peer, agent] : agents_) *outgoing_[peer].add_abilities() = record.ability();
      return;
    case wire::ReceiptRecord::RECORD_NOT_SET: return;
  }
}

void ReceiptDesk::watch(const transport::PeerId& peer, const proto::Watch& watch) {
  Agent& agent = agents_[peer];
  std::vector<proto::RecordSet> sets(watch.records().begin(), watch.records().end());
  for (const proto::RecordSet& set : sets) note(peer, agent, stream_of(set));
  if (complete_) return answer(peer, agent, sets);
  for (proto::RecordSet& set : sets)
    if (agent.unanswered.size() < kUnansweredMax) agent.unanswered.push_back(std::move(set));
}

void ReceiptDesk::note(const transport::PeerId& peer, Agent& agent, const StreamOfSeries& stream) {
  const auto known = agent.places.find(stream);
  if (known != agent.places.end()) {
    agent.watched.splice(agent.watched.end(), agent.watched, known->second);
    return;
  }
  if (agent.watched.size() >= kStreamsPerAgentMax) {
    unwatch(peer, agent.watched.front());
    agent.places.erase(agent.watched.front());
    agent.watched.pop_front();
  }
  agent.places.emplace(stream, agent.watched.insert(agent.watched.end(), stream));
  watchers_[stream].insert(peer);
}

void ReceiptDesk::unwatch(const transport::PeerId& peer, const StreamOfSeries& stream) {
  const auto watchers = watchers_.find(stream);
  if (watchers == watchers_.end()) return;
  watchers->second.erase(peer);
  if (watchers->second.empty()) watchers_.erase(watchers);
}

void ReceiptDesk::forget(const transport::PeerId& peer) {
  const auto found = agents_.find(peer);
  if (found == agents_.end()) return;
  for (const StreamOfSeries& stream : found->second.watched) unwatch(peer, stream);
  agents_.erase(found);
  outgoing_.erase(peer);
}

void ReceiptDesk::answer(const transport::PeerId& peer, Agent& agent,
                         const std::vector<proto::RecordSet>& sets) {
  proto::ReceiptNews news;
  for (const proto::RecordSet& set : sets) table_.answer(set, news);
  if (!std::exchange(agent.told_abilities, true)) table_.tell_abilities(utc_now_ns() - kAbilityAgeNs, news);
  if (news.receipts_size() + news.replays_size() + news.abilities_size() > 0) send(peer, news);
}

void ReceiptDesk::answer_all() {
  for (auto& [peer, agent] : agents_) answer(peer, agent, std::exchange(agent.unanswered, {}));
}

void ReceiptDesk::send(const transport::PeerId& peer, const proto::ReceiptNews& news) {
  const auto pieces = static_cast<double>(news.receipts_size() + news.replays_size() + news.abilities_size());
  (link_.send_news(peer, news) ? metrics_.news_sent : metrics_.news_dropped).add(pieces);
}

void ReceiptDesk::show() const {
  metrics_.receipt_table_bytes.set(static_cast<double>(table_.bytes()));
  metrics_.receipt_table_streams.set(static_cast<double>(table_.streams()));
  metrics_.receipt_table_forgotten.set(static_cast<double>(table_.forgotten()));
}

}  // namespace ff::collector
