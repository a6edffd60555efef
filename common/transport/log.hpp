// SPDX-License-Identifier: Apache-2.0
//
// The log: where collectors put records and sinks fetch them. An interface with two bodies.
//
//   kafka://host:port[,host:port]   Apache Kafka through librdkafka; more than one host
//   log:///path                     segment files on this host; nothing to install
//
// Data path  collector > [LogWriter] > ... > [LogReader] > sink
// A record's delivery report is the only proof that the log has it. Records may come more than once.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/payload.hpp"
#include "common/base/result.hpp"

namespace ff::transport {

/// Where the log holds a record.
struct LogPosition {
  std::int32_t partition = 0;
  std::int64_t offset = 0;
};

/// A topic as its users name it; the log puts the facility's prefix in front ("site.beamline.blocks").
enum class Topic { blocks, series, receipts, ledger, dead };
[[nodiscard]] std::string_view topic_word(Topic topic) noexcept;
[[nodiscard]] bool topic_is_state(Topic topic) noexcept;  ///< keeps the last value per key (series, ledger)
/// Freed by age and size, whoever has read it (receipts, dead); blocks are kept until their readers have them
/// (log://) or by the broker's own retention (kafka).
[[nodiscard]] bool topic_is_kept_by_time(Topic topic) noexcept;

struct LogOptions {
  std::string url;  ///< kafka://... or log:///...
  std::string topic_prefix = "site.beamline";
  std::uint32_t partitions = 4;               ///< of topics made by us; an existing topic's count wins
  std::uint64_t record_bytes_max = 900'000;   ///< kafka: larger payloads become chunk sets
  std::uint64_t queue_bytes = 256ull << 20;   ///< producer's memory; above it produce() says queue_full
  std::uint64_t log_bytes_max = 16ull << 30;  ///< log://: a full log refuses
  /// Limits of topics kept by time; kafka: settings of those made by us. Longer than the longest spool.
  std::chrono::nanoseconds kept_for = std::chrono::hours(24 * 14);
  std::uint64_t kept_bytes_max = 4ull << 30;  ///< of one topic, over all its partitions
  /// kafka: incomplete chunk sets that a reader holds over all its partitions; above it only the partition
  /// where most has come is read on, until that is less.
  std::uint64_t assembly_bytes_max = 512ull << 20;
  std::chrono::nanoseconds delivery_timeout = std::chrono::seconds(30);
  /// kafka: name of this reader in its group (static membership): one that returns under its name within
  /// `session_timeout` gets its partitions back without a rebalance. "": partitions move at once.
  std::string member;
  std::chrono::nanoseconds session_timeout = std::chrono::seconds(10);  ///< kafka: a silent reader's
  /// kafka: a place whose bytes are damaged is fetched again as often and as long; then it is skipped, and told by
  /// on_gap.
  int damage_tries = 8;
  std::chrono::nanoseconds damage_patience = std::chrono::seconds(2);
  std::map<std::string, std::string> kafka;  ///< further librdkafka settings, passed through
};

/// One thread only, poll() included: callbacks run inside poll() and flush().
class LogWriter {
 public:
  using Delivered = std::function<void(const Result<LogPosition>&)>;

  virtual ~LogWriter() = default;

  /// Hands one record over; `value` stays alive until `delivered` (may be empty) is called, exactly once.
  /// `key`: state topics keep the last value of each key.
  /// Errors: queue_full (call poll and try again), disk_full (log://), too_large; then `delivered` isn't
  /// called.
  [[nodiscard]] virtual Status produce(Topic topic, std::uint32_t partition, std::string_view key,
                                       Payload value, Delivered delivered) = 0;
  /// Runs due callbacks; waits at most `timeout` for one.
  virtual void poll(std::chrono::nanoseconds timeout) = 0;
  /// Waits until nothing is outstanding. Errors: timed_out.
  [[nodiscard]] virtual Status flush(std::chrono::nanoseconds timeout) = 0;
  [[nodiscard]] virtual Result<std::uint32_t> partition_count(Topic topic) = 0;
  /// "" when healthy; else one line why the log can't be reached (for readiness).
  [[nodiscard]] virtual std::string trouble() const = 0;
};

/// Opens (and where allowed creates) the given topics. One writer per topic in a log://.
/// Errors: invalid_argument (url), io_error, refused (another writer holds the topic), timed_out (no broker).
[[nodiscard]] Result<std::unique_ptr<LogWriter>> open_log_writer(const LogOptions& options,
                                                                 const std::vector<Topic>& topics);

struct LogRecord {
  Topic topic = Topic::blocks;
  LogPosition position;  ///< of the record; of its last chunk where it came as a chunk set
  std::int64_t first_offset =
      0;  ///< of its first chunk: committing may not pass it before the record is safe
  std::string key;
  Payload value;
};

/// Records [first_offset, next_offset) of a partition that a reader will never get.
struct LogGap {
  enum class Cause { freed, damaged };  ///< by retention before they were read; bytes went bad on a disk
  Topic topic = Topic::blocks;
  std::int32_t partition = 0;
  std::int64_t first_offset = 0;
  std::int64_t next_offset = 0;
  Cause cause = Cause::freed;
};

/// One thread only. A group's readers share the partitions (kafka) or there is one reader per group (log://).
class LogReader {
 public:
  virtual ~LogReader() = default;

  /// The next record, or nothing after `timeout`. Errors: out_of_range (the log freed records before this
  /// group had read them: on_gap has said which; reading goes on behind them; or a log that is shorter than
  /// what was committed: it was made anew and is read from its oldest record), crc_mismatch (bytes on the
  /// log's disk went bad: as above), io_error, disconnected, refused (kafka: another reader took this one's `member`
  /// name; open a new reader).
  [[nodiscard]] virtual Result<std::optional<LogRecord>> poll(std::chrono::nanoseconds timeout) = 0;

  /// Everything of this partition before `next_offset` is safe; reading restarts there after a crash.
  /// kafka: a commit that fails for a passing reason (broker away, rebalance) is no error: it is tried again
  /// inside poll() until the partition is lost, and trouble() names it meanwhile.
  /// Errors: refused (not this reader's partition; not allowed), out_of_range (not read yet), io_error.
  [[nodiscard]] virtual Status commit(Topic topic, std::int32_t partition, std::int64_t next_offset) = 0;

  /// Called inside poll(): partitions that this reader got (reading starts at the committed offset) or lost.
  /// What was read of a lost partition but not committed must be dropped: another reader reads it again.
  std::function<void(Topic, std::int32_t partition)> on_assigned, on_revoked;

  /// Called inside poll(), before it returns out_of_range or crc_mismatch.
  std::function<void(const LogGap&)> on_gap;

  /// Memory of values that have come in part only.
  [[nodiscard]] virtual std::uint64_t held_bytes() const { return 0; }

  /// True when everything that stood in the log at this moment has been returned by poll().
  [[nodiscard]] virtual bool caught_up() const = 0;
  [[nodiscard]] virtual std::string trouble() const = 0;
};

/// `group`: consumer group; its committed offsets outlive the reader. A new group (or one whose offsets Kafka has
/// forgotten) starts at the oldest record; what was freed before is a gap from offset 0 on, except in state topics.
[[nodiscard]] Result<std::unique_ptr<LogReader>> open_log_reader(const LogOptions& options,
                                                                 const std::string& group,
                                                                 const std::vector<Topic>& topics);

/// A reader outside every group: all partitions from the oldest record on, whoever else reads them, also those
/// added later; commit() is refused and nothing is kept from being freed. For topics that each of several
/// programs must know whole (receipts, ledger). Any number of followers, in any number of processes. kafka: opens
/// without a broker and makes missing topics when it finds one; poll() may wait up to a second longer than
/// its `timeout` while no broker answers, and caught_up() is false until each topic was found and read to its end.
/// `name` is for the log's own records. Errors: invalid_argument, io_error.
[[nodiscard]] Result<std::unique_ptr<LogReader>> open_log_follower(const LogOptions& options,
                                                                   const std::string& name,
                                                                   const std::vector<Topic>& topics);

}  // namespace ff::transport
