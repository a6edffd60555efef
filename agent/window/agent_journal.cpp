// SPDX-License-Identifier: Apache-2.0
//
// The agent's memory on disk.
#include "agent/window/agent_journal.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <set>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/clock.hpp"
#include "common/service/logging.hpp"

namespace ff::agent {
namespace {

constexpr auto kRetryPause = std::chrono::milliseconds(100);
constexpr auto kWriteDownPatience = std::chrono::seconds(1);
constexpr std::size_t kProgressBytes = 16;  // per stream

Error os_error(const std::string& what) {
  const int code = errno;
  return fail(code == ENOSPC || code == EDQUOT ? Errc::disk_full : Errc::io_error,
              what + ": " + std::strerror(code));
}

Status sync_path(const std::filesystem::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) return os_error(path.string() + " can't be opened");
  const int done = fsync(fd);
  close(fd);
  if (done != 0) return os_error(path.string() + " can't be synced");
  return {};
}

Status write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::trunc);
  file << text << '\n';
  file.flush();
  if (!file) return os_error(path.string() + " can't be written");
  return {};
}

}  // namespace

Result<std::unique_ptr<AgentJournal>> AgentJournal::open(const std::filesystem::path& folder,
                                                         std::filesystem::path quick_copy) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    return fail(Errc::io_error, "agent.state " + folder.string() + " can't be made: " + error.message());
  if (!quick_copy.empty()) std::filesystem::create_directories(quick_copy.parent_path(), error);
  std::unique_ptr<AgentJournal> journal(new AgentJournal(folder, std::move(quick_copy)));
  journal->lock_fd_ = ::open((folder / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (journal->lock_fd_ < 0) return os_error((folder / "lock").string() + " can't be opened");
  if (flock(journal->lock_fd_, LOCK_EX | LOCK_NB) != 0)
    return fail(Errc::refused,
                "another agent holds agent.state " + folder.string() + "; give each agent its own");
  FF_TRY(journal->load());
  const auto now_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(utc_now_ns(), 0) / 1'000'000);
  journal->epoch_ = std::max(now_ms, journal->epoch_ + 1);
  FF_TRY(journal->store(journal->text()));
  FF_TRY(journal->write_quick_copy());
  journal->writer_ = std::thread([raw = journal.get()] { raw->run(); });
  return journal;
}

AgentJournal::~AgentJournal() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (writer_.joinable()) writer_.join();
  for (const auto& [uid, fd] : progress_fds_) close(fd);
  if (lock_fd_ >= 0) close(lock_fd_);
}

/// The quick copy is the newer one where it is of the same run; after a reboot it is gone.
Status AgentJournal::load() {
  FF_ASSIGN(const auto stored, read_journal(folder_ / "journal.json"));
  JournalContents last = stored.value_or(JournalContents{});
  if (!quick_copy_.empty()) {
    auto quick = read_journal(quick_copy_);
    if (!quick.ok())
      service::log_warning("quick copy of the journal is left out", {{"why", quick.error().message}});
    else if (quick->has_value() && (*quick)->epoch == last.epoch && (*quick)->version >= last.version)
      last = std::move(**quick);
  }
  epoch_ = last.epoch;
  std::set<std::string> progress_files;
  for (JournalledSeries& series : last.series) {
    open_.push_back({series, std::vector<bool>(series.streams.size()), 0});
    progress_files.insert(progress_path(series.uid).filename().string());
    std::vector<StreamProgress> progress = read_progress(series);
    unfinished_.push_back({std::move(series), std::move(progress)});
  }
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("progress") && !progress_files.contains(name))
      std::filesystem::remove(entry.path(), ignored);
  }
  return {};
}

std::filesystem::path AgentJournal::progress_path(const Uuid& uid) const {
  return folder_ / ("progress." + uid.to_string());
}

std::vector<StreamProgress> AgentJournal::read_progress(const JournalledSeries& series) const {
  std::vector<StreamProgress> progress(series.streams.size());
  const int fd = ::open(progress_path(series.uid).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return progress;
  for (std::size_t stream = 0; stream < progress.size(); ++stream) {
    std::byte raw[kProgressBytes] = {};
    const ssize_t got = pread(fd, raw, sizeof raw, static_cast<off_t>(stream * sizeof raw));
    if (got == static_cast<ssize_t>(sizeof raw))
      progress[stream] = {load_le<std::uint64_t>(raw), load_le<std::uint64_t>(raw + 8)};
  }
  close(fd);
  return progress;
}

std::string AgentJournal::text() const {
  JournalContents contents{epoch_, version_, {}};
  for (const OpenSeries& open : open_) contents.series.push_back(open.series);
  return journal_text(contents);
}

Status AgentJournal::store(const std::string& text) {
  const auto path = folder_ / "journal.json", part = folder_ / "journal.json.part";
  FF_TRY(write_text(part, text));
  FF_TRY(sync_path(part, O_RDONLY));
  if (std::rename(part.c_str(), path.c_str()) != 0) return os_error(path.string() + " can't be replaced");
  return sync_path(folder_, O_RDONLY | O_DIRECTORY);
}

Status AgentJournal::write_quick_copy() {
  if (quick_copy_.empty()) return {};
  std::lock_guard writing(quick_mutex_);
  std::string contents;
  std::uint64_t version = 0;
  {
    std::lock_guard lock(mutex_);
    version = version_;
    contents = text();
  }
  if (version_copied_ == version) return {};
  const std::filesystem::path part = quick_copy_.string() + ".part";
  FF_TRY(write_text(part, contents));
  if (std::rename(part.c_str(), quick_copy_.c_str()) != 0)
    return os_error(quick_copy_.string() + " can't be replaced");
  version_copied_ = version;
  return {};
}

/// Brings every change to the disk, again and again until the disk takes it.
void AgentJournal::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopping_ || version_stored_ < version_; });
    if (version_stored_ >= version_) return;
    const std::string contents = text();
    const std::uint64_t version = version_;
    const std::vector<Uuid> over = std::exchange(over_, {});
    lock.unlock();
    const Status stored = store(contents);
    for (const Uuid& uid : over) remove_progress(uid);
    lock.lock();
    if (stored.ok()) {
      version_stored_ = version;
      trouble_.reset();
    } else {
      trouble_ = stored.error();
      if (stopping_) return;
      wake_.wait_for(lock, kRetryPause, [&] { return stopping_; });
    }
    wake_.notify_all();
  }
}

void AgentJournal::begin_series(const JournalledSeries& series) {
  {
    std::lock_guard lock(mutex_);
    ++version_;
    open_.push_back({series, std::vector<bool>(series.streams.size()), version_});
  }
  wake_.notify_all();
}

Status AgentJournal::write_down() {
  if (!quick_copy_.empty()) return write_quick_copy();
  std::unique_lock lock(mutex_);
  return wait_stored(lock, version_, kWriteDownPatience);
}

Status AgentJournal::wait_durable(const Uuid& uid, std::chrono::nanoseconds patience) {
  std::unique_lock lock(mutex_);
  std::uint64_t wanted = 0;
  for (const OpenSeries& open : open_)
    if (open.series.uid == uid) wanted = open.since_version;
  return wait_stored(lock, wanted, patience);
}

Status AgentJournal::wait_stored(std::unique_lock<std::mutex>& lock, std::uint64_t version,
                                 std::chrono::nanoseconds patience) {
  wake_.wait_for(lock, patience, [&] { return version_stored_ >= version || stopping_; });
  if (version_stored_ >= version) return {};
  return fail(Errc::timed_out, "the journal in " + folder_.string() + " can't be stored" +
                                   (trouble_ ? ": " + trouble_->message : ""));
}

void AgentJournal::end_stream(const Uuid& uid, std::size_t stream_index) {
  bool over = false;
  {
    std::lock_guard lock(mutex_);
    for (OpenSeries& open : open_) {
      if (!(open.series.uid == uid) || stream_index >= open.stream_ended.size()) continue;
      open.stream_ended[stream_index] = true;
      over = std::ranges::all_of(open.stream_ended, std::identity{});
    }
  }
  if (over) drop(uid);
}

void AgentJournal::drop(const Uuid& uid) {
  {
    std::lock_guard lock(mutex_);
    std::erase_if(open_, [&](const OpenSeries& open) { return open.series.uid == uid; });
    over_.push_back(uid);
    ++version_;
  }
  wake_.notify_all();
  const Status copied = write_quick_copy();
  if (!copied.ok())
    service::log_warning("quick copy of the journal can't be written", {{"why", copied.error().message}});
}

void AgentJournal::remove_progress(const Uuid& uid) {
  std::lock_guard lock(progress_mutex_);
  if (const auto found = progress_fds_.find(uid); found != progress_fds_.end()) {
    close(found->second);
    progress_fds_.erase(found);
  }
  std::error_code ignored;
  std::filesystem::remove(progress_path(uid), ignored);
}

std::vector<AgentJournal::Unfinished> AgentJournal::take_unfinished() {
  std::lock_guard lock(mutex_);
  return std::exchange(unfinished_, {});
}

void AgentJournal::note_progress(const Uuid& uid, std::size_t stream_index,
                                 const StreamProgress& progress) noexcept {
  std::lock_guard lock(progress_mutex_);
  auto [entry, is_new] = progress_fds_.try_emplace(uid, -1);
  if (is_new) entry->second = ::open(progress_path(uid).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  std::byte raw[kProgressBytes];
  store_le(raw, progress.windows);
  store_le(raw + 8, progress.offset);
  // A failed write only makes a later restart look through more of the spool.
  [[maybe_unused]] const ssize_t written =
      pwrite(entry->second, raw, sizeof raw, static_cast<off_t>(stream_index * sizeof raw));
}

}  // namespace ff::agent
