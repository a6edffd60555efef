// SPDX-License-Identifier: Apache-2.0
//
// FakeLog and FakeLogReader: partitions as vectors.
#include "tests/support/fake_log_reader.hpp"

#include <fstream>
#include <iterator>
#include <thread>

namespace ff::test {

void FakeLog::append(transport::Topic topic, std::int32_t partition, std::string key, Payload value) {
  auto& records = partitions_[{topic, partition}];
  const auto offset = static_cast<std::int64_t>(records.size());
  records.push_back({.topic = topic,
                     .position = {.partition = partition, .offset = offset},
                     .first_offset = offset,
                     .key = std::move(key),
                     .value = std::move(value)});
}

std::size_t FakeLog::size() const {
  std::size_t records = 0;
  for (const auto& [key, partition] : partitions_) records += partition.size();
  return records;
}

std::map<FakeLog::PartitionKey, std::int64_t> FakeLog::load_commits() const {
  const std::lock_guard lock(commits_mutex_);
  if (commit_path_.empty()) return commits_;
  std::map<PartitionKey, std::int64_t> commits;
  std::ifstream file(commit_path_);
  int topic = 0;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  while (file >> topic >> partition >> offset)
    commits[{static_cast<transport::Topic>(topic), partition}] = offset;
  return commits;
}

std::int64_t FakeLog::committed(transport::Topic topic, std::int32_t partition) const {
  const auto commits = load_commits();
  const auto found = commits.find({topic, partition});
  return found == commits.end() ? 0 : found->second;
}

void FakeLog::commit(const PartitionKey& key, std::int64_t next_offset) {
  const std::lock_guard lock(commits_mutex_);
  if (commit_path_.empty()) {
    commits_[key] = next_offset;
    return;
  }
  std::ofstream(commit_path_, std::ios::app)
      << static_cast<int>(key.first) << ' ' << key.second << ' ' << next_offset << '\n';
}

FakeLogReader::FakeLogReader(std::shared_ptr<FakeLog> log) : log_(std::move(log)) {
  for (const auto& [key, records] : log_->partitions_) next_[key] = log_->committed(key.first, key.second);
}

Result<std::optional<transport::LogRecord>> FakeLogReader::poll(std::chrono::nanoseconds timeout) {
  for (std::size_t tried = 0; tried < next_.size(); ++tried) {
    const auto partition = std::next(next_.begin(), static_cast<std::ptrdiff_t>(turn_++ % next_.size()));
    const auto& records = log_->partitions_.at(partition->first);
    if (static_cast<std::size_t>(partition->second) < records.size())
      return std::optional(records[static_cast<std::size_t>(partition->second++)]);
  }
  std::this_thread::sleep_for(timeout);
  return std::optional<transport::LogRecord>();
}

Status FakeLogReader::commit(transport::Topic topic, std::int32_t partition, std::int64_t next_offset) {
  log_->commit({topic, partition}, next_offset);
  return {};
}

bool FakeLogReader::caught_up() const {
  for (const auto& [key, next] : next_)
    if (static_cast<std::size_t>(next) < log_->partitions_.at(key).size()) return false;
  return true;
}

}  // namespace ff::test
