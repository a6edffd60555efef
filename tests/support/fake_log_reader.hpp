// SPDX-License-Identifier: Apache-2.0
//
// FakeLogReader: a log in memory, in any order and with any repeats a test wants; commits go to memory or to
// a file, so that a test can kill the process between two steps and go on.
#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/transport/log.hpp"

namespace ff::test {

/// The records of a log, as a broker would hold them. Shared by readers that come one after the other; what
/// is committed may be asked from any thread.
class FakeLog {
 public:
  /// Appends to the partition; offsets count from 0.
  void append(transport::Topic topic, std::int32_t partition, std::string key, Payload value);
  /// Keeps commits in `path` (one line per partition) instead of in memory.
  void keep_commits_in(std::filesystem::path path) { commit_path_ = std::move(path); }

  using PartitionKey = std::pair<transport::Topic, std::int32_t>;
  [[nodiscard]] std::int64_t committed(transport::Topic topic, std::int32_t partition) const;
  [[nodiscard]] std::size_t size() const;

 private:
  friend class FakeLogReader;
  [[nodiscard]] std::map<PartitionKey, std::int64_t> load_commits() const;
  void commit(const PartitionKey& key, std::int64_t next_offset);

  std::map<PartitionKey, std::vector<transport::LogRecord>> partitions_;
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
  std::shared_ptr<FakeLog> log_;
  std::map<FakeLog::PartitionKey, std::int64_t> next_;
  std::size_t turn_ = 0;
};

}  // namespace ff::test
