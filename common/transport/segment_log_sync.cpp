// SPDX-License-Identifier: Apache-2.0
//
// What makes a segment log's records durable: fsync here or on another thread, and writing that starts early.
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include "common/base/clock.hpp"
#include "common/transport/segment_log_body.hpp"

namespace ff::transport {
namespace {

/// Writing to disk starts behind the appends, so that the fsync at the end has little left to do.
constexpr std::uint64_t kWritebackBytes = 4ull << 20;

Error sync_error(const std::filesystem::path& path) {
  return errno_error("fsync failed; records since the last one may be lost, the log is closed", path);
}

}  // namespace

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

}  // namespace ff::transport
