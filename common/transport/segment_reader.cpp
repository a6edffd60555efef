// SPDX-License-Identifier: Apache-2.0
//
// The reading end, often in another process than the writer. What lets the two go without a lock: a file
// grows only after the bytes are in it, so a record that fits in the file's size is whole.
#include <algorithm>
#include <array>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "common/transport/posix_file.hpp"
#include "common/transport/segment_cursor.hpp"
#include "common/transport/segment_format.hpp"
#include "common/transport/segment_log.hpp"
#include "common/transport/segment_scan.hpp"

namespace ff::transport {
namespace {

constexpr std::int64_t kListingIntervalNs = 50'000'000;

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

}  // namespace

struct SegmentReader::Body {
  std::filesystem::path folder;
  std::string name;
  bool follows = false;  ///< without name, lock and cursor
  FileHandle lock;
  SegmentCursor cursor;
  LogPlace here;
  LogPlace tail;  ///< of end_offset(): walks ahead by headers only

  [[nodiscard]] Status open();
  [[nodiscard]] Status take_name();
  [[nodiscard]] Result<std::optional<SegmentFile>> segment_holding(std::uint64_t offset) const;
  [[nodiscard]] Result<std::optional<SegmentFile>> segment_behind(LogPlace& where) const;
  Status locate(LogPlace& where);
  Status walk_to_offset(LogPlace& where) const;
  Result<bool> next_segment(LogPlace& where);
  Status skip_damage(LogPlace& where, std::uint64_t size) const;
  Result<std::optional<PlacedRecord>> next_header(LogPlace& where);
  Result<std::optional<SegmentRecord>> read_record(const PlacedRecord& record);
};

Result<std::optional<SegmentFile>> SegmentReader::Body::segment_holding(std::uint64_t offset) const {
  FF_ASSIGN(const auto segments, list_segments(folder));
  if (segments.empty()) return std::optional<SegmentFile>{};
  auto behind = std::ranges::upper_bound(segments, offset, {}, &SegmentFile::first_offset);
  if (behind != segments.begin()) --behind;
  return std::optional(*behind);
}

/// The segment after the one `where` stands in. Asked at every poll of an idle log, so the likely name is
/// tried first and the folder is listed rarely.
Result<std::optional<SegmentFile>> SegmentReader::Body::segment_behind(LogPlace& where) const {
  const bool likely = where.offset > where.segment_first &&
                      ::access((folder / segment_file_name(where.offset)).c_str(), F_OK) == 0;
  if (likely) return std::optional(SegmentFile{where.offset, 0});
  const std::int64_t now_ns = monotonic_now_ns();
  if (now_ns < where.next_listing_ns) return std::optional<SegmentFile>{};
  where.next_listing_ns = now_ns + kListingIntervalNs;
  FF_ASSIGN(const auto segments, list_segments(folder));
  const auto behind = std::ranges::upper_bound(segments, where.segment_first, {}, &SegmentFile::first_offset);
  if (behind == segments.end()) return std::optional<SegmentFile>{};
  return std::optional(*behind);
}

Status SegmentReader::Body::take_name() {
  std::error_code error;
  std::filesystem::create_directories(cursor_folder(folder), error);
  if (error) return fail(Errc::io_error, cursor_folder(folder).string() + ": " + error.message());
  FF_ASSIGN(lock, lock_file(cursor_folder(folder) / (name + ".lock")));
  return {};
}

Status SegmentReader::Body::open() {
  FF_ASSIGN(const auto oldest, segment_holding(0));
  if (!oldest) return fail(Errc::not_found, folder.string() + ": no log is there yet");
  if (!follows) FF_TRY(take_name());
  LogPlace first;
  auto header = open_segment(folder, oldest->first_offset, first);
  if (!header.ok()) {
    // Made at this moment, its header isn't written yet: the same to us as no log.
    if (header.error().code == Errc::truncated)
      return fail(Errc::not_found, std::move(header).error().message);
    return std::move(header).error();
  }
  if (follows) {
    cursor = {header->log_id, oldest->first_offset};
    here.offset = tail.offset = cursor.next_offset;
    return {};
  }
  FF_ASSIGN(const auto stored, load_cursor(folder, name));
  if (stored && stored->log_id == header->log_id) {
    cursor = *stored;
  } else {
    cursor = {header->log_id, oldest->first_offset};
    FF_TRY(store_cursor(folder, name, cursor));  // from now on nothing above it is freed
  }
  here.offset = tail.offset = cursor.next_offset;
  return {};
}

/// Opens the segment that holds where.offset and walks to it. Leaves `where` closed when nothing is there.
Status SegmentReader::Body::locate(LogPlace& where) {
  FF_ASSIGN(const auto segment, segment_holding(where.offset));
  if (!segment) return {};
  const auto opened = open_segment_anyway(folder, segment->first_offset, where);
  if (!opened.ok()) {
    const bool passing = opened.error().code == Errc::not_found || opened.error().code == Errc::truncated;
    return passing ? Status{} : opened.error();  // freed or being made at this moment: look again later
  }
  const SegmentHeader& header = *opened;
  if (header.first_offset > where.offset) {
    where.gap = {std::exchange(where.offset, header.first_offset), header.first_offset};
    return fail(Errc::out_of_range,
                folder.string() + ": " + range_words(where.gap.first_offset, where.offset) +
                    " were freed before " + (follows ? "a follower" : '"' + name + '"') +
                    " had read them; the log is too small or the reader was away too long");
  }
  return walk_to_offset(where);
}

Status SegmentReader::Body::walk_to_offset(LogPlace& where) const {
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

/// Moves on when the writer has. False: this segment is still the newest.
Result<bool> SegmentReader::Body::next_segment(LogPlace& where) {
  FF_ASSIGN(const auto next, segment_behind(where));
  if (!next) return false;
  // Only now is this segment known to be complete: look at its end once more.
  FF_ASSIGN(const std::uint64_t size, file_size(where.file.get(), where.path));
  FF_ASSIGN(const auto late, record_at(where.view(), where.position, size));
  if (late) return true;
  LogPlace behind;
  auto header = open_segment_anyway(folder, next->first_offset, behind);
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

/// Stands at bytes that are no record. Goes to the next whole one and says what was lost.
Status SegmentReader::Body::skip_damage(LogPlace& where, std::uint64_t size) const {
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

Result<std::optional<PlacedRecord>> SegmentReader::Body::next_header(LogPlace& where) {
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

Result<std::optional<SegmentRecord>> SegmentReader::Body::read_record(const PlacedRecord& record) {
  const std::size_t key_bytes = record.header.key_bytes;
  const std::size_t body_bytes = key_bytes + record.header.value_bytes;
  std::shared_ptr<std::byte[]> bytes = std::make_shared_for_overwrite<std::byte[]>(body_bytes);
  const MutableByteSpan body(bytes.get(), body_bytes);
  const Status status = read_body(here.view(), record, body);
  if (!status.ok() && status.error().code != Errc::crc_mismatch) return status.error();
  here.position = record.end();
  here.offset = record.header.offset + 1;
  here.gap = {record.header.offset, here.offset};
  if (!status.ok()) return status.error();
  SegmentRecord out;
  out.offset = record.header.offset;
  out.key = as_text(body.first(key_bytes));
  out.value = Payload(bytes, body.subspan(key_bytes));
  return std::optional(std::move(out));
}

SegmentReader::SegmentReader() : body_(std::make_unique<Body>()) {}
SegmentReader::~SegmentReader() = default;

Result<std::unique_ptr<SegmentReader>> SegmentReader::open(const std::filesystem::path& folder,
                                                           const std::string& name) {
  std::unique_ptr<SegmentReader> reader(new SegmentReader);
  reader->body_->folder = folder;
  reader->body_->name = name;
  FF_TRY(check_cursor_name(name));
  FF_TRY(reader->body_->open());
  return reader;
}

Result<std::unique_ptr<SegmentReader>> SegmentReader::follow(const std::filesystem::path& folder) {
  std::unique_ptr<SegmentReader> reader(new SegmentReader);
  reader->body_->folder = folder;
  reader->body_->follows = true;
  FF_TRY(reader->body_->open());
  return reader;
}

Result<std::optional<SegmentRecord>> SegmentReader::next() {
  FF_ASSIGN(const auto record, body_->next_header(body_->here));
  if (!record) return std::optional<SegmentRecord>{};
  return body_->read_record(*record);
}

SegmentGap SegmentReader::last_gap() const { return body_->here.gap; }

Result<std::optional<SegmentGlance>> SegmentReader::glance(std::size_t bytes_max) {
  LogPlace& here = body_->here;
  FF_ASSIGN(const auto record, body_->next_header(here));
  if (!record) return std::optional<SegmentGlance>{};
  const RecordHeader& header = record->header;
  std::vector<std::byte> bytes(std::min<std::uint64_t>(header.value_bytes, bytes_max));
  FF_ASSIGN(
      const std::size_t got,
      read_at(here.file.get(), record->position + kRecordHeaderBytes + header.key_bytes, bytes, here.path));
  bytes.resize(got);
  here.position = record->end();
  here.offset = header.offset + 1;
  return std::optional(SegmentGlance{header.offset, header.value_bytes, Payload::own(std::move(bytes))});
}

void SegmentReader::seek(std::uint64_t offset) {
  body_->here = LogPlace{};
  body_->here.offset = offset;
}

std::uint64_t SegmentReader::next_offset() const { return body_->here.offset; }

void SegmentReader::rewind() {
  body_->here = LogPlace{};
  body_->here.offset = body_->cursor.next_offset;
}

Status SegmentReader::commit(std::uint64_t next_offset) {
  if (body_->follows) return fail(Errc::refused, body_->folder.string() + ": a follower has no cursor");
  if (next_offset <= body_->cursor.next_offset) return {};
  if (next_offset > body_->here.offset && next_offset > end_offset())
    return fail(Errc::out_of_range, body_->folder.string() + ": cannot commit offset " +
                                        std::to_string(next_offset) + ", the log ends before it");
  SegmentCursor moved = body_->cursor;
  moved.next_offset = next_offset;
  FF_TRY(store_cursor(body_->folder, body_->name, moved));
  body_->cursor = moved;
  return {};
}

std::uint64_t SegmentReader::committed() const { return body_->cursor.next_offset; }

std::uint64_t SegmentReader::end_offset() {
  LogPlace& tail = body_->tail;
  for (;;) {
    const auto record = body_->next_header(tail);
    if (!record.ok()) {
      // Damage and gaps are the business of next(); a file that can't be read ends the walk.
      if (record.error().code == Errc::crc_mismatch || record.error().code == Errc::out_of_range) continue;
      return tail.offset;
    }
    if (!record->has_value()) return tail.offset;
    tail.position = (*record)->end();
    tail.offset = (*record)->header.offset + 1;
  }
}

}  // namespace ff::transport
