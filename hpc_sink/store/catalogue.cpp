// SPDX-License-Identifier: Apache-2.0
//
// Catalogue: opening it; series and streams. Windows: catalogue_windows.cpp; seals: catalogue_seals.cpp.
#include "hpc_sink/store/catalogue.hpp"

#include "hpc_sink/store/catalogue_schema.hpp"
#include "hpc_sink/store/sqlite_statement.hpp"

namespace ff::sink {
namespace {

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

Result<std::vector<SeriesRow>> read_series(Statement& rows) {
  std::vector<SeriesRow> found;
  while (true) {
    FF_ASSIGN(const bool row, rows.step());
    if (!row) return found;
    FF_ASSIGN(const Uuid uid, Uuid::parse(rows.bytes(0)));
    found.push_back({uid, rows.bytes(1), rows.integer(2), rows.integer(3), rows.bytes(4), rows.bytes(5)});
  }
}

}  // namespace

Catalogue::~Catalogue() { sqlite3_close(database_); }

Result<std::unique_ptr<Catalogue>> Catalogue::open(const std::filesystem::path& path) {
  FF_ASSIGN(sqlite3* const database, open_database(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
  std::unique_ptr<Catalogue> catalogue(new Catalogue(database));
  FF_TRY(catalogue->run("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"));
  FF_ASSIGN(catalogue->lacks_pixel_crcs_, prepare_schema(database));
  FF_TRY(catalogue->make_trouble_tables());
  FF_TRY(catalogue->make_ledger_tables());
  FF_TRY(catalogue->make_heard_table());
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
  FF_TRY(check_schema(*opened));
  return catalogue;
}

Status Catalogue::run(const char* sql) const {
  if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) != SQLITE_OK)
    return sqlite_error(database_, "a statement");
  return {};
}

Status Catalogue::has_pixel_crcs() {
  FF_TRY(run("DROP TABLE IF EXISTS crcs_pending"));
  lacks_pixel_crcs_ = false;
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

Status Catalogue::at_once(const std::function<Status()>& write) {
  FF_TRY(run("BEGIN IMMEDIATE"));
  Status written = write();
  if (written.ok()) written = run("COMMIT");
  if (!written.ok()) static_cast<void>(sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr));
  return written;
}

Result<std::vector<SeriesRow>> Catalogue::series() const {
  Statement rows(database_,
                 "SELECT uid, detector, first_seen_utc_ns, closed_utc_ns, close_reason, master FROM series "
                 "ORDER BY uid");
  return read_series(rows);
}

Result<std::optional<SeriesRow>> Catalogue::find_series(const Uuid& uid) const {
  Statement rows(database_,
                 "SELECT uid, detector, first_seen_utc_ns, closed_utc_ns, close_reason, master FROM series "
                 "WHERE uid = ?");
  rows.bind_text(uid.to_string());
  FF_ASSIGN(std::vector<SeriesRow> found, read_series(rows));
  if (found.empty()) return std::optional<SeriesRow>();
  return std::optional(std::move(found.front()));
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

}  // namespace ff::sink
