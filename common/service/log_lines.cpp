// SPDX-License-Identifier: Apache-2.0
//
// The thread that writes stderr.
#include "common/service/log_lines.hpp"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <poll.h>
#include <pthread.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>

#include "common/service/logging.hpp"

namespace ff::service {

struct BackgroundLog::Backlog {
  std::mutex mutex;
  std::condition_variable wake;
  std::string text;  ///< lines that wait
  std::size_t bytes_max = 0;
  std::uint64_t lost = 0;
  bool closing = false, done = false;
};

namespace {

using Backlog = BackgroundLog::Backlog;
constexpr auto kLastWords = std::chrono::seconds(2);

std::atomic<std::shared_ptr<Backlog>>& current_backlog() {
  static std::atomic<std::shared_ptr<Backlog>> backlog;
  return backlog;
}

/// A stderr that can't be written to is nobody's error: there is nowhere to say so.
void write_stderr(std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      pollfd room{STDERR_FILENO, POLLOUT, 0};
      ::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      return;
    }
  }
}

void write_backlog(const std::shared_ptr<Backlog>& backlog) {
  pthread_setname_np(pthread_self(), "log");
  std::unique_lock lock(backlog->mutex);
  while (true) {
    backlog->wake.wait(lock, [&] { return backlog->closing || !backlog->text.empty(); });
    if (backlog->text.empty()) break;
    const std::string text = std::exchange(backlog->text, {});
    const std::uint64_t lost = std::exchange(backlog->lost, 0);
    lock.unlock();
    write_stderr(text);
    if (lost > 0) log_warning("log lines were lost: stderr was not read fast enough", {{"lines", lost}});
    lock.lock();
  }
  backlog->done = true;
  backlog->wake.notify_all();
}

}  // namespace

BackgroundLog::BackgroundLog(std::size_t backlog_bytes) : backlog_(std::make_shared<Backlog>()) {
  backlog_->bytes_max = backlog_bytes;
  std::thread([backlog = backlog_] { write_backlog(backlog); }).detach();
  current_backlog().store(backlog_);
}

BackgroundLog::~BackgroundLog() {
  current_backlog().store(nullptr);
  std::unique_lock lock(backlog_->mutex);
  backlog_->closing = true;
  backlog_->wake.notify_all();
  backlog_->wake.wait_for(lock, kLastWords, [&] { return backlog_->done; });
}

void put_log_line(std::string_view line) {
  const std::shared_ptr<Backlog> backlog = current_backlog().load();
  if (!backlog) return write_stderr(line);
  {
    std::lock_guard lock(backlog->mutex);
    if (backlog->text.size() + line.size() > backlog->bytes_max) {
      ++backlog->lost;
      return;
    }
    backlog->text += line;
  }
  backlog->wake.notify_all();
}

}  // namespace ff::service
