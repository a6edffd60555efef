// SPDX-License-Identifier: Apache-2.0
//
// Files of a segment log: made with their room asked for in one piece, left, freed; some of them on another disk.
#include <cerrno>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "common/base/clock.hpp"
#include "common/transport/segment_log_body.hpp"

namespace ff::transport {

/// Asks for the segment's room in one piece, without growing the file: more than twice as fast as letting
/// every append ask, and fsync has less to note. Only a wish: a file system that can't, or has no such room
/// left, is no error.
void SegmentLog::Body::reserve(int fd) const noexcept {
  static_cast<void>(::fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(options.segment_bytes)));
}

void SegmentLog::Body::give_back_reserve() const noexcept {
  static_cast<void>(!::ftruncate(active.get(), static_cast<off_t>(active_bytes)));
}

/// The file that is really written: `path`, or one on the other disk that `path` will point to.
Result<std::filesystem::path> SegmentLog::Body::place_segment(const std::filesystem::path& path,
                                                              bool in_overflow) {
  if (!in_overflow) return path;
  std::error_code error;
  std::filesystem::create_directories(overflow_place(), error);
  if (error) return fail(Errc::io_error, overflow_place().string() + ": cannot create: " + error.message());
  return std::filesystem::absolute(overflow_place() / path.filename());
}

Status SegmentLog::Body::create_segment(std::uint64_t first_offset, bool in_overflow) {
  const auto path = options.folder / segment_file_name(first_offset);
  FF_ASSIGN(const auto target, place_segment(path, in_overflow));
  if (in_overflow) ::unlink(target.c_str());  // a crash before the link was made left it
  FF_ASSIGN(FileHandle file, open_file(target, O_RDWR | O_CREAT | O_EXCL | O_APPEND));
  reserve(file.get());
  const auto header = pack(SegmentHeader{first_offset, next_offset, log_id, utc_now_ns()});
  iovec piece{const_cast<std::byte*>(header.data()), header.size()};
  Status status = write_all(file.get(), {&piece, 1}, target);
  if (status.ok() && ::fdatasync(file.get()) != 0) status = errno_error("cannot fsync", target);
  if (status.ok() && in_overflow) status = sync_folder(overflow_place());
  if (status.ok() && in_overflow && ::symlink(target.c_str(), path.c_str()) != 0)
    status = errno_error("cannot link", path);
  if (status.ok()) status = sync_folder(options.folder);
  if (!status.ok()) {
    ::unlink(target.c_str());
    if (in_overflow) ::unlink(path.c_str());
    return status;
  }
  if (in_overflow) overflow.emplace(first_offset, target);
  active = std::move(file);
  active_path = path;
  active_first = first_offset;
  active_bytes = synced_bytes = writeback_bytes = kSegmentHeaderBytes;
  next_offset = first_offset;
  return {};
}

Status SegmentLog::Body::roll(std::uint64_t first_offset, bool in_overflow) {
  give_back_reserve();
  FF_TRY(sync());
  const SegmentFile old{active_first, active_bytes};
  const bool old_overflows = active_overflows();
  FF_TRY(create_segment(first_offset, in_overflow));
  closed.push_back(old);
  closed_bytes += old.bytes;
  if (old_overflows) overflow_closed_bytes += old.bytes;
  return {};
}

Status SegmentLog::Body::free_closed(std::uint64_t offset) {
  bool freed = false;
  while (!closed.empty()) {
    const std::uint64_t end = closed.size() > 1 ? closed[1].first_offset : active_first;
    if (end > offset) break;
    FF_TRY(free_oldest());
    freed = true;
  }
  return freed ? sync_folder(options.folder) : Status{};
}

Status SegmentLog::Body::free_oldest() {
  const auto path = options.folder / segment_file_name(closed.front().first_offset);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return errno_error("cannot free", path);
  if (const auto there = overflow.find(closed.front().first_offset); there != overflow.end()) {
    if (::unlink(there->second.c_str()) != 0 && errno != ENOENT)
      return errno_error("cannot free", there->second);
    overflow_closed_bytes -= closed.front().bytes;
    overflow.erase(there);
  }
  closed_bytes -= closed.front().bytes;
  closed.pop_front();
  return {};
}

Status SegmentLog::free_below(std::uint64_t offset) {
  Body& b = *body_;
  if (b.failed) return *b.failed;
  FF_TRY(b.free_closed(offset));
  // Everything is read but the room is short: start a new segment, so that the full one can go.
  const bool active_is_read = offset >= b.next_offset && b.next_offset > b.active_first;
  if (!active_is_read || b.bytes() <= b.options.log_bytes_max / 2) return {};
  FF_TRY(b.roll(b.next_offset));
  return b.free_closed(offset);
}

Status SegmentLog::free_older_than(std::int64_t utc_ns) {
  Body& b = *body_;
  if (b.failed) return *b.failed;
  bool freed = false;
  while (!b.closed.empty()) {
    const auto path = b.options.folder / segment_file_name(b.closed.front().first_offset);
    FF_ASSIGN(const std::int64_t written_ns, modified_utc_ns(path));
    if (written_ns >= utc_ns) break;
    FF_TRY(b.free_oldest());
    freed = true;
  }
  return freed ? sync_folder(b.options.folder) : Status{};
}

Status SegmentLog::free_down_to(std::uint64_t bytes) {
  Body& b = *body_;
  if (b.failed) return *b.failed;
  bool freed = false;
  for (; !b.closed.empty() && b.bytes() > bytes; freed = true) FF_TRY(b.free_oldest());
  return freed ? sync_folder(b.options.folder) : Status{};
}

}  // namespace ff::transport
