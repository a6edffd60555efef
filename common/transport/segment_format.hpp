// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a segment file: header of a segment, header of a record, and the checks on both.
// For common/transport, and for archive files (tools/archive/), which are one segment.
//
// Format     docs/formats/segment.md, whose tables this file repeats in code.
// Not here   what a record's key and value mean.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "common/base/uuid.hpp"

namespace ff::transport {

inline constexpr std::size_t kSegmentHeaderBytes = 64;
inline constexpr std::size_t kRecordHeaderBytes = 48;
inline constexpr std::size_t kRecordAlignment = 8;
inline constexpr std::size_t kRecordKeyBytesMax = 4096;

struct SegmentHeader {
  std::uint64_t first_offset = 0;  ///< of the first record that may stand here
  std::uint64_t previous_end = 0;  ///< offsets in [previous_end, first_offset) were never used
  Uuid log_id;                     ///< the same in all segments of a log
  std::int64_t created_utc_ns = 0;
  std::uint32_t header_bytes = kSegmentHeaderBytes;  ///< the first record follows here
};

[[nodiscard]] std::array<std::byte, kSegmentHeaderBytes> pack(const SegmentHeader& header);
/// Errors: truncated, bad_magic, crc_mismatch, unsupported_version, unsupported_feature, malformed.
[[nodiscard]] Result<SegmentHeader> unpack_segment_header(ByteSpan bytes, const std::string& where);

struct RecordHeader {
  std::uint64_t offset = 0;
  std::uint64_t synced_bytes = 0;  ///< of this file, known durable when the record was written
  std::uint64_t value_bytes = 0;
  std::uint32_t key_bytes = 0;
  std::uint32_t body_crc = 0;  ///< of key and value

  /// With header and padding.
  [[nodiscard]] std::uint64_t total_bytes() const noexcept;
};

[[nodiscard]] std::array<std::byte, kRecordHeaderBytes> pack(const RecordHeader& header);
/// Nothing unless magic, CRC, reserved bits and sizes are right.
[[nodiscard]] std::optional<RecordHeader> unpack_record_header(ByteSpan bytes) noexcept;
[[nodiscard]] std::uint32_t body_crc(std::string_view key, ByteSpan value) noexcept;

/// "segment-00000000000000000042.ffs"
[[nodiscard]] std::string segment_file_name(std::uint64_t first_offset);
[[nodiscard]] std::optional<std::uint64_t> parse_segment_file_name(std::string_view name) noexcept;

struct SegmentFile {
  std::uint64_t first_offset = 0;
  std::uint64_t bytes = 0;
};
/// All segments of a folder, oldest first; reads names and sizes only. Empty when there is no folder.
[[nodiscard]] Result<std::vector<SegmentFile>> list_segments(const std::filesystem::path& folder);

}  // namespace ff::transport
