// SPDX-License-Identifier: Apache-2.0
//
// Archive file (.ffs): one segment of envelopes with an index at its end; decodes alone.
//
// Format     docs/formats/archive.md: the segment format (docs/formats/segment.md) in a single file.
// Not here   what the envelopes mean (archive_encode.hpp, archive_decode.hpp).
// Each object belongs to one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "common/base/uuid.hpp"
#include "tools/recording/part_file.hpp"

namespace ff::tools {

enum class ArchiveRecord : std::uint8_t { series_start = 1, block = 2, window = 3, series_end = 4 };

/// Where a record lies and what it is, so that a reader finds a window without reading what is in front of
/// it.
struct ArchiveEntry {
  std::uint64_t position = 0;     ///< of the record header in the file
  std::uint64_t value_bytes = 0;  ///< of the envelope
  std::uint64_t window = 0;
  std::uint32_t tile = 0;
  std::uint16_t group = 0;
  ArchiveRecord kind = ArchiveRecord::block;
  std::uint8_t frames = 0;       ///< grid positions of a block's group, 1 ... 64
  std::uint8_t first_frame = 0;  ///< of a block's group, in its window
  bool key = false;              ///< a block that needs none before it
};

class ArchiveWriter {
 public:
  /// `log_id` and `created_utc_ns` name the file (docs/formats/segment.md). Errors: those of PartFile::create.
  [[nodiscard]] static Result<ArchiveWriter> create(const std::string& path, bool force, const Uuid& log_id,
                                                    std::int64_t created_utc_ns);

  /// `entry.position` and `entry.value_bytes` are filled in here. Errors: disk_full, io_error.
  [[nodiscard]] Status append(ArchiveEntry entry, ByteSpan envelope);
  /// Writes the index and publishes the file.
  [[nodiscard]] Status finish();
  [[nodiscard]] std::uint64_t bytes_written() const noexcept { return file_.bytes_written(); }

 private:
  explicit ArchiveWriter(PartFile file) : file_(std::move(file)) {}
  [[nodiscard]] Status write_record(std::string_view key, ByteSpan value);

  PartFile file_;
  std::uint64_t next_offset_ = 0;
  std::vector<ArchiveEntry> entries_;
};

class ArchiveReader {
 public:
  /// Reads the index; without one (a spool's segment, or a file that was cut) it hops through the records. Entries
  /// of an index have no first_frame: groups of an archive follow each other without a gap.
  /// Errors: not_found, io_error, bad_magic, unsupported_version, malformed, truncated.
  [[nodiscard]] static Result<ArchiveReader> open(const std::string& path);
  ArchiveReader(ArchiveReader&& other) noexcept;
  ArchiveReader& operator=(ArchiveReader&&) = delete;
  ~ArchiveReader();

  [[nodiscard]] const std::vector<ArchiveEntry>& entries() const noexcept { return entries_; }
  [[nodiscard]] bool has_index() const noexcept { return has_index_; }
  [[nodiscard]] std::uint64_t file_bytes() const noexcept { return file_bytes_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  /// The envelope of an entry; its record's CRC is checked. Errors: crc_mismatch, io_error, malformed.
  [[nodiscard]] Result<std::vector<std::byte>> read(const ArchiveEntry& entry) const;

 private:
  ArchiveReader(std::string path, int fd, std::uint64_t file_bytes)
      : path_(std::move(path)), fd_(fd), file_bytes_(file_bytes) {}
  [[nodiscard]] Status read_at(std::uint64_t position, MutableByteSpan bytes) const;
  [[nodiscard]] Result<std::optional<std::vector<std::byte>>> read_index() const;
  [[nodiscard]] Result<bool> load_index();
  [[nodiscard]] Status scan(std::uint64_t first_position);

  std::string path_;
  int fd_ = -1;
  std::uint64_t file_bytes_ = 0;
  bool has_index_ = false;
  std::vector<ArchiveEntry> entries_;
};

}  // namespace ff::tools
