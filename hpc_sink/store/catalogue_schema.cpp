// SPDX-License-Identifier: Apache-2.0
//
// Catalogue schema: version 1 as it was, and what version 2 adds.
#include "hpc_sink/store/catalogue_schema.hpp"

#include <string>

#include "hpc_sink/store/sqlite_statement.hpp"

namespace ff::sink {
namespace {

constexpr const char* kVersion1 = R"sql(
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
)sql";

// What a leaf needs, what `foreframe why` tells, and the seals in the order in which they were made.
constexpr const char* kVersion2 = R"sql(
ALTER TABLE windows ADD COLUMN reported INTEGER NOT NULL DEFAULT 0;
ALTER TABLE windows ADD COLUMN payload_sha256 BLOB NOT NULL DEFAULT x'';
ALTER TABLE windows ADD COLUMN pixel_crcs BLOB NOT NULL DEFAULT x'';
ALTER TABLE windows ADD COLUMN facts BLOB NOT NULL DEFAULT x'';
CREATE TABLE seals (made INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL, number INTEGER NOT NULL,
  detector TEXT NOT NULL, seal BLOB NOT NULL, published INTEGER NOT NULL DEFAULT 0, UNIQUE (uid, number));
CREATE INDEX seals_by_detector ON seals (detector, made);
PRAGMA user_version = 2;
)sql";

Result<std::int64_t> read_number(sqlite3* database, const char* sql) {
  Statement statement(database, sql);
  FF_ASSIGN(const bool row, statement.step());
  return row ? statement.integer(0) : 0;
}

Status run_at_once(sqlite3* database, const std::string& sql) {
  if (sqlite3_exec(database, ("BEGIN IMMEDIATE;" + sql + "COMMIT;").c_str(), nullptr, nullptr, nullptr) ==
      SQLITE_OK)
    return {};
  Error error = sqlite_error(database, "making the tables");
  static_cast<void>(sqlite3_exec(database, "ROLLBACK", nullptr, nullptr, nullptr));
  return error;
}

}  // namespace

Result<bool> prepare_schema(sqlite3* database) {
  FF_ASSIGN(const std::int64_t tables, read_number(database, "SELECT count(*) FROM sqlite_master"));
  if (tables == 0) {
    FF_TRY(run_at_once(database, std::string(kVersion1) + kVersion2));
    return false;
  }
  FF_ASSIGN(const std::int64_t version, read_number(database, "PRAGMA user_version"));
  // The mark stays until somebody has read the CRCs from the files, however often that is begun.
  if (version == 1)
    FF_TRY(run_at_once(database, std::string(kVersion2) + "CREATE TABLE crcs_pending (mark);"));
  FF_TRY(check_schema(database));
  FF_ASSIGN(const std::int64_t marks,
            read_number(database, "SELECT count(*) FROM sqlite_master WHERE name = 'crcs_pending'"));
  return marks > 0;
}

Status check_schema(sqlite3* database) {
  FF_ASSIGN(const std::int64_t version, read_number(database, "PRAGMA user_version"));
  if (version == kCatalogueVersion) return {};
  return fail(Errc::unsupported_version,
              "catalogue schema " + std::to_string(version) + "; this build reads " +
                  std::to_string(kCatalogueVersion) +
                  (version == 1 ? ": a sink of this build brings it up when it starts on the store" : ""));
}

}  // namespace ff::sink
