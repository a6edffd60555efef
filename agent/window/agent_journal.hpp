// SPDX-License-Identifier: Apache-2.0
//
// AgentJournal: what the agent must remember across a crash: its epoch, and the series it was writing.
//
// A series_uid is written down before its first frame is taken, so that a restarted agent goes on under the
// same uid, with a new epoch, and no frame number gets a second meaning. Several series can be open at once: one
// ends at the detector while its last windows are still on their way to the spool.
//
//   <state>/journal.json     epoch and open series; replaced as a whole: write, fsync, rename, fsync folder
//   <state>/progress.<uid>   per stream, two u64 little-endian: windows whose record is in the spool, and the spool
//                            offset below which nothing belongs to the others; plain writes
//   <state>/lock             held while the agent runs
//   <quick copy>             journal.json again, on the tmpfs of the frame pool
//
// Why the quick copy: frames must not wait for a disk. The thread that makes their pool writes the copy, which
// survives the process as the pool's frames do; a thread of the journal's own brings the same to the disk, and the
// spool waits for that before it writes the series' first record. Thread-safe; mutex_ is never held during I/O.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/window/journal_contents.hpp"

namespace ff::agent {

/// How far a stream's records are in the spool.
struct StreamProgress {
  std::uint64_t windows = 0;  ///< records of all windows below are spooled
  std::uint64_t offset = 0;   ///< no record of the windows from there on lies below it in the spool
};

class AgentJournal {
 public:
  /// Takes the state folder and the next epoch: UTC milliseconds, but always above the last one. `quick_copy`:
  /// file on a tmpfs; empty: none, and begin_series() waits for the disk.
  /// Errors: io_error, refused (another agent holds the folder), malformed (a damaged journal: says what to
  /// do).
  [[nodiscard]] static Result<std::unique_ptr<AgentJournal>> open(const std::filesystem::path& folder,
                                                                  std::filesystem::path quick_copy = {});
  ~AgentJournal();

  [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }

  /// Remembers the series, and waits for nothing. It outlives the process after write_down(), the machine after
  /// wait_durable().
  void begin_series(const JournalledSeries& series);
  /// Returns when the series begun so far outlive the process; before that, none of their frames may be taken.
  /// Errors: io_error, disk_full; without a quick copy those of wait_durable().
  [[nodiscard]] Status write_down();
  /// Until the series is on the disk. Errors: timed_out, with what the disk says.
  [[nodiscard]] Status wait_durable(const Uuid& uid, std::chrono::nanoseconds patience);
  /// The end record of the `stream_index`-th stream is in the spool; after the last stream's the series is over.
  void end_stream(const Uuid& uid, std::size_t stream_index);

  /// The series that the run before this one left open, oldest first; once.
  struct Unfinished {
    JournalledSeries series;
    std::vector<StreamProgress> progress;  ///< per stream
  };
  [[nodiscard]] std::vector<Unfinished> take_unfinished();

  void note_progress(const Uuid& uid, std::size_t stream_index, const StreamProgress& progress) noexcept;

 private:
  struct OpenSeries {
    JournalledSeries series;
    std::vector<bool> stream_ended;
    std::uint64_t since_version = 0;  ///< first version of the journal that has it
  };

  AgentJournal(std::filesystem::path folder, std::filesystem::path quick_copy)
      : folder_(std::move(folder)), quick_copy_(std::move(quick_copy)) {}
  [[nodiscard]] Status load();
  [[nodiscard]] std::string text() const;
  [[nodiscard]] Status store(const std::string& text);
  [[nodiscard]] Status write_quick_copy();
  [[nodiscard]] Status wait_stored(std::unique_lock<std::mutex>& lock, std::uint64_t version,
                                   std::chrono::nanoseconds patience);
  [[nodiscard]] std::vector<StreamProgress> read_progress(const JournalledSeries& series) const;
  [[nodiscard]] std::filesystem::path progress_path(const Uuid& uid) const;
  void drop(const Uuid& uid);
  void run();
  void remove_progress(const Uuid& uid);

  std::filesystem::path folder_, quick_copy_;
  int lock_fd_ = -1;
  std::uint64_t epoch_ = 0;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<OpenSeries> open_;  ///< oldest first
  std::vector<Unfinished> unfinished_;
  std::vector<Uuid> over_;                          ///< whose progress files the writer removes
  std::uint64_t version_ = 0, version_stored_ = 0;  ///< of the contents, in this run
  std::optional<Error> trouble_;                    ///< why the last attempt to store failed
  bool stopping_ = false;
  std::thread writer_;

  std::mutex quick_mutex_;                     ///< held while the quick copy is written
  std::uint64_t version_copied_ = UINT64_MAX;  ///< what the quick copy holds; at first, none

  std::mutex progress_mutex_;  ///< of its own: it is held during writes, and ingest must not wait for those
  std::map<Uuid, int> progress_fds_;
};

}  // namespace ff::agent
