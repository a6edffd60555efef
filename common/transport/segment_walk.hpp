// SPDX-License-Identifier: Apache-2.0
//
// SegmentWalk: from record header to record header through a log's segments, beside a writer that appends, rolls and
// frees. What lets the two go without a lock: a file grows only after the bytes are in it, so a record that fits in
// the file's size is whole. Bodies are not read here. Private to common/transport.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "common/base/result.hpp"
#include "common/transport/posix_file.hpp"
#include "common/transport/segment_format.hpp"
#include "common/transport/segment_log.hpp"
#include "common/transport/segment_scan.hpp"

namespace ff::transport {

/// A place between two records of a log, and the open segment that it lies in.
struct LogPlace {
  std::uint64_t offset = 0;         ///< of the record that should come next
  std::uint64_t position = 0;       ///< of its header in `file`
  std::uint64_t segment_first = 0;  ///< names the segment
  FileHandle file;                  ///< not open: the segment must be looked up
  std::filesystem::path path;
  std::int64_t next_listing_ns = 0;
  SegmentGap gap;  ///< of the last error
  [[nodiscard]] SegmentView view() const { return {file.get(), path}; }
};

/// Opens the segment that begins with `first` and stands at its first record. Errors: as open_file() and
/// unpack_segment_header().
[[nodiscard]] Result<SegmentHeader> open_segment(const std::filesystem::path& folder, std::uint64_t first,
                                                 LogPlace& where);

class SegmentWalk {
 public:
  /// `reader`: who reads, for messages.
  SegmentWalk(std::filesystem::path folder, std::string reader)
      : folder_(std::move(folder)), reader_(std::move(reader)) {}

  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }
  /// The segment in which `offset` lies, or the oldest one; nothing when there is no log.
  [[nodiscard]] Result<std::optional<SegmentFile>> segment_holding(std::uint64_t offset) const;
  /// The record where.offset, or nothing as long as it isn't written. Errors: as SegmentReader::next(); where.gap
  /// says what was lost, and the next call goes on behind it.
  [[nodiscard]] Result<std::optional<PlacedRecord>> next_header(LogPlace& where) const;

 private:
  Result<std::optional<SegmentFile>> segment_behind(LogPlace& where) const;
  Status locate(LogPlace& where) const;
  Result<bool> next_segment(LogPlace& where) const;

  std::filesystem::path folder_;
  std::string reader_;
};

}  // namespace ff::transport
