// SPDX-License-Identifier: Apache-2.0
//
// FakeLogReader and FakeLogWriter: a log in memory, in any order and with any repeats a test wants; commits and
// what is written go to memory or to files, so that a test can kill the process between two steps and go on.
#pragma once

#include <atomic>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/transport/log.hpp"
#include "common/wire/control_record.hpp"

namespace ff::test {

/// The records of a log, as a broker would hold them. Shared by readers that come one after the other; what
/// is committed may be asked from any thread.
class FakeLog {
 public:
  /// Appends to the partition; offsets count from 0.
  void append(transport::Topic topic, std::int32_t partition, std::string key, Payload value);
  /// Keeps commits in `path` (one line per partition) instead of in memory, and what is written in
  /// `path`.written.
  void keep_commits_in(std::filesystem::path path) { commit_path_ = std::move(path); }

  /// Retention: what lies before `next_offset` of the partition is gone; readers that have not read it are told.
  void free_below(transport::Topic topic, std::int32_t partition, std::int64_t next_offset) {
    const std::lock_guard lock(records_mutex_);
    freed_[{topic, partition}] = next_offset;
  }

  /// A writer for receipts and dead letters; null while the log is away.
  [[nodiscard]] std::unique_ptr<transport::LogWriter> open_writer(Error& why);
  /// Why writes fail from now on: not_found (no writer can be opened), disk_full (produce refuses),
  /// timed_out (the delivery report says no); nothing: they succeed.
  void fail_writes(std::optional<Errc> why) { write_fault_ = static_cast<int>(why.value_or(Errc::stopped)); }
  /// Records produced so far, by this process and those before it.
  [[nodiscard]] std::vector<transport::LogRecord> written() const;
  [[nodiscard]] std::vector<wire::ReceiptRecord> written_receipts() const;
  /// The ledger topic as a reader finds it: what was produced to it, from record `first` on.
  [[nodiscard]] std::vector<transport::LogRecord> ledger_records(std::size_t first) const;
  /// Called (by the writer's thread) with each receipt record that is written: a test's own agent.
  std::function<void(const wire::ReceiptRecord&)> on_receipt_record;

  using PartitionKey = std::pair<transport::Topic, std::int32_t>;
  [[nodiscard]] std::int64_t committed(transport::Topic topic, std::int32_t partition) const;
  [[nodiscard]] std::size_t size() const;

 private:
  friend class FakeLogReader;
  friend class FakeLogWriter;
  void write(transport::LogRecord record);
  [[nodiscard]] std::optional<Errc> write_fault() const {
    const auto fault = static_cast<Errc>(write_fault_.load());
    return fault == Errc::stopped ? std::nullopt : std::optional(fault);
  }
  [[nodiscard]] std::map<PartitionKey, std::int64_t> load_commits() const;
  void commit(const PartitionKey& key, std::int64_t next_offset);

  mutable std::mutex records_mutex_;
  std::map<PartitionKey, std::deque<transport::LogRecord>> partitions_;
  std::map<PartitionKey, std::int64_t> freed_;
  std::vector<transport::LogRecord> written_;
  std::atomic<int> write_fault_{static_cast<int>(Errc::stopped)};
  mutable std::mutex commits_mutex_;
  std::map<PartitionKey, std::int64_t> commits_;
  std::filesystem::path commit_path_;
};

/// Reads the partitions in turn, each from its committed offset.
class FakeLogReader final : public transport::LogReader {
 public:
  explicit FakeLogReader(std::shared_ptr<FakeLog> log);

  [[nodiscard]] Result<std::optional<transport::LogRecord>> poll(std::chrono::nanoseconds timeout) override;
  [[nodiscard]] Status commit(transport::Topic topic, std::int32_t partition,
                              std::int64_t next_offset) override;
  [[nodiscard]] bool caught_up() const override;
  [[nodiscard]] std::string trouble() const override { return {}; }

 private:
  [[nodiscard]] bool skip_freed(const FakeLog::PartitionKey& key, std::int64_t& next);
  [[nodiscard]] std::size_t end_of(const FakeLog::PartitionKey& key) const;

  std::shared_ptr<FakeLog> log_;
  std::map<FakeLog::PartitionKey, std::int64_t> next_;
  std::size_t turn_ = 0;
};

/// Reads what was written to the ledger topic, all of it, in the order in which it was written: a reader that holds
/// `partitions` of the two that the topic has.
class FakeLedgerReader final : public transport::LogReader {
 public:
  explicit FakeLedgerReader(const FakeLog& log, std::set<std::int32_t> partitions = {0, 1})
      : log_(log), partitions_(std::move(partitions)) {}

  [[nodiscard]] Result<std::optional<transport::LogRecord>> poll(std::chrono::nanoseconds timeout) override;
  [[nodiscard]] Status commit(transport::Topic, std::int32_t, std::int64_t) override { return {}; }
  [[nodiscard]] bool caught_up() const override { return told_ && waiting_.empty() && quiet_; }
  [[nodiscard]] std::string trouble() const override { return {}; }

 private:
  const FakeLog& log_;
  std::set<std::int32_t> partitions_;
  std::size_t next_ = 0;
  std::deque<transport::LogRecord> waiting_;
  bool told_ = false, quiet_ = false;
};

/// Delivers at the next poll().
class FakeLogWriter final : public transport::LogWriter {
 public:
  explicit FakeLogWriter(FakeLog& log) : log_(log) {}

  [[nodiscard]] Status produce(transport::Topic topic, std::uint32_t partition, std::string_view key,
                               Payload value, Delivered delivered) override;
  void poll(std::chrono::nanoseconds timeout) override;
  [[nodiscard]] Status flush(std::chrono::nanoseconds timeout) override;
  [[nodiscard]] Result<std::uint32_t> partition_count(transport::Topic) override { return 2u; }
  [[nodiscard]] std::string trouble() const override { return {}; }

 private:
  FakeLog& log_;
  std::deque<std::pair<transport::LogRecord, Delivered>> waiting_;
};

}  // namespace ff::test
