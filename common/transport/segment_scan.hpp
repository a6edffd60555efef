// SPDX-License-Identifier: Apache-2.0
//
// Walks through the records of a segment by their headers, finds the next whole record behind damage, and
// tells a torn tail (cut it) from damage in the middle (keep and name it). Private to common/transport.
//
// Rule       every record states how much of its file was durable when it was written. A bad place that a
//            later record vouches for was whole once: damage. A bad place nobody vouches for: torn tail.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "common/base/result.hpp"
#include "common/transport/segment_format.hpp"

namespace ff::transport {

/// A segment file opened for looking.
struct SegmentView {
  int fd = -1;
  const std::filesystem::path& path;
};

struct PlacedRecord {
  std::uint64_t position = 0;  ///< of the record header in the file
  RecordHeader header;
  [[nodiscard]] std::uint64_t end() const noexcept { return position + header.total_bytes(); }
};

/// The record at `position` if its header is right and the file (of `size` bytes) holds all of it.
[[nodiscard]] Result<std::optional<PlacedRecord>> record_at(const SegmentView& file, std::uint64_t position,
                                                            std::uint64_t size);

/// The first whole record at or behind `from` with offset >= min_offset whose synced_bytes >= min_synced.
[[nodiscard]] Result<std::optional<PlacedRecord>> find_record(const SegmentView& file, std::uint64_t from,
                                                              std::uint64_t size, std::uint64_t min_offset,
                                                              std::uint64_t min_synced);

struct TailScan {
  std::uint64_t end_bytes = 0;  ///< the file may be cut here; everything before is kept
  std::uint64_t next_offset = 0;
  std::string damage;  ///< "" or the first damaged place before the tail: file, byte, records
};

/// Reads the headers of all records, and the bodies of those that nobody vouches for.
[[nodiscard]] Result<TailScan> scan_tail(const SegmentView& file, const SegmentHeader& header);

/// Reads a whole body and checks it. Errors: crc_mismatch (names file and byte), io_error.
[[nodiscard]] Status read_body(const SegmentView& file, const PlacedRecord& record, MutableByteSpan body);

/// "segment-…042.ffs: byte 4711: "
[[nodiscard]] std::string place(const std::filesystem::path& path, std::uint64_t position);

}  // namespace ff::transport
