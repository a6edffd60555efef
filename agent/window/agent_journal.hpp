// SPDX-License-Identifier: Apache-2.0
//
// AgentJournal: what the agent must remember across a crash: its epoch, and the series it was writing.
//
// A series_uid is written down before its first frame is taken, so that a restarted agent goes on under the
// same uid, with a new epoch, and no frame number gets a second meaning.
//
//   <state>/journal.json    epoch and open series; replaced as a whole: write, fsync, rename, fsync folder
//   <state>/progress        per stream, u64 little-endian: windows whose record is in the spool; plain writes
//   <state>/lock            held while the agent runs
// Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agent/ingest/frame_source.hpp"
#include "agent/window/window_plan.hpp"
#include "common/base/uuid.hpp"

namespace ff::agent {

struct JournalledStream {
  FrameShape shape;
  std::string channel;
};

struct JournalledSeries {
  Uuid uid;
  SeriesKey key;
  WindowPlan plan;
  std::vector<JournalledStream> streams;
  std::optional<std::uint64_t> images_expected;
};

class AgentJournal {
 public:
  /// Takes the state folder and the next epoch: UTC milliseconds, but always above the last one.
  /// Errors: io_error, refused (another agent holds the folder), malformed (a damaged journal: says what to
  /// do).
  [[nodiscard]] static Result<std::unique_ptr<AgentJournal>> open(const std::filesystem::path& folder);
  ~AgentJournal();

  [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }

  /// Durable when the call returns. Errors: io_error, disk_full.
  [[nodiscard]] Status begin_series(const JournalledSeries& series);
  [[nodiscard]] Status end_series();

  /// The series that the run before this one left open, once; with the windows that all its streams have
  /// spooled.
  struct Unfinished {
    JournalledSeries series;
    std::uint64_t windows_spooled = 0;
  };
  [[nodiscard]] std::optional<Unfinished> unfinished() const { return unfinished_; }
  void forget_unfinished() { unfinished_.reset(); }

  /// Window records of the `stream_index`-th stream of the open series below `windows` are in the spool.
  void note_progress(std::size_t stream_index, std::uint64_t windows) noexcept;

 private:
  explicit AgentJournal(std::filesystem::path folder) : folder_(std::move(folder)) {}
  [[nodiscard]] Status load();
  [[nodiscard]] Status store();
  [[nodiscard]] std::uint64_t read_progress(std::size_t streams) const;

  std::filesystem::path folder_;
  int lock_fd_ = -1, progress_fd_ = -1;
  std::mutex mutex_;
  std::uint64_t epoch_ = 0;
  std::optional<JournalledSeries> open_series_;
  std::optional<Unfinished> unfinished_;
};

}  // namespace ff::agent
