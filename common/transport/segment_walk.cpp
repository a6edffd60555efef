// SPDX-License-Identifier: Apache-2.0
//
// Finding segments and the headers of their records, and what is done at places that hold none.
#include "common/transport/segment_walk.hpp"

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include "common/base/clock.hpp"

namespace ff::transport {
namespace {

constexpr std::int64_t kListingIntervalNs = 50'000'000;

/// As open_segment(), but a damaged header doesn't hide the records behind it: each has a CRC of its own.
Result<SegmentHeader> open_segment_anyway(const std::filesystem::path& folder, std::uint64_t first,
                                          LogPlace& where) {
  auto header = open_segment(folder, first, where);
  if (header.ok()) return header;
  if (header.error().code != Errc::crc_mismatch && header.error().code != Errc::bad_magic) return header;
  const auto path = folder / segment_file_name(first);
  FF_ASSIGN(FileHandle file, open_file(path, O_RDONLY));
  FF_ASSIGN(const std::uint64_t size, file_size(file.get(), path));
  FF_ASSIGN(const auto record, find_record({file.get(), path}, 0, size, first, 0));
  where = {where.offset, record ? record->position : size, first, std::move(file), path, 0, where.gap};
  return SegmentHeader{first, first, {}, 0};
}

std::string range_words(std::uint64_t first, std::uint64_t end) {
  return "records " + std::to_string(first) + " to " + std::to_string(end) + " (not included)";
}

Status walk_to_offset(LogPlace& where) {
  FF_ASSIGN(const std::uint64_t size, file_size(where.file.get(), where.path));
  while (where.position < size) {
    FF_ASSIGN(auto record, record_at(where.view(), where.position, size));
    if (!record) {
      // Damage among records that are done is nobody's loss; damage beyond is reported by next_header().
      FF_ASSIGN(record, find_record(where.view(), where.position + 1, size, 0, 0));
      if (!record || record->header.offset > where.offset) return {};
    }
    if (record->header.offset >= where.offset) {
      where.position = record->position;
      return {};
    }
    where.position = record->end();
  }
  return {};
}

/// Stands at bytes that are no record. Goes to the next whole one and says what was lost.
Status skip_damage(LogPlace& where, std::uint64_t size) {
  const std::uint64_t bad = where.position;
  const std::uint64_t expected = where.offset;
  FF_ASSIGN(const auto record, find_record(where.view(), bad, size, expected, 0));
  where.position = record ? record->position : size;
  if (record) where.offset = record->header.offset;
  where.gap = {expected, where.offset};
  return fail(Errc::crc_mismatch, place(where.path, bad) + "damaged; " +
                                      (record ? range_words(expected, where.offset)
                                              : "records from " + std::to_string(expected) + " on") +
                                      " are lost");
}

}  // namespace

Result<SegmentHeader> open_segment(const std::filesystem::path& folder, std::uint64_t first,
                                   LogPlace& where) {
  const auto path = folder / segment_file_name(first);
  FF_ASSIGN(FileHandle file, open_file(path, O_RDONLY));
  std::array<std::byte, kSegmentHeaderBytes> bytes;
  FF_ASSIGN(const std::size_t got, read_at(file.get(), 0, bytes, path));
  FF_ASSIGN(const SegmentHeader header, unpack_segment_header(ByteSpan(bytes).first(got), path.string()));
  where = {where.offset, header.header_bytes, first, std::move(file), path, 0, where.gap};
  return header;
}

Result<std::optional<SegmentFile>> SegmentWalk::segment_holding(std::uint64_t offset) const {
  FF_ASSIGN(const auto segments, list_segments(folder_));
  if (segments.empty()) return std::optional<SegmentFile>{};
  auto behind = std::ranges::upper_bound(segments, offset, {}, &SegmentFile::first_offset);
  if (behind != segments.begin()) --behind;
  return std::optional(*behind);
}

/// The segment after the one `where` stands in. Asked at every poll of an idle log, so the likely name is
/// tried first and the folder is listed rarely.
Result<std::optional<SegmentFile>> SegmentWalk::segment_behind(LogPlace& where) const {
  const bool likely = where.offset > where.segment_first &&
                      ::access((folder_ / segment_file_name(where.offset)).c_str(), F_OK) == 0;
  if (likely) return std::optional(SegmentFile{where.offset, 0});
  const std::int64_t now_ns = monotonic_now_ns();
  if (now_ns < where.next_listing_ns) return std::optional<SegmentFile>{};
  where.next_listing_ns = now_ns + kListingIntervalNs;
  FF_ASSIGN(const auto segments, list_segments(folder_));
  const auto behind = std::ranges::upper_bound(segments, where.segment_first, {}, &SegmentFile::first_offset);
  if (behind == segments.end()) return std::optional<SegmentFile>{};
  return std::optional(*behind);
}

/// Opens the segment that holds where.offset and walks to it. Leaves `where` closed when nothing is there.
Status SegmentWalk::locate(LogPlace& where) const {
  FF_ASSIGN(const auto segment, segment_holding(where.offset));
  if (!segment) return {};
  const auto opened = open_segment_anyway(folder_, segment->first_offset, where);
  if (!opened.ok()) {
    const bool passing = opened.error().code == Errc::not_found || opened.error().code == Errc::truncated;
    return passing ? Status{} : opened.error();  // freed or being made at this moment: look again later
  }
  const SegmentHeader& header = *opened;
  if (header.first_offset > where.offset) {
    where.gap = {std::exchange(where.offset, header.first_offset), header.first_offset};
    return fail(Errc::out_of_range,
                folder_.string() + ": " + range_words(where.gap.first_offset, where.offset) +
                    " were freed before " + reader_ +
                    " had read them; the log is too small or the reader was away too long");
  }
  return walk_to_offset(where);
}

/// Moves on when the writer has. False: this segment is still the newest.
Result<bool> SegmentWalk::next_segment(LogPlace& where) const {
  FF_ASSIGN(const auto next, segment_behind(where));
  if (!next) return false;
  // Only now is this segment known to be complete: look at its end once more.
  FF_ASSIGN(const std::uint64_t size, file_size(where.file.get(), where.path));
  FF_ASSIGN(const auto late, record_at(where.view(), where.position, size));
  if (late) return true;
  LogPlace behind;
  auto header = open_segment_anyway(folder_, next->first_offset, behind);
  if (!header.ok()) {
    if (header.error().code == Errc::truncated) return false;  // being made
    if (header.error().code == Errc::not_found) return true;   // freed at this moment: look again
    return std::move(header).error();
  }
  const std::uint64_t expected = where.offset;
  behind.offset = header->first_offset;
  const bool complete = expected >= header->previous_end && where.position >= size;
  std::string where_cut = place(where.path, where.position);
  where = std::move(behind);
  if (complete) return true;
  where.gap = {expected, std::max(expected, header->previous_end)};
  return fail(Errc::crc_mismatch,
              where_cut + "cut short; " + range_words(expected, header->previous_end) + " are lost");
}

Result<std::optional<PlacedRecord>> SegmentWalk::next_header(LogPlace& where) const {
  for (;;) {
    if (!where.file.is_open()) {
      FF_TRY(locate(where));
      if (!where.file.is_open()) return std::optional<PlacedRecord>{};
    }
    FF_ASSIGN(const std::uint64_t size, file_size(where.file.get(), where.path));
    FF_ASSIGN(const auto record, record_at(where.view(), where.position, size));
    if (record && record->header.offset == where.offset) return record;
    if (record) FF_TRY(skip_damage(where, size));
    if (is_unlinked(where.file.get()) || size < where.position) {
      where.file.reset();  // freed under us, or cut by a writer that restarted: look it up again
      continue;
    }
    FF_ASSIGN(const bool moved, next_segment(where));
    if (moved) continue;
    // The newest segment: a header that is whole but wrong is damage; anything shorter is still being
    // written.
    std::array<std::byte, kRecordHeaderBytes> bytes;
    FF_ASSIGN(const std::size_t got, read_at(where.file.get(), where.position, bytes, where.path));
    if (got < bytes.size() || unpack_record_header(bytes)) return std::optional<PlacedRecord>{};
    FF_TRY(skip_damage(where, size));
  }
}

}  // namespace ff::transport
