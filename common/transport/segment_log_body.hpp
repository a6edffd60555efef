// SPDX-License-Identifier: Apache-2.0
//
// What a SegmentLog holds while it is open. Invariant: only the newest segment can have bytes that aren't durable; a
// segment is fsynced before the next one is made. Private to common/transport.
//
// segment_log.cpp           appending, and where a record goes
// segment_log_open.cpp      finding what is there: torn tails, the other disk, offsets that readers passed
// segment_log_segments.cpp  files made and freed
// segment_log_sync.cpp      what makes records durable
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/transport/posix_file.hpp"
#include "common/transport/segment_format.hpp"
#include "common/transport/segment_log.hpp"

namespace ff::transport {

struct SegmentLog::Body {
  SegmentLogOptions options;
  FileHandle lock;
  Uuid log_id;
  std::deque<SegmentFile> closed;  ///< oldest first; the active segment isn't among them

  FileHandle active;
  std::filesystem::path active_path;
  std::uint64_t active_first = 0;
  std::uint64_t active_bytes = 0;
  std::uint64_t synced_bytes = 0;     ///< of the active segment
  std::uint64_t writeback_bytes = 0;  ///< of the active segment, handed to the disk but not waited for
  std::int64_t unsynced_since_ns = 0;

  std::uint64_t next_offset = 0;
  std::uint64_t closed_bytes = 0;
  std::map<std::uint64_t, std::filesystem::path>
      overflow;                             ///< first offset and target of segments that are there
  std::uint64_t overflow_closed_bytes = 0;  ///< of closed_bytes
  std::uint64_t torn_bytes_cut = 0;
  std::string damage;
  std::optional<Error> failed;  ///< set for good: what is on disk is no longer known

  Status open_existing(std::vector<SegmentFile> segments);
  Status adopt(const SegmentFile& newest);
  Status drop_torn_header(const SegmentFile& newest, const Error& why);
  Status skip_offsets_that_readers_passed();
  void reserve(int fd) const noexcept;
  void give_back_reserve() const noexcept;
  Status create_segment(std::uint64_t first_offset, bool in_overflow = false);
  Status roll(std::uint64_t first_offset, bool in_overflow = false);
  Status write_record(std::string_view key, ByteSpan value, const RecordHeader& header);
  Status take_back(Error why);
  Status free_closed(std::uint64_t offset);
  Status free_oldest();
  Status sync();
  Status close_after(Error why);
  void start_writeback();
  [[nodiscard]] std::uint64_t bytes() const noexcept { return closed_bytes + active_bytes; }
  [[nodiscard]] bool active_overflows() const { return overflow.contains(active_first); }
  [[nodiscard]] std::uint64_t overflow_bytes() const {
    return overflow_closed_bytes + (active_overflows() ? active_bytes : 0);
  }
  [[nodiscard]] bool has_room(std::uint64_t more, bool in_overflow) const {
    return in_overflow ? overflow_bytes() + more <= options.overflow_bytes_max
                       : bytes() - overflow_bytes() + more <= options.log_bytes_max;
  }
  [[nodiscard]] std::filesystem::path overflow_place() const {
    return options.overflow_folder / log_id.to_string();
  }
  Result<std::filesystem::path> place_segment(const std::filesystem::path& path, bool in_overflow);
  Status look_at_overflow(const std::vector<SegmentFile>& segments);
  Status make_room(std::uint64_t total);
};

}  // namespace ff::transport
