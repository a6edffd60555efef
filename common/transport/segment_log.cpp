// SPDX-License-Identifier: Apache-2.0
//
// Appending to a segment log.
#include "common/transport/segment_log.hpp"

#include <algorithm>
#include <array>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>

#include "common/base/clock.hpp"
#include "common/transport/segment_cursor.hpp"
#include "common/transport/segment_log_body.hpp"

namespace ff::transport {

SegmentLog::SegmentLog() : body_(std::make_unique<Body>()) {}

SegmentLog::~SegmentLog() {
  if (!body_->active.is_open() || body_->failed) return;
  body_->give_back_reserve();
  static_cast<void>(body_->sync());
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

/// Removes a half-written record, so that a full disk leaves a log that ends with a whole one.
Status SegmentLog::Body::take_back(Error why) {
  if (::ftruncate(active.get(), static_cast<off_t>(active_bytes)) == 0) return why;
  failed = errno_error("cannot take back a half-written record, the log is closed", active_path);
  return *failed;
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
