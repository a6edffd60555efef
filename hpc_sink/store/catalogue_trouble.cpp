// SPDX-License-Identifier: Apache-2.0
//
// Catalogue, what went wrong: windows that failed to decode, records that the log freed before they were read.
#include "hpc_sink/store/catalogue.hpp"
#include "hpc_sink/store/sqlite_statement.hpp"

namespace ff::sink {
namespace {

// Made where they are missing: a catalogue without them is one in which nothing went wrong.
constexpr const char* kTroubleTables = R"sql(
CREATE TABLE IF NOT EXISTS failed_windows (uid TEXT NOT NULL, stream INTEGER NOT NULL, window INTEGER NOT NULL,
  partition INTEGER NOT NULL, next_offset INTEGER NOT NULL, dead INTEGER NOT NULL,
  PRIMARY KEY (uid, stream, window)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log_gaps (topic TEXT NOT NULL, partition INTEGER NOT NULL, first_offset INTEGER NOT NULL,
  next_offset INTEGER NOT NULL, noticed_utc_ns INTEGER NOT NULL, PRIMARY KEY (topic, partition, first_offset))
  WITHOUT ROWID;
)sql";

}  // namespace

// `came` joined later: a sink that does not know it leaves it 0, and the window is asked for once more.
Status Catalogue::make_trouble_tables() {
  FF_TRY(run(kTroubleTables));
  Statement column(database_, "SELECT count(*) FROM pragma_table_info('failed_windows') WHERE name = 'came'");
  FF_ASSIGN(const bool row, column.step());
  if (row && column.integer(0) > 0) return {};
  return run("ALTER TABLE failed_windows ADD COLUMN came INTEGER NOT NULL DEFAULT 0");
}

Status Catalogue::note_failed(const WindowKey& key, const FailedRead& read) {
  return Statement(database_,
                   "INSERT OR REPLACE INTO failed_windows"
                   " (uid, stream, window, partition, next_offset, dead, came) VALUES (?, ?, ?, ?, ?, ?, ?)")
      .bind_text(key.stream.series.to_string())
      .bind(key.stream.stream)
      .bind(static_cast<std::int64_t>(key.window))
      .bind(read.partition)
      .bind(read.next_offset)
      .bind(read.dead ? 1 : 0)
      .bind(static_cast<std::int64_t>(read.came))
      .run();
}

Status Catalogue::forget_failed(const WindowKey& key) {
  return Statement(database_, "DELETE FROM failed_windows WHERE uid = ? AND stream = ? AND window = ?")
      .bind_text(key.stream.series.to_string())
      .bind(key.stream.stream)
      .bind(static_cast<std::int64_t>(key.window))
      .run();
}

Result<std::map<WindowKey, FailedRead>> Catalogue::failed_windows() const {
  Statement rows(database_,
                 "SELECT uid, stream, window, partition, next_offset, dead, came FROM failed_windows");
  std::map<WindowKey, FailedRead> found;
  while (true) {
    FF_ASSIGN(const bool row, rows.step());
    if (!row) return found;
    FF_ASSIGN(const Uuid uid, Uuid::parse(rows.bytes(0)));
    const WindowKey key{{uid, static_cast<std::uint32_t>(rows.integer(1))},
                        static_cast<std::uint64_t>(rows.integer(2))};
    found[key] = {static_cast<std::int32_t>(rows.integer(3)), rows.integer(4), rows.integer(5) != 0,
                  static_cast<std::uint64_t>(rows.integer(6))};
  }
}

Status Catalogue::add_log_gap(const LogGapRow& gap) {
  return Statement(
             database_,
             "INSERT OR REPLACE INTO log_gaps (topic, partition, first_offset, next_offset, noticed_utc_ns)"
             " VALUES (?, ?, ?, ?, ?)")
      .bind_text(gap.topic)
      .bind(gap.partition)
      .bind(gap.first_offset)
      .bind(gap.next_offset)
      .bind(gap.noticed_utc_ns)
      .run();
}

Result<std::vector<LogGapRow>> Catalogue::log_gaps() const {
  Statement rows(database_,
                 "SELECT topic, partition, first_offset, next_offset, noticed_utc_ns FROM log_gaps"
                 " ORDER BY noticed_utc_ns, topic, partition, first_offset");
  std::vector<LogGapRow> found;
  while (true) {
    FF_ASSIGN(const bool row, rows.step());
    if (!row) return found;
    found.push_back({rows.bytes(0), static_cast<std::int32_t>(rows.integer(1)), rows.integer(2),
                     rows.integer(3), rows.integer(4)});
  }
}

}  // namespace ff::sink
