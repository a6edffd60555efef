// SPDX-License-Identifier: Apache-2.0
//
// Opening a segment log: the newest segment's tail is looked at, not the backlog; what a crash left half-made is
// removed.
#include <algorithm>
#include <array>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "common/transport/segment_cursor.hpp"
#include "common/transport/segment_log_body.hpp"
#include "common/transport/segment_scan.hpp"

namespace ff::transport {
namespace {

constexpr std::uint64_t kSegmentBytesLeast = 4096;

}  // namespace

Result<std::unique_ptr<SegmentLog>> SegmentLog::open(const SegmentLogOptions& options) {
  std::unique_ptr<SegmentLog> log(new SegmentLog);
  Body& body = *log->body_;
  body.options = options;
  body.options.segment_bytes =
      std::max(kSegmentBytesLeast, std::min(options.segment_bytes, options.log_bytes_max / 4));
  std::error_code error;
  std::filesystem::create_directories(cursor_folder(options.folder), error);
  if (error) return fail(Errc::io_error, options.folder.string() + ": cannot create: " + error.message());
  FF_ASSIGN(body.lock, lock_file(options.folder / "writer.lock"));
  FF_ASSIGN(auto segments, list_segments(options.folder));
  if (segments.empty()) {
    body.log_id = Uuid::mint();
    FF_TRY(body.create_segment(0));
  } else {
    const std::vector<SegmentFile> found = segments;
    FF_TRY(body.open_existing(std::move(segments)));
    FF_TRY(body.look_at_overflow(found));
  }
  FF_TRY(body.skip_offsets_that_readers_passed());
  return log;
}

Status SegmentLog::Body::open_existing(std::vector<SegmentFile> segments) {
  const std::uint64_t newest_first = segments.back().first_offset;
  Status status = adopt(segments.back());
  const bool torn_header =
      !status.ok() && (status.error().code == Errc::truncated || status.error().code == Errc::bad_magic ||
                       status.error().code == Errc::crc_mismatch);
  if (torn_header) {
    FF_TRY(drop_torn_header(segments.back(), status.error()));
    segments.pop_back();
    if (segments.empty()) {
      log_id = Uuid::mint();
      next_offset = newest_first;
      return create_segment(newest_first);
    }
    status = adopt(segments.back());
  }
  FF_TRY(std::move(status));
  segments.pop_back();
  for (const SegmentFile& segment : segments) {
    closed.push_back(segment);
    closed_bytes += segment.bytes;
  }
  return {};
}

Status SegmentLog::Body::adopt(const SegmentFile& newest) {
  const auto path = options.folder / segment_file_name(newest.first_offset);
  FF_ASSIGN(FileHandle file, open_file(path, O_RDWR | O_APPEND));
  std::array<std::byte, kSegmentHeaderBytes> bytes;
  FF_ASSIGN(const std::size_t got, read_at(file.get(), 0, bytes, path));
  FF_ASSIGN(const SegmentHeader header, unpack_segment_header(ByteSpan(bytes).first(got), path.string()));
  if (header.first_offset != newest.first_offset)
    return fail(Errc::malformed, path.string() + ": holds records from " +
                                     std::to_string(header.first_offset) + " on; the file was renamed");
  FF_ASSIGN(TailScan scan, scan_tail({file.get(), path}, header));
  if (scan.end_bytes < newest.bytes && ::ftruncate(file.get(), static_cast<off_t>(scan.end_bytes)) != 0)
    return errno_error("cannot cut the torn tail", path);
  if (::fdatasync(file.get()) != 0) return errno_error("cannot fsync", path);
  torn_bytes_cut += newest.bytes - std::min(newest.bytes, scan.end_bytes);
  damage = std::move(scan.damage);
  log_id = header.log_id;
  active = std::move(file);
  active_path = path;
  active_first = newest.first_offset;
  active_bytes = synced_bytes = writeback_bytes = scan.end_bytes;
  next_offset = scan.next_offset;
  return {};
}

/// A crash while a segment was being made leaves a file without a whole header and without records.
Status SegmentLog::Body::drop_torn_header(const SegmentFile& newest, const Error& why) {
  const auto path = options.folder / segment_file_name(newest.first_offset);
  {
    FF_ASSIGN(const FileHandle file, open_file(path, O_RDONLY));
    FF_ASSIGN(const auto record, find_record({file.get(), path}, 0, newest.bytes, 0, 0));
    if (record)
      return fail(Errc::crc_mismatch,
                  why.message + ", but records follow; move the file away to go on without them");
  }
  if (::unlink(path.c_str()) != 0) return errno_error("cannot remove", path);
  torn_bytes_cut += newest.bytes;
  return sync_folder(options.folder);
}

/// Which segments lie on the other disk; and what a crash left there that nothing points to.
Status SegmentLog::Body::look_at_overflow(const std::vector<SegmentFile>& segments) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(options.folder, ignored)) {
    const auto first = parse_segment_file_name(entry.path().filename().string());
    if (!first || !entry.is_symlink(ignored)) continue;
    const auto target = std::filesystem::read_symlink(entry.path(), ignored);
    if (!std::filesystem::exists(target, ignored))
      return fail(Errc::not_found, entry.path().string() + " points to " + target.string() +
                                       ", which is not there; is the overflow disk mounted?");
    overflow.emplace(*first, target);
  }
  for (const SegmentFile& segment : segments)
    if (overflow.contains(segment.first_offset) && segment.first_offset != active_first)
      overflow_closed_bytes += segment.bytes;
  if (options.overflow_folder.empty()) return {};
  for (const auto& entry : std::filesystem::directory_iterator(overflow_place(), ignored)) {
    const auto first = parse_segment_file_name(entry.path().filename().string());
    if (first && !overflow.contains(*first)) std::filesystem::remove(entry.path(), ignored);
  }
  return {};
}

/// After a power cut a reader may have passed records that never became durable. Their offsets aren't used
/// again: the reader would take the new records for those it has seen.
Status SegmentLog::Body::skip_offsets_that_readers_passed() {
  const auto cursors = all_cursors(options.folder, log_id);
  const auto furthest = std::ranges::max_element(cursors);
  if (furthest == cursors.end() || *furthest <= next_offset) return {};
  return roll(*furthest);
}

}  // namespace ff::transport
