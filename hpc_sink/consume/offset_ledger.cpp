// SPDX-License-Identifier: Apache-2.0
//
// OffsetLedger: pending records per partition and the commit position that follows from them.
#include "hpc_sink/consume/offset_ledger.hpp"

#include <algorithm>

namespace ff::sink {

void OffsetLedger::start(PartitionKey key, bool assigned) {
  Partition& entry = partitions_[key];
  entry = Partition{.generation = entry.generation + 1, .assigned = assigned, .pending = {}};
}

void OffsetLedger::assign(transport::Topic topic, std::int32_t partition) {
  std::lock_guard lock(mutex_);
  start({topic, partition}, true);
}

void OffsetLedger::revoke(transport::Topic topic, std::int32_t partition) {
  std::lock_guard lock(mutex_);
  start({topic, partition}, false);
}

RecordTicket OffsetLedger::read(const transport::LogRecord& record) {
  std::lock_guard lock(mutex_);
  const PartitionKey key{record.topic, record.position.partition};
  if (!partitions_[key].assigned) start(key, true);
  Partition& entry = partitions_[key];
  // Reading starts where the group last committed: committing that very place again would say nothing.
  if (entry.next_offset < 0) entry.committed = record.first_offset;
  entry.pending.insert(record.first_offset);
  entry.next_offset = std::max(entry.next_offset, record.position.offset + 1);
  return {key.first, key.second, record.first_offset, entry.generation};
}

RecordTicket OffsetLedger::skip(const transport::LogGap& gap) {
  return read({.topic = gap.topic,
               .position = {gap.partition, gap.next_offset - 1},
               .first_offset = gap.first_offset,
               .key = {},
               .value = {}});
}

bool OffsetLedger::is_valid(const RecordTicket& ticket) const {
  const auto entry = partitions_.find({ticket.topic, ticket.partition});
  return entry != partitions_.end() && entry->second.assigned &&
         entry->second.generation == ticket.generation;
}

bool OffsetLedger::valid(const RecordTicket& ticket) const {
  std::lock_guard lock(mutex_);
  return is_valid(ticket);
}

bool OffsetLedger::assigned(transport::Topic topic, std::int32_t partition) const {
  std::lock_guard lock(mutex_);
  const auto entry = partitions_.find({topic, partition});
  return entry != partitions_.end() && entry->second.assigned;
}

std::size_t OffsetLedger::assigned_count(transport::Topic topic) const {
  std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::ranges::count_if(partitions_, [topic](const auto& entry) {
    return entry.first.first == topic && entry.second.assigned;
  }));
}

void OffsetLedger::done(const RecordTicket& ticket) {
  std::lock_guard lock(mutex_);
  if (is_valid(ticket)) partitions_.at({ticket.topic, ticket.partition}).pending.erase(ticket.first_offset);
}

void OffsetLedger::done(const RecordTickets& tickets) {
  for (const RecordTicket& ticket : tickets) done(ticket);
}

std::int64_t OffsetLedger::commit_position(const Partition& partition) noexcept {
  return partition.pending.empty() ? partition.next_offset : *partition.pending.begin();
}

std::vector<CommitPosition> OffsetLedger::take_commits() {
  std::lock_guard lock(mutex_);
  std::vector<CommitPosition> moved;
  for (auto& [key, partition] : partitions_) {
    const std::int64_t position = commit_position(partition);
    if (!partition.assigned || partition.next_offset < 0 || position <= partition.committed) continue;
    partition.committed = position;
    moved.push_back({key.first, key.second, position});
  }
  return moved;
}

std::size_t OffsetLedger::pending() const {
  std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const auto& [key, partition] : partitions_) count += partition.pending.size();
  return count;
}

}  // namespace ff::sink
