// SPDX-License-Identifier: Apache-2.0
//
// ReceiptStage: says in the log what became of records, and only then lets their offsets be committed.
//
// Data path  store > [verdicts > batches > receipts topic > delivery report] > commit
// Dead letters go out first, their receipt after the log has all of them. What the log refuses or loses is
// said again, with a growing pause, for as long as it takes: meanwhile the queue fills, the store waits, and
// nothing is committed. Whatever was not said when the process ends is read again by the next one, found
// done, and said then. Memory: 4096 verdicts, and dead letters of 64 MiB (or one that is larger).
// Not here   which records are done (store), when to ask for missing ones (replay_planner.hpp).
// settle() and ask() from any thread; the log's writer belongs to this stage's own thread.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <variant>

#include "common/base/bounded_queue.hpp"
#include "common/base/result.hpp"
#include "common/transport/log.hpp"
#include "hpc_sink/consume/offset_ledger.hpp"
#include "hpc_sink/receipt/receipt_batch.hpp"
#include "hpc_sink/sink_metrics.hpp"
#include "hpc_sink/store/durable_file.hpp"

namespace ff::sink {

struct ReceiptSurroundings {
  OffsetLedger& offsets;
  SinkMetrics& metrics;
  std::function<std::unique_ptr<transport::LogWriter>(Error& why)> open_writer;  ///< topics receipts, dead
  std::function<void(const std::string&)> trouble = [](const std::string&) {};   ///< "" when healthy
  std::function<bool()> stopping = [] { return false; };
  StoreStepHook step = [](StoreStep) {};
};

class ReceiptStage {
 public:
  /// Starts the thread; the log need not be there yet.
  ReceiptStage(ReceiptSender sender, ReceiptSurroundings around);
  /// Ends without waiting for the log.
  ~ReceiptStage();
  ReceiptStage(const ReceiptStage&) = delete;
  ReceiptStage& operator=(const ReceiptStage&) = delete;

  /// Takes the verdict over; waits while the log is behind. When the sink stops meanwhile the verdict is
  /// dropped: its tickets stay owed, its records are read again.
  void settle(Verdict verdict);
  /// Writes a replay request. One that finds no room is dropped: its planner asks again.
  void ask(ReplayAsk ask);
  /// Says all that is queued; ends the thread. Errors: timed_out (the rest is read again).
  [[nodiscard]] Status drain(std::chrono::nanoseconds timeout);

 private:
  using Task = std::variant<Verdict, ReplayAsk>;
  struct LetterGroup {
    Verdict verdict;
    std::size_t outstanding = 0;
  };
  struct Outgoing {
    transport::Topic topic = transport::Topic::receipts;
    std::string key;
    Payload value;
    RecordTickets tickets{};
    std::shared_ptr<LetterGroup> group{};
  };

  void loop();
  [[nodiscard]] bool open_writer();
  void take_in();
  void take(Verdict verdict);
  void take(const ReplayAsk& ask);
  void close_batch();
  void enqueue(ReceiptLine line);
  void send();
  [[nodiscard]] Status produce(const std::shared_ptr<Outgoing>& out);
  [[nodiscard]] Result<std::uint32_t> partition_for(transport::Topic topic, const std::string& key);
  void delivered(const std::shared_ptr<Outgoing>& out);
  void failed(const std::shared_ptr<Outgoing>& out, const Error& why);
  void announce_ability();
  void say_trouble();
  [[nodiscard]] bool all_said() const;

  ReceiptSender sender_;
  ReceiptSurroundings around_;
  BoundedQueue<Task> queue_;
  std::atomic<std::int64_t> deadline_ns_{INT64_MAX};  // monotonic; when draining ends
  std::atomic<std::uint64_t> letter_bytes_{0};        // taken over and not yet in the log

  // the thread's own
  std::unique_ptr<transport::LogWriter> writer_;
  std::map<transport::Topic, std::uint32_t> partitions_;
  ReceiptBatch batch_;
  std::int64_t batch_began_ns_ = 0;
  std::deque<std::shared_ptr<Outgoing>> outgoing_;
  std::size_t in_flight_ = 0;
  std::int64_t retry_at_ns_ = 0;
  std::chrono::nanoseconds pause_;
  std::int64_t ability_due_ns_ = 0;
  std::string trouble_;
  std::thread thread_;
};

}  // namespace ff::sink
