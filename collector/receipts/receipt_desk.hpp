// SPDX-License-Identifier: Apache-2.0
//
// ReceiptDesk: answers agents' questions about their records, and passes on what comes.
//
// Data path  ReceiptFollower > [ReceiptDesk] > link > agents
// Remembers who watches which streams for the connection only. While the topic is read for the first time
// nothing is passed on: what is old may be overtaken by what follows. Those who asked meanwhile are answered
// when the end is reached. Runs on the path's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "collector/collector_metrics.hpp"
#include "collector/receipts/receipt_follower.hpp"
#include "collector/receipts/receipt_table.hpp"
#include "common/transport/link.hpp"

namespace ff::collector {

class ReceiptDesk {
 public:
  /// Streams that one agent may watch; watching another one ends the oldest watch.
  static constexpr std::size_t kStreamsPerAgentMax = 4096;

  ReceiptDesk(transport::LinkReceiver& link, ReceiptFollower& follower, std::uint64_t table_bytes_max,
              CollectorMetrics& metrics)
      : link_(link), follower_(follower), table_(table_bytes_max), metrics_(metrics) {}

  /// Takes what has been read, a bounded amount, and tells it to those who watch.
  void turn();
  void watch(const transport::PeerId& peer, const foreframe::wire::Watch& watch);
  void forget(const transport::PeerId& peer);

  /// False until the topic has been read to its end once.
  [[nodiscard]] bool is_complete() const noexcept { return complete_; }
  /// True while more waits to be taken: the path should not sleep.
  [[nodiscard]] bool has_more() const { return follower_.has_more(); }
  [[nodiscard]] bool has_watchers() const noexcept { return !agents_.empty(); }

 private:
  struct Agent {
    std::list<StreamOfSeries> watched;  ///< oldest first
    std::map<StreamOfSeries, std::list<StreamOfSeries>::iterator> places;
    std::vector<foreframe::wire::RecordSet> unanswered;  ///< asked before the table was complete
    bool told_abilities = false;
  };

  void take(const wire::ReceiptRecord& record);
  void note(const transport::PeerId& peer, Agent& agent, const StreamOfSeries& stream);
  void unwatch(const transport::PeerId& peer, const StreamOfSeries& stream);
  void answer(const transport::PeerId& peer, Agent& agent,
              const std::vector<foreframe::wire::RecordSet>& sets);
  void answer_all();
  void send(const transport::PeerId& peer, const foreframe::wire::ReceiptNews& news);
  void show() const;

  transport::LinkReceiver& link_;
  ReceiptFollower& follower_;
  ReceiptTable table_;
  CollectorMetrics& metrics_;
  bool complete_ = false;
  std::map<transport::PeerId, Agent> agents_;
  std::map<StreamOfSeries, std::set<transport::PeerId>> watchers_;
  std::map<transport::PeerId, foreframe::wire::ReceiptNews> outgoing_;  ///< gathered in a turn
};

}  // namespace ff::collector
