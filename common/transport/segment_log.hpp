// SPDX-License-Identifier: Apache-2.0
//
// SegmentLog: an append-only run of records in numbered files; the agent's spool and the body of log://.
//
// Format     docs/formats/segment.md. Segments of fixed maximum size, each record with length and CRC; a torn
//            tail is cut at opening; segments below the lowest cursor are freed.
// One process writes a log, by one thread; readers (SegmentReader) may be other processes.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/base/payload.hpp"
#include "common/base/result.hpp"

namespace ff::transport {

struct SegmentLogOptions {
  std::filesystem::path folder;
  std::uint64_t segment_bytes = 128ull << 20;
  std::uint64_t log_bytes_max = 16ull << 30;
  std::uint64_t record_bytes_max = 256ull << 20;
  std::chrono::nanoseconds fsync_interval = std::chrono::milliseconds(200);  ///< 0: after every append
  bool writes_back =
      true;  ///< starts writing to disk behind the appends; not for owners that fsync all the time
  /// A folder on another disk for segments that have no room in `folder`, where they are symbolic links then;
  /// empty: none.
  std::filesystem::path overflow_folder{};
  std::uint64_t overflow_bytes_max = 0;
};

/// What makes all records below `next_offset` durable: an fdatasync that any thread may do while the log is
/// appended to. Outlives the log.
class SegmentSync {
 public:
  /// Once. Errors: io_error.
  [[nodiscard]] Status run() const;
  [[nodiscard]] std::uint64_t next_offset() const noexcept { return next_offset_; }

 private:
  friend class SegmentLog;
  std::shared_ptr<const int> file_;  ///< closes itself
  std::filesystem::path path_;
  std::uint64_t segment_first_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t next_offset_ = 0;
};

struct SegmentLogStats {
  std::uint64_t first_offset = 0;    ///< oldest record still held
  std::uint64_t next_offset = 0;     ///< of the next append
  std::uint64_t bytes = 0;           ///< on disk
  std::uint64_t bytes_max = 0;       ///< log_bytes_max and overflow_bytes_max
  std::uint64_t overflow_bytes = 0;  ///< of `bytes`, in the overflow folder
  std::uint64_t torn_bytes_cut = 0;
  std::string damage;  ///< "" or the first damage before the tail: file, byte, records lost
};

class SegmentLog {
 public:
  /// Opens or creates; cuts a torn tail. Damage before the tail doesn't keep a log from opening: it is named
  /// in stats().damage and by each reader that comes to it. Cost: the headers of the newest segment and the
  /// bodies that weren't durable yet, however long the log.
  /// Errors: refused (another process writes it), io_error, disk_full, unsupported_version, crc_mismatch
  /// (the newest segment's own header is damaged although records follow it; names the file), not_found (a
  /// segment lies in an overflow folder that isn't there: mount its disk).
  [[nodiscard]] static Result<std::unique_ptr<SegmentLog>> open(const SegmentLogOptions& options);
  ~SegmentLog();

  /// Appends one record and returns its offset (record index, 0, 1, 2 ...). Written by write(), durable at
  /// the next fsync. Errors: disk_full (log_bytes_max reached or the disk is full; nothing was written),
  /// too_large.
  [[nodiscard]] Result<std::uint64_t> append(std::string_view key, ByteSpan value);
  /// fsync now.
  [[nodiscard]] Status sync();
  /// fsync if fsync_interval has passed since the oldest unsynced append.
  [[nodiscard]] Status sync_if_due();

  /// The same in three steps, so that the waiting happens elsewhere: begin_sync() here, run() on another thread,
  /// end_sync() here. Records below next_offset() are durable when end_sync() returns no error.
  /// Errors: io_error (the log is closed for good, as after a failed sync()).
  [[nodiscard]] Result<SegmentSync> begin_sync();
  [[nodiscard]] Status end_sync(const SegmentSync& sync, const Status& outcome);

  /// Frees whole segments that lie below `offset`.
  [[nodiscard]] Status free_below(std::uint64_t offset);
  /// Frees the oldest segments whose last record was written before `utc_ns`. The newest segment stays.
  [[nodiscard]] Status free_older_than(std::int64_t utc_ns);
  /// Frees the oldest segments until the log holds at most `bytes`. The newest segment stays.
  [[nodiscard]] Status free_down_to(std::uint64_t bytes);
  /// Lowest committed offset over all cursors of the folder; nothing when there is none.
  [[nodiscard]] std::optional<std::uint64_t> lowest_cursor() const;
  [[nodiscard]] SegmentLogStats stats() const;

 private:
  SegmentLog();
  struct Body;
  std::unique_ptr<Body> body_;
};

struct SegmentRecord {
  std::uint64_t offset = 0;
  std::string key;
  Payload value;  ///< maps or owns the bytes
};

/// Records that a reader will never get: [first_offset, next_offset).
struct SegmentGap {
  std::uint64_t first_offset = 0;
  std::uint64_t next_offset = 0;  ///< equal to first_offset: not known yet how far it reaches
};

/// The beginning of a record's value.
struct SegmentGlance {
  std::uint64_t offset = 0;
  std::uint64_t value_bytes = 0;  ///< of the whole value
  Payload beginning;
};

/// A named reader with a durable cursor, one per name at a time (file lock); or a follower without either.
class SegmentReader {
 public:
  /// Errors: not_found (no log there yet), refused (the name is in use), unsupported_version.
  [[nodiscard]] static Result<std::unique_ptr<SegmentReader>> open(const std::filesystem::path& folder,
                                                                   const std::string& name);
  /// A reader without name and cursor: from the oldest record on, any number of them; commit() is refused.
  [[nodiscard]] static Result<std::unique_ptr<SegmentReader>> follow(const std::filesystem::path& folder);
  ~SegmentReader();

  /// The next record, or nothing when the end is reached (call again later). CRC-checked.
  /// Errors: crc_mismatch (damage; names file, byte and records lost), out_of_range (freed before it was
  /// read; names the gap). After either the next call goes on behind it. io_error.
  [[nodiscard]] Result<std::optional<SegmentRecord>> next();
  /// What the last out_of_range or crc_mismatch of next() was about.
  [[nodiscard]] SegmentGap last_gap() const;
  /// As next(), but reads at most `bytes_max` of the value, and not the rest: for walks by headers. The body's
  /// CRC is not checked.
  [[nodiscard]] Result<std::optional<SegmentGlance>> glance(std::size_t bytes_max);
  /// The next call reads the record `offset`, wherever the cursor is. Cost: the headers of one segment.
  void seek(std::uint64_t offset);
  /// Whether open() found no cursor of this name: it starts at the oldest record, whatever was freed before.
  [[nodiscard]] bool is_new() const;
  /// Offset of the record that next() looks for.
  [[nodiscard]] std::uint64_t next_offset() const;
  /// Starts again at the committed cursor.
  void rewind();
  /// Everything before `next_offset` is done; durable when the call returns.
  [[nodiscard]] Status commit(std::uint64_t next_offset);
  [[nodiscard]] std::uint64_t committed() const;
  /// Offset one past the newest complete record at this moment.
  [[nodiscard]] std::uint64_t end_offset();

 private:
  SegmentReader();
  struct Body;
  std::unique_ptr<Body> body_;
};

}  // namespace ff::transport
