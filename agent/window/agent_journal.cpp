// SPDX-License-Identifier: Apache-2.0
//
// The agent's memory on disk.
#include "agent/window/agent_journal.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sys/file.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "common/base/clock.hpp"

namespace ff::agent {
namespace {

using Json = nlohmann::json;

constexpr int kJournalVersion = 1;

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

Json to_json(const JournalledSeries& series) {
  Json streams = Json::array();
  for (const JournalledStream& stream : series.streams)
    streams.push_back({{"rows", stream.shape.rows},
                       {"cols", stream.shape.cols},
                       {"dtype", std::string(dtype_name(stream.shape.dtype))},
                       {"channel", stream.channel}});
  Json json{{"uid", series.uid.to_string()},
            {"detector_series", series.key.id},
            {"detector_unique_id", series.key.unique_id},
            {"window_frames", series.plan.window_frames},
            {"group_frames", series.plan.group_frames},
            {"reorder_frames", series.plan.reorder_frames},
            {"tile_rows", series.plan.tile_rows},
            {"tile_cols", series.plan.tile_cols},
            {"streams", streams}};
  if (series.images_expected) json["images_expected"] = *series.images_expected;
  return json;
}

/// Throws nlohmann's exceptions on missing or wrong members; the caller turns them into `malformed`.
JournalledSeries series_from(const Json& json) {
  JournalledSeries series;
  auto uid = Uuid::parse(json.at("uid").get<std::string>());
  if (!uid.ok()) throw std::invalid_argument(uid.error().message);
  series.uid = *uid;
  series.key = {json.at("detector_series").get<std::uint64_t>(),
                json.at("detector_unique_id").get<std::string>()};
  series.plan = {json.at("window_frames").get<std::uint32_t>(), json.at("group_frames").get<std::uint32_t>(),
                 json.at("reorder_frames").get<std::uint32_t>(), json.at("tile_rows").get<std::uint32_t>(),
                 json.at("tile_cols").get<std::uint32_t>()};
  for (const Json& entry : json.at("streams")) {
    const auto dtype = parse_dtype(entry.at("dtype").get<std::string>());
    if (!dtype) throw std::invalid_argument("dtype");
    series.streams.push_back(
        {{*dtype, entry.at("rows").get<std::uint32_t>(), entry.at("cols").get<std::uint32_t>()},
         entry.at("channel").get<std::string>()});
  }
  if (json.contains("images_expected"))
    series.images_expected = json.at("images_expected").get<std::uint64_t>();
  const auto& plan = series.plan;
  if (plan.window_frames < 1 || plan.window_frames > 64 || plan.group_frames < 1 ||
      plan.group_frames > plan.window_frames || plan.tile_rows == 0 || plan.tile_cols == 0 ||
      series.streams.empty())
    throw std::invalid_argument("window plan");
  return series;
}

}  // namespace

Result<std::unique_ptr<AgentJournal>> AgentJournal::open(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    return fail(Errc::io_error, "agent.state " + folder.string() + " can't be made: " + error.message());
  std::unique_ptr<AgentJournal> journal(new AgentJournal(folder));
  journal->lock_fd_ = ::open((folder / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (journal->lock_fd_ < 0) return os_error((folder / "lock").string() + " can't be opened");
  if (flock(journal->lock_fd_, LOCK_EX | LOCK_NB) != 0)
    return fail(Errc::refused,
                "another agent holds agent.state " + folder.string() + "; give each agent its own");
  journal->progress_fd_ = ::open((folder / "progress").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (journal->progress_fd_ < 0) return os_error((folder / "progress").string() + " can't be opened");
  FF_TRY(journal->load());
  const auto now_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(utc_now_ns(), 0) / 1'000'000);
  journal->epoch_ = std::max(now_ms, journal->epoch_ + 1);
  FF_TRY(journal->store());
  return journal;
}

AgentJournal::~AgentJournal() {
  if (progress_fd_ >= 0) close(progress_fd_);
  if (lock_fd_ >= 0) close(lock_fd_);
}

Status AgentJournal::load() {
  const auto path = folder_ / "journal.json";
  std::ifstream file(path);
  if (!file) return {};
  const Json json = Json::parse(file, nullptr, false);
  try {
    if (json.at("version").get<int>() != kJournalVersion)
      return fail(Errc::unsupported_version, path.string() + " is of another version of the agent");
    epoch_ = json.at("epoch").get<std::uint64_t>();
    if (json.contains("series")) {
      open_series_ = series_from(json.at("series"));
      unfinished_ = Unfinished{*open_series_, read_progress(open_series_->streams.size())};
    }
  } catch (const std::exception& damage) {
    return fail(Errc::malformed, path.string() + " is damaged (" + damage.what() +
                                     "); move it away to start afresh, what is spooled is still sent");
  }
  return {};
}

std::uint64_t AgentJournal::read_progress(std::size_t streams) const {
  std::uint64_t least = UINT64_MAX;
  for (std::size_t stream = 0; stream < streams; ++stream) {
    std::byte raw[8] = {};
    const ssize_t got = pread(progress_fd_, raw, sizeof raw, static_cast<off_t>(stream * sizeof raw));
    least = std::min(least, got == 8 ? load_le<std::uint64_t>(raw) : 0);
  }
  return least == UINT64_MAX ? 0 : least;
}

Status AgentJournal::store() {
  Json json{{"version", kJournalVersion}, {"epoch", epoch_}};
  if (open_series_) json["series"] = to_json(*open_series_);
  const auto path = folder_ / "journal.json", part = folder_ / "journal.json.part";
  {
    std::ofstream file(part, std::ios::trunc);
    file << json.dump(1) << '\n';
    file.flush();
    if (!file) return os_error(part.string() + " can't be written");
  }
  FF_TRY(sync_path(part, O_RDONLY));
  if (std::rename(part.c_str(), path.c_str()) != 0) return os_error(path.string() + " can't be replaced");
  return sync_path(folder_, O_RDONLY | O_DIRECTORY);
}

Status AgentJournal::begin_series(const JournalledSeries& series) {
  std::lock_guard lock(mutex_);
  if (ftruncate(progress_fd_, 0) != 0) return os_error("progress can't be reset");
  open_series_ = series;
  return store();
}

Status AgentJournal::end_series() {
  std::lock_guard lock(mutex_);
  open_series_.reset();
  return store();
}

void AgentJournal::note_progress(std::size_t stream_index, std::uint64_t windows) noexcept {
  std::byte raw[8];
  store_le(raw, windows);
  // A failed write only makes a later restart count more frames as lost than were.
  [[maybe_unused]] const ssize_t written =
      pwrite(progress_fd_, raw, sizeof raw, static_cast<off_t>(stream_index * sizeof raw));
}

}  // namespace ff::agent
