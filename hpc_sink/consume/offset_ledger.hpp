// SPDX-License-Identifier: Apache-2.0
//
// OffsetLedger: which records of each partition still wait for a durable file, and so how far we may commit.
//
// Data path  log > [read] > decode > store > [done] > commit
// The commit position of a partition is the first offset of its oldest pending record, or one past the newest
// record read when none is pending. A record that was read but is not in a durable file is never passed.
// Not here   I/O. Book-keeping only; thread-safe, O(log pending) per call.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "common/transport/log.hpp"
#include "hpc_sink/consume/record_ticket.hpp"

namespace ff::sink {

struct CommitPosition {
  transport::Topic topic = transport::Topic::blocks;
  std::int32_t partition = 0;
  std::int64_t next_offset = 0;
};

class OffsetLedger {
 public:
  /// The partition came to us (again): tickets of its earlier assignment are void from now on.
  void assign(transport::Topic topic, std::int32_t partition);
  /// The partition went to another reader: what was read and not committed is his.
  void revoke(transport::Topic topic, std::int32_t partition);

  /// Notes a record as pending. A partition that was never assigned explicitly is assigned by its first
  /// record.
  [[nodiscard]] RecordTicket read(const transport::LogRecord& record);
  /// Notes as pending what lies in a gap of the log: nothing of it will come, but that it is gone must be durable
  /// before it is passed.
  [[nodiscard]] RecordTicket skip(const transport::LogGap& gap);
  /// The record's content is durable, or needs no file. Void tickets and tickets given back twice change
  /// nothing.
  void done(const RecordTicket& ticket);
  void done(const RecordTickets& tickets);

  /// False when the ticket's partition has been lost or assigned anew since.
  [[nodiscard]] bool valid(const RecordTicket& ticket) const;

  /// True while the partition's records are read here.
  [[nodiscard]] bool assigned(transport::Topic topic, std::int32_t partition) const;
  [[nodiscard]] std::size_t assigned_count(transport::Topic topic) const;

  /// Commit positions that moved since the last call, each with its new value.
  [[nodiscard]] std::vector<CommitPosition> take_commits();
  [[nodiscard]] std::size_t pending() const;

 private:
  using PartitionKey = std::pair<transport::Topic, std::int32_t>;
  struct Partition {
    std::uint64_t generation = 0;
    bool assigned = false;
    std::set<std::int64_t> pending;  // first offsets
    std::int64_t next_offset = -1;   // one past the newest record read; -1: none read yet
    std::int64_t committed = -1;
  };
  [[nodiscard]] static std::int64_t commit_position(const Partition& partition) noexcept;
  void start(PartitionKey key, bool assigned);
  [[nodiscard]] bool is_valid(const RecordTicket& ticket) const;

  mutable std::mutex mutex_;
  std::map<PartitionKey, Partition> partitions_;
};

}  // namespace ff::sink
