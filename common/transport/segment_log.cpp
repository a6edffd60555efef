// SPDX-License-Identifier: Apache-2.0
//
// The writing end. Invariant: only the newest segment can have bytes that aren't durable; a segment is
// fsynced before the next one is made.
#include "common/transport/segment_log.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <fcntl.h>
#include <map>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "common/transport/posix_file.hpp"
#include "common/transport/segment_cursor.hpp"
#include "common/transport/segment_format.hpp"
#include "common/transport/segment_scan.hpp"

namespace ff::transport {
namespace {

/// Writing to disk starts behind the appends, so that the fsync at the end has little left to do.
constexpr std::uint64_t kWritebackBytes = 4ull << 20;
constexpr std::uint64_t kSegmentBytesLeast = 4096;

Error sync_error(const std::filesystem::path& path) {
  return errno_error("fsync failed; records since the last one may be lost, the log is closed", path);
}

}  // namespace

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

/// Decides where a record of `total` bytes goes: into the active segment, a new one, or one on the other disk.
Status SegmentLog::Body::make_room(std::uint64_t total) {
  const bool is_full = active_bytes + total > options.segment_bytes && next_offset > active_first;
  const std::uint64_t more = total + (is_full ? kSegmentHeaderBytes : 0);
  const bool overflows = active_overflows();
  // Back to the first disk as soon as a whole segment has room there.
  const bool go_back = overflows && is_full && has_room(options.segment_bytes, false);
  if (!go_back && has_room(more, overflows)) return is_full ? roll(next_offset, overflows) : Status{};
  if (go_back) return roll(next_offset, false);
  const std::uint64_t fresh = total + kSegmentHeaderBytes;
  const bool can_overflow = !overflows && !options.overflow_folder.empty() && has_room(fresh, true);
  if (can_overflow) return roll(next_offset, true);
  if (overflows && has_room(fresh, false)) return roll(next_offset, false);
  return fail(Errc::disk_full,
              options.folder.string() + ": the log holds " + std::to_string(bytes()) + " of at most " +
                  std::to_string(options.log_bytes_max + options.overflow_bytes_max) + " bytes");
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

/// After a power cut a reader may have passed records that never became durable. Their offsets aren't used
/// again: the reader would take the new records for those it has seen.
Status SegmentLog::Body::skip_offsets_that_readers_passed() {
  const auto cursors = all_cursors(options.folder, log_id);
  const auto furthest = std::ranges::max_element(cursors);
  if (furthest == cursors.end() || *furthest <= next_offset) return {};
  return roll(*furthest);
}

Status SegmentLog::Body::sync() {
  if (failed) return *failed;
  if (synced_bytes == active_bytes) return {};
  if (::fdatasync(active.get()) != 0) return close_after(sync_error(active_path));
  synced_bytes = writeback_bytes = active_bytes;
  return {};
}

/// The kernel forgets dirty pages after a failed fsync; a second one would say "ok" about lost data.
Status SegmentLog::Body::close_after(Error why) {
  failed = std::move(why);
  return *failed;
}

void SegmentLog::Body::start_writeback() {
  if (!options.writes_back || active_bytes - writeback_bytes < kWritebackBytes) return;
  ::sync_file_range(active.get(), static_cast<off_t>(writeback_bytes),
                    static_cast<off_t>(active_bytes - writeback_bytes), SYNC_FILE_RANGE_WRITE);
  writeback_bytes = active_bytes;
}

/// Removes a half-written record, so that a full disk leaves a log that ends with a whole one.
Status SegmentLog::Body::take_back(Error why) {
  if (::ftruncate(active.get(), static_cast<off_t>(active_bytes)) == 0) return why;
  failed = errno_error("cannot take back a half-written record, the log is closed", active_path);
  return *failed;
}

Status SegmentLog::Body::write_record(std::string_view key, ByteSpan value, const RecordHeader& header) {
  static constexpr std::array<std::byte, kRecordAlignment> kZeros{};
  auto head = pack(header);
  const std::uint64_t padding =
      header.total_bytes() - kRecordHeaderBytes - header.key_bytes - header.value_bytes;
  std::array<iovec, 4> pieces{{{head.data(), head.size()},
                               {const_cast<char*>(key.data()), key.size()},
                               {const_cast<std::byte*>(value.data()), value.size()},
                               {const_cast<std::byte*>(kZeros.data()), padding}}};
  Status status = write_all(active.get(), pieces, active_path);
  if (!status.ok()) return take_back(std::move(status).error());
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

SegmentLog::SegmentLog() : body_(std::make_unique<Body>()) {}

SegmentLog::~SegmentLog() {
  if (!body_->active.is_open() || body_->failed) return;
  body_->give_back_reserve();
  static_cast<void>(body_->sync());
}

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

Result<std::uint64_t> SegmentLog::append(std::string_view key, ByteSpan value) {
  Body& b = *body_;
  if (b.failed) return *b.failed;
  if (key.size() > kRecordKeyBytesMax || value.size() > b.options.record_bytes_max)
    return fail(Errc::too_large, b.options.folder.string() + ": record of " + std::to_string(value.size()) +
                                     " bytes (key " + std::to_string(key.size()) + "); at most " +
                                     std::to_string(b.options.record_bytes_max));
  RecordHeader header;
  header.value_bytes = value.size();
  header.key_bytes = static_cast<std::uint32_t>(key.size());
  const std::uint64_t total = header.total_bytes();
  FF_TRY(b.make_room(total));
  header.offset = b.next_offset;
  header.synced_bytes = b.synced_bytes;
  header.body_crc = body_crc(key, value);
  Status written = b.write_record(key, value, header);
  if (!written.ok() && written.error().code == Errc::disk_full && !b.failed && !b.active_overflows() &&
      !b.options.overflow_folder.empty() && b.has_room(total + kSegmentHeaderBytes, true)) {
    FF_TRY(b.roll(b.next_offset, true));  // the first disk is full before its share is
    header.synced_bytes = b.synced_bytes;
    written = b.write_record(key, value, header);
  }
  FF_TRY(std::move(written));
  if (b.synced_bytes == b.active_bytes) b.unsynced_since_ns = monotonic_now_ns();
  b.active_bytes += total;
  ++b.next_offset;
  if (b.options.fsync_interval.count() == 0) {
    FF_TRY(b.sync());
  } else {
    b.start_writeback();
  }
  return header.offset;
}

Status SegmentLog::sync() { return body_->sync(); }

Status SegmentSync::run() const {
  if (file_ == nullptr || ::fdatasync(*file_) == 0) return {};
  return sync_error(path_);
}

Result<SegmentSync> SegmentLog::begin_sync() {
  Body& b = *body_;
  if (b.failed) return *b.failed;
  SegmentSync sync;
  sync.path_ = b.active_path;
  sync.segment_first_ = b.active_first;
  sync.bytes_ = b.active_bytes;
  sync.next_offset_ = b.next_offset;
  if (b.synced_bytes == b.active_bytes) return sync;  // nothing to wait for
  const int file = ::fcntl(b.active.get(), F_DUPFD_CLOEXEC, 0);
  if (file < 0) return errno_error("cannot duplicate its descriptor", b.active_path);
  sync.file_ = std::shared_ptr<const int>(new int(file), [](const int* fd) {
    ::close(*fd);
    delete fd;
  });
  return sync;
}

Status SegmentLog::end_sync(const SegmentSync& sync, const Status& outcome) {
  Body& b = *body_;
  if (b.failed) return *b.failed;
  if (!outcome.ok()) return b.close_after(outcome.error());
  // A segment that was left meanwhile was fsynced then.
  if (sync.segment_first_ == b.active_first) b.synced_bytes = std::max(b.synced_bytes, sync.bytes_);
  b.writeback_bytes = std::max(b.writeback_bytes, b.synced_bytes);
  return {};
}

Status SegmentLog::sync_if_due() {
  Body& b = *body_;
  if (b.failed) return *b.failed;
  if (b.synced_bytes == b.active_bytes) return {};
  if (monotonic_now_ns() - b.unsynced_since_ns < b.options.fsync_interval.count()) return {};
  return b.sync();
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

std::optional<std::uint64_t> SegmentLog::lowest_cursor() const {
  const auto cursors = all_cursors(body_->options.folder, body_->log_id);
  const auto lowest = std::ranges::min_element(cursors);
  if (lowest == cursors.end()) return std::nullopt;
  return *lowest;
}

SegmentLogStats SegmentLog::stats() const {
  const Body& b = *body_;
  SegmentLogStats stats;
  stats.first_offset = b.closed.empty() ? b.active_first : b.closed.front().first_offset;
  stats.next_offset = b.next_offset;
  stats.bytes = b.bytes();
  stats.bytes_max = b.options.log_bytes_max + b.options.overflow_bytes_max;
  stats.overflow_bytes = b.overflow_bytes();
  stats.torn_bytes_cut = b.torn_bytes_cut;
  stats.damage = b.damage;
  return stats;
}

}  // namespace ff::transport
