// SPDX-License-Identifier: Apache-2.0
//
// Catalogue: the tables and the few statements on them.
#include "hpc_sink/store/catalogue.hpp"

#include <algorithm>
#include <cstring>

#include "hpc_sink/store/sqlite_statement.hpp"

namespace ff::sink {
namespace {

constexpr std::int64_t kSchemaVersion = 1;

constexpr const char* kSchema = R"sql(
CREATE TABLE series (uid TEXT PRIMARY KEY, detector TEXT NOT NULL, first_seen_utc_ns INTEGER NOT NULL,
  closed_utc_ns INTEGER NOT NULL DEFAULT 0, close_reason TEXT NOT NULL DEFAULT '', master TEXT NOT NULL DEFAULT '');
CREATE TABLE streams (uid TEXT NOT NULL, stream INTEGER NOT NULL, window_frames INTEGER NOT NULL, geometry BLOB NOT NULL,
  start_epoch INTEGER NOT NULL DEFAULT -1, start_header BLOB, start_payload BLOB,
  end_epoch INTEGER NOT NULL DEFAULT -1, end_header BLOB, PRIMARY KEY (uid, stream));
CREATE TABLE files (name TEXT PRIMARY KEY, uid TEXT NOT NULL, stream INTEGER NOT NULL, partition INTEGER NOT NULL,
  segment INTEGER NOT NULL, epoch INTEGER NOT NULL, bytes INTEGER NOT NULL, frame_numbers BLOB NOT NULL);
CREATE INDEX files_by_stream ON files (uid, stream);
CREATE TABLE windows (uid TEXT NOT NULL, stream INTEGER NOT NULL, window INTEGER NOT NULL, complete INTEGER NOT NULL,
  fates BLOB NOT NULL, PRIMARY KEY (uid, stream, window)) WITHOUT ROWID;
PRAGMA user_version = 1;
)sql";

Result<std::int64_t> read_number(sqlite3* database, const char* sql) {
  Statement statement(database, sql);
  FF_ASSIGN(const bool row, statement.step());
  return row ? statement.integer(0) : 0;
}

Result<sqlite3*> open_database(const std::filesystem::path& path, int flags) {
  sqlite3* database = nullptr;
  if (sqlite3_open_v2(path.c_str(), &database, flags, nullptr) == SQLITE_OK) {
    sqlite3_busy_timeout(database, 10'000);
    return database;
  }
  Error error = sqlite_error(database, "opening " + path.string());
  sqlite3_close(database);
  return error;
}

Status check_version(sqlite3* database) {
  FF_ASSIGN(const std::int64_t version, read_number(database, "PRAGMA user_version"));
  if (version == kSchemaVersion) return {};
  return fail(Errc::unsupported_version, "catalogue schema " + std::to_string(version) +
                                             "; this build reads " + std::to_string(kSchemaVersion));
}

std::string pack_fates(const std::vector<FrameFate>& fates) {
  std::string packed;
  for (const FrameFate fate : fates) {
    packed += static_cast<char>(fate.state);
    packed += static_cast<char>(fate.stage);
  }
  return packed;
}

std::vector<FrameFate> unpack_fates(const std::string& packed) {
  std::vector<FrameFate> fates(packed.size() / 2);
  for (std::size_t i = 0; i < fates.size(); ++i)
    fates[i] = {static_cast<std::uint8_t>(packed[2 * i]), static_cast<std::uint8_t>(packed[2 * i + 1])};
  return fates;
}

std::string_view number_bytes(const std::vector<std::int64_t>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(std::int64_t)};
}

std::vector<std::int64_t> unpack_numbers(const std::string& packed) {
  std::vector<std::int64_t> numbers(packed.size() / sizeof(std::int64_t));
  if (!numbers.empty()) std::memcpy(numbers.data(), packed.data(), numbers.size() * sizeof(std::int64_t));
  return numbers;
}

}  // namespace

WindowFates merge_fates(const WindowFates& known, const WindowFates& later) {
  WindowFates merged = known;
  merged.fates.resize(std::max(known.fates.size(), later.fates.size()));
  for (std::size_t i = 0; i < later.fates.size(); ++i)
    merged.fates[i] = better_fate(merged.fates[i], later.fates[i]);
  merged.complete = std::none_of(merged.fates.begin(), merged.fates.end(), may_improve) &&
                    (known.complete || later.complete);
  return merged;
}

Catalogue::~Catalogue() { sqlite3_close(database_); }

Result<std::unique_ptr<Catalogue>> Catalogue::open(const std::filesystem::path& path) {
  FF_ASSIGN(sqlite3* const database, open_database(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
  std::unique_ptr<Catalogue> catalogue(new Catalogue(database));
  FF_TRY(catalogue->run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"));
  FF_ASSIGN(const std::int64_t tables, read_number(database, "SELECT count(*) FROM sqlite_master"));
  if (tables == 0) FF_TRY(catalogue->run((std::string("BEGIN IMMEDIATE;") + kSchema + "COMMIT;").c_str()));
  FF_TRY(check_version(database));
  return catalogue;
}

Result<std::unique_ptr<Catalogue>> Catalogue::open_read_only(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path))
    return fail(Errc::not_found,
                "no catalogue at " + path.string() + ": is this the folder of a sink's store?");
  // Read-write without create: reading a WAL database needs its shared memory file.
  auto opened = open_database(path, SQLITE_OPEN_READWRITE);
  if (!opened.ok()) opened = open_database(path, SQLITE_OPEN_READONLY);
  if (!opened.ok()) return std::move(opened).error();
  std::unique_ptr<Catalogue> catalogue(new Catalogue(*opened));
  FF_TRY(check_version(*opened));
  return catalogue;
}

Status Catalogue::run(const char* sql) const {
  if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) != SQLITE_OK)
    return sqlite_error(database_, "a statement");
  return {};
}

Status Catalogue::add_stream(const StreamRow& stream, const std::string& detector, std::int64_t now_utc_ns) {
  const std::string uid = stream.key.series.to_string();
  FF_TRY(
      Statement(database_, "INSERT OR IGNORE INTO series (uid, detector, first_seen_utc_ns) VALUES (?, ?, ?)")
          .bind_text(uid)
          .bind_text(detector)
          .bind(now_utc_ns)
          .run());
  return Statement(database_,
                   "INSERT OR IGNORE INTO streams (uid, stream, window_frames, geometry) VALUES (?, ?, ?, ?)")
      .bind_text(uid)
      .bind(stream.key.stream)
      .bind(stream.window_frames)
      .bind_blob(stream.geometry.SerializeAsString())
      .run();
}

Status Catalogue::add_start(const StreamKey& key, const std::string& header, const std::string& payload,
                            std::uint64_t epoch) {
  return Statement(database_,
                   "UPDATE streams SET start_header = ?, start_payload = ?, start_epoch = ?"
                   " WHERE uid = ? AND stream = ? AND start_epoch <= ?")
      .bind_blob(header)
      .bind_blob(payload)
      .bind(static_cast<std::int64_t>(epoch))
      .bind_text(key.series.to_string())
      .bind(key.stream)
      .bind(static_cast<std::int64_t>(epoch))
      .run();
}

Status Catalogue::add_end(const StreamKey& key, const std::string& header, std::uint64_t epoch) {
  return Statement(database_,
                   "UPDATE streams SET end_header = ?, end_epoch = ?"
                   " WHERE uid = ? AND stream = ? AND end_epoch <= ?")
      .bind_blob(header)
      .bind(static_cast<std::int64_t>(epoch))
      .bind_text(key.series.to_string())
      .bind(key.stream)
      .bind(static_cast<std::int64_t>(epoch))
      .run();
}

Status Catalogue::merge_window(const StreamKey& stream, const WindowFates& fates) {
  FF_ASSIGN(const auto known, window({stream, fates.window}));
  const WindowFates merged = known ? merge_fates(*known, fates) : fates;
  return Statement(
             database_,
             "INSERT OR REPLACE INTO windows (uid, stream, window, complete, fates) VALUES (?, ?, ?, ?, ?)")
      .bind_text(stream.series.to_string())
      .bind(stream.stream)
      .bind(static_cast<std::int64_t>(fates.window))
      .bind(merged.complete ? 1 : 0)
      .bind_blob(pack_fates(merged.fates))
      .run();
}

Status Catalogue::insert_file(const FileRow& file) {
  return Statement(database_,
                   "INSERT OR REPLACE INTO files (name, uid, stream, partition, segment, epoch, bytes, "
                   "frame_numbers)"
                   " VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
      .bind_text(file.name)
      .bind_text(file.stream.series.to_string())
      .bind(file.stream.stream)
      .bind(file.partition)
      .bind(file.segment)
      .bind(static_cast<std::int64_t>(file.epoch))
      .bind(static_cast<std::int64_t>(file.bytes))
      .bind_blob(number_bytes(file.frame_numbers))
      .run();
}

Status Catalogue::add_windows(const StreamKey& stream, const std::vector<WindowFates>& windows,
                              const FileRow* file) {
  FF_TRY(run("BEGIN IMMEDIATE"));
  Status written = file != nullptr ? insert_file(*file) : Status{};
  for (const WindowFates& fates : windows)
    if (written.ok()) written = merge_window(stream, fates);
  if (written.ok()) written = run("COMMIT");
  if (!written.ok()) static_cast<void>(sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr));
  return written;
}

Status Catalogue::set_open(const Uuid& series) {
  return Statement(database_, "UPDATE series SET closed_utc_ns = 0, close_reason = '' WHERE uid = ?")
      .bind_text(series.to_string())
      .run();
}

Status Catalogue::set_closed(const SeriesRow& series) {
  return Statement(database_,
                   "UPDATE series SET closed_utc_ns = ?, close_reason = ?, master = ? WHERE uid = ?")
      .bind(series.closed_utc_ns)
      .bind_text(series.close_reason)
      .bind_text(series.master)
      .bind_text(series.uid.to_string())
      .run();
}

Result<std::vector<SeriesRow>> Catalogue::series() const {
  Statement rows(database_,
                 "SELECT uid, detector, first_seen_utc_ns, closed_utc_ns, close_reason, master FROM series "
                 "ORDER BY uid");
  std::vector<SeriesRow> found;
  while (true) {
    FF_ASSIGN(const bool row, rows.step());
    if (!row) return found;
    FF_ASSIGN(const Uuid uid, Uuid::parse(rows.bytes(0)));
    found.push_back({uid, rows.bytes(1), rows.integer(2), rows.integer(3), rows.bytes(4), rows.bytes(5)});
  }
}

Result<std::vector<StreamRow>> Catalogue::streams(const Uuid& series) const {
  Statement rows(
      database_,
      "SELECT stream, window_frames, geometry, start_header, start_payload, end_header FROM streams"
      " WHERE uid = ? ORDER BY stream");
  rows.bind_text(series.to_string());
  std::vector<StreamRow> found;
  while (true) {
    FF_ASSIGN(const bool row, rows.step());
    if (!row) return found;
    StreamRow stream;
    stream.key = {series, static_cast<std::uint32_t>(rows.integer(0))};
    stream.window_frames = static_cast<std::uint32_t>(rows.integer(1));
    if (!stream.geometry.ParseFromString(rows.bytes(2)))
      return fail(Errc::malformed, "catalogue: unreadable geometry of series " + series.to_string());
    stream.start_header = rows.bytes(3);
    stream.start_payload = rows.bytes(4);
    stream.end_header = rows.bytes(5);
    found.push_back(std::move(stream));
  }
}

Result<std::vector<FileRow>> Catalogue::files(const Uuid& series) const {
  Statement rows(database_,
                 "SELECT name, stream, partition, segment, epoch, bytes, frame_numbers FROM files"
                 " WHERE uid = ? ORDER BY stream, epoch, partition, segment");
  rows.bind_text(series.to_string());
  std::vector<FileRow> found;
  while (true) {
    FF_ASSIGN(const bool row, rows.step());
    if (!row) return found;
    found.push_back({.name = rows.bytes(0),
                     .stream = {series, static_cast<std::uint32_t>(rows.integer(1))},
                     .partition = static_cast<std::int32_t>(rows.integer(2)),
                     .segment = static_cast<std::uint32_t>(rows.integer(3)),
                     .epoch = static_cast<std::uint64_t>(rows.integer(4)),
                     .bytes = static_cast<std::uint64_t>(rows.integer(5)),
                     .frame_numbers = unpack_numbers(rows.bytes(6))});
  }
}

Result<std::vector<WindowFates>> Catalogue::windows(const StreamKey& stream) const {
  Statement rows(database_,
                 "SELECT window, complete, fates FROM windows WHERE uid = ? AND stream = ? ORDER BY window");
  rows.bind_text(stream.series.to_string()).bind(stream.stream);
  std::vector<WindowFates> found;
  while (true) {
    FF_ASSIGN(const bool row, rows.step());
    if (!row) return found;
    found.push_back(
        {static_cast<std::uint64_t>(rows.integer(0)), rows.integer(1) != 0, unpack_fates(rows.bytes(2))});
  }
}

Result<std::optional<WindowFates>> Catalogue::window(const WindowKey& key) const {
  Statement rows(database_,
                 "SELECT complete, fates FROM windows WHERE uid = ? AND stream = ? AND window = ?");
  rows.bind_text(key.stream.series.to_string())
      .bind(key.stream.stream)
      .bind(static_cast<std::int64_t>(key.window));
  FF_ASSIGN(const bool row, rows.step());
  if (!row) return std::optional<WindowFates>();
  return std::optional(WindowFates{key.window, rows.integer(0) != 0, unpack_fates(rows.bytes(1))});
}

Result<bool> Catalogue::has_file(const std::string& name) const {
  Statement rows(database_, "SELECT 1 FROM files WHERE name = ?");
  rows.bind_text(name);
  return rows.step();
}

Result<std::uint64_t> Catalogue::window_count(const StreamKey& stream) const {
  Statement rows(database_, "SELECT count(*) FROM windows WHERE uid = ? AND stream = ?");
  rows.bind_text(stream.series.to_string()).bind(stream.stream);
  FF_ASSIGN(const bool row, rows.step());
  return static_cast<std::uint64_t>(row ? rows.integer(0) : 0);
}

}  // namespace ff::sink
