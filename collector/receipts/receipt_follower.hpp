// SPDX-License-Identifier: Apache-2.0
//
// ReceiptFollower: reads the whole receipts topic on a thread of its own, so that the collector's path never
// waits for it, and hands over what it has parsed.
//
// Data path  log (receipts topic) > [ReceiptFollower] > ReceiptDesk > link
// Memory     kQueueRecords parsed records; the thread waits when the path takes none.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "collector/collector_metrics.hpp"
#include "common/base/bounded_queue.hpp"
#include "common/transport/log.hpp"
#include "common/wire/control_record.hpp"

namespace ff::collector {

class ReceiptFollower {
 public:
  static constexpr std::size_t kQueueRecords = 64;

  /// `log`: a follower of the receipts topic. Starts the thread.
  ReceiptFollower(std::unique_ptr<transport::LogReader> log, CollectorMetrics& metrics);
  ~ReceiptFollower();

  struct Item {
    wire::ReceiptRecord record;
    std::size_t bytes = 0;
    bool is_end = false;  ///< no record: the topic has been read to its end for the first time
  };
  /// The next one, if it is there.
  [[nodiscard]] std::optional<Item> take();
  [[nodiscard]] bool has_more() const { return queue_.size() > 0; }
  /// Why nothing can be read, or "".
  [[nodiscard]] std::string trouble() const;

 private:
  void run();
  void read_one();
  void hand_over(Item item);
  void set_trouble(std::string words);

  std::unique_ptr<transport::LogReader> log_;
  CollectorMetrics& metrics_;
  BoundedQueue<Item> queue_{kQueueRecords};
  bool was_at_end_ = false;
  std::atomic<bool> stop_{false};
  mutable std::mutex trouble_mutex_;
  std::string trouble_;
  std::thread thread_;
};

}  // namespace ff::collector
