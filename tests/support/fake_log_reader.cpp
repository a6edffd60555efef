// SPDX-License-Identifier: Apache-2.0
//
// FakeLog and FakeLogReader: partitions as vectors.
#include "tests/support/fake_log_reader.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <thread>

namespace ff::test {

void FakeLog::append(transport::Topic topic, std::int32_t partition, std::string key, Payload value) {
  const std::lock_guard lock(records_mutex_);
  auto& records = partitions_[{topic, partition}];
  const auto offset = static_cast<std::int64_t>(records.size());
  records.push_back({.topic = topic,
                     .position = {.partition = partition, .offset = offset},
                     .first_offset = offset,
                     .key = std::move(key),
                     .value = std::move(value)});
}

std::size_t FakeLog::size() const {
  const std::lock_guard lock(records_mutex_);
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
  const std::lock_guard lock(log_->records_mutex_);
  for (const auto& [key, records] : log_->partitions_) next_[key] = log_->committed(key.first, key.second);
}

bool FakeLogReader::skip_freed(const FakeLog::PartitionKey& key, std::int64_t& next) {
  std::int64_t oldest = 0;
  {
    const std::lock_guard lock(log_->records_mutex_);
    const auto freed = log_->freed_.find(key);
    if (freed == log_->freed_.end() || freed->second <= next) return false;
    oldest = freed->second;
  }
  if (on_gap)
    on_gap({.topic = key.first, .partition = key.second, .first_offset = next, .next_offset = oldest});
  next = oldest;
  return true;
}

std::size_t FakeLogReader::end_of(const FakeLog::PartitionKey& key) const {
  const std::lock_guard lock(log_->records_mutex_);
  return log_->partitions_.at(key).size();
}

Result<std::optional<transport::LogRecord>> FakeLogReader::poll(std::chrono::nanoseconds timeout) {
  for (std::size_t tried = 0; tried < next_.size(); ++tried) {
    const auto partition = std::next(next_.begin(), static_cast<std::ptrdiff_t>(turn_++ % next_.size()));
    if (skip_freed(partition->first, partition->second))
      return fail(Errc::out_of_range, "records were freed before this group had read them");
    if (static_cast<std::size_t>(partition->second) >= end_of(partition->first)) continue;
    const std::lock_guard lock(log_->records_mutex_);
    return std::optional(
        log_->partitions_.at(partition->first)[static_cast<std::size_t>(partition->second++)]);
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
    if (static_cast<std::size_t>(next) < end_of(key)) return false;
  return true;
}

std::unique_ptr<transport::LogWriter> FakeLog::open_writer(Error& why) {
  if (write_fault() != Errc::not_found) return std::make_unique<FakeLogWriter>(*this);
  why = fail(Errc::not_found, "the log is away");
  return nullptr;
}

// In a file each record is: topic, partition, key and value as hexadecimal text, one line.
void FakeLog::write(transport::LogRecord record) {
  if (record.topic == transport::Topic::receipts && on_receipt_record)
    on_receipt_record(wire::parse_receipt_record(record.value.bytes()).value());
  const std::lock_guard lock(commits_mutex_);
  if (commit_path_.empty()) {
    written_.push_back(std::move(record));
    return;
  }
  std::ofstream file(commit_path_.string() + ".written", std::ios::app);
  const auto hex = [&](ByteSpan bytes) {
    file << " x";
    for (const std::byte b : bytes)
      file << "0123456789abcdef"[int(b) >> 4] << "0123456789abcdef"[int(b) & 15];
  };
  file << static_cast<int>(record.topic) << ' ' << record.position.partition;
  hex(as_bytes(record.key));
  hex(record.value.bytes());
  file << '\n';
}

std::vector<transport::LogRecord> FakeLog::written() const {
  const std::lock_guard lock(commits_mutex_);
  if (commit_path_.empty()) return written_;
  std::vector<transport::LogRecord> records;
  std::ifstream file(commit_path_.string() + ".written");
  int topic = 0;
  std::int32_t partition = 0;
  std::string key, value;
  const auto bytes_of = [](const std::string& hex) {
    std::vector<std::byte> bytes;
    for (std::size_t i = 1; i + 1 < hex.size(); i += 2)
      bytes.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    return bytes;
  };
  while (file >> topic >> partition >> key >> value)
    records.push_back({.topic = static_cast<transport::Topic>(topic),
                       .position = {partition, 0},
                       .key = std::string(as_text(bytes_of(key))),
                       .value = Payload::own(bytes_of(value))});
  return records;
}

std::vector<wire::ReceiptRecord> FakeLog::written_receipts() const {
  std::vector<wire::ReceiptRecord> receipts;
  for (const transport::LogRecord& record : written())
    if (record.topic == transport::Topic::receipts)
      receipts.push_back(wire::parse_receipt_record(record.value.bytes()).value());
  return receipts;
}

std::vector<transport::LogRecord> FakeLog::ledger_records(std::size_t first) const {
  std::vector<transport::LogRecord> records = written();
  std::erase_if(records, [](const transport::LogRecord& r) { return r.topic != transport::Topic::ledger; });
  records.erase(records.begin(),
                records.begin() + static_cast<std::ptrdiff_t>(std::min(first, records.size())));
  return records;
}

Result<std::optional<transport::LogRecord>> FakeLedgerReader::poll(std::chrono::nanoseconds timeout) {
  if (!std::exchange(told_, true) && on_assigned)
    for (const std::int32_t partition : partitions_) on_assigned(transport::Topic::ledger, partition);
  if (waiting_.empty()) {
    auto news = log_.ledger_records(next_);
    quiet_ = news.empty();
    next_ += news.size();
    for (transport::LogRecord& record : news)
      if (partitions_.contains(record.position.partition)) waiting_.push_back(std::move(record));
  }
  if (waiting_.empty()) {
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(timeout, std::chrono::milliseconds(5)));
    return std::optional<transport::LogRecord>();
  }
  auto record = std::move(waiting_.front());
  waiting_.pop_front();
  return std::optional(std::move(record));
}

Status FakeLogWriter::produce(transport::Topic topic, std::uint32_t partition, std::string_view key,
                              Payload value, Delivered delivered) {
  if (log_.write_fault() == Errc::disk_full) return fail(Errc::disk_full, "the log is full");
  waiting_.emplace_back(transport::LogRecord{.topic = topic,
                                             .position = {static_cast<std::int32_t>(partition), 0},
                                             .key = std::string(key),
                                             .value = std::move(value)},
                        std::move(delivered));
  return {};
}

void FakeLogWriter::poll(std::chrono::nanoseconds timeout) {
  if (waiting_.empty()) return std::this_thread::sleep_for(timeout);
  for (auto& [record, delivered] : std::exchange(waiting_, {})) {
    if (log_.write_fault()) {
      if (delivered) delivered(fail(Errc::timed_out, "no broker answers"));
      continue;
    }
    log_.write(std::move(record));
    if (delivered) delivered(transport::LogPosition{});
  }
}

Status FakeLogWriter::flush(std::chrono::nanoseconds timeout) {
  if (!waiting_.empty()) poll(timeout);
  return {};
}

}  // namespace ff::test
