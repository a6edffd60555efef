// SPDX-License-Identifier: Apache-2.0
//
// Catalogue, series records heard in passing: every sink hears of all series of its site, and keeps what it hears
// in a temporary table until the series turns out to be one of its store. Nothing here is durable or needs to be.
#include "hpc_sink/store/catalogue.hpp"
#include "hpc_sink/store/sqlite_statement.hpp"

namespace ff::sink {
namespace {

constexpr const char* kHeardTable = R"sql(
CREATE TEMP TABLE heard (uid TEXT NOT NULL, stream INTEGER NOT NULL, is_end INTEGER NOT NULL, epoch INTEGER NOT NULL,
  detector TEXT NOT NULL, window_frames INTEGER NOT NULL, geometry BLOB NOT NULL, header BLOB NOT NULL,
  payload BLOB NOT NULL, PRIMARY KEY (uid, stream, is_end)) WITHOUT ROWID;
)sql";

}  // namespace

Status Catalogue::make_heard_table() { return run(kHeardTable); }

Status Catalogue::hear(const HeardRecord& record) {
  Statement known(database_, "SELECT epoch FROM heard WHERE uid = ? AND stream = ? AND is_end = ?");
  const std::string uid = record.stream.key.series.to_string();
  known.bind_text(uid).bind(record.stream.key.stream).bind(record.is_end ? 1 : 0);
  FF_ASSIGN(const bool is_known, known.step());
  if (is_known && static_cast<std::uint64_t>(known.integer(0)) > record.epoch) return {};
  return Statement(
             database_,
             "INSERT OR REPLACE INTO heard (uid, stream, is_end, epoch, detector, window_frames, geometry,"
             " header, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .bind_text(uid)
      .bind(record.stream.key.stream)
      .bind(record.is_end ? 1 : 0)
      .bind(static_cast<std::int64_t>(record.epoch))
      .bind_text(record.detector)
      .bind(record.stream.window_frames)
      .bind_blob(record.stream.geometry.SerializeAsString())
      .bind_blob(record.is_end ? record.stream.end_header : record.stream.start_header)
      .bind_blob(record.stream.start_payload)
      .run();
}

Result<std::vector<HeardRecord>> Catalogue::take_heard(const Uuid& series) {
  std::vector<HeardRecord> heard;
  {
    Statement rows(
        database_,
        "SELECT stream, is_end, epoch, detector, window_frames, geometry, header, payload FROM heard"
        " WHERE uid = ? ORDER BY stream, is_end");
    rows.bind_text(series.to_string());
    while (true) {
      FF_ASSIGN(const bool row, rows.step());
      if (!row) break;
      HeardRecord record{.stream = {.key = {series, static_cast<std::uint32_t>(rows.integer(0))},
                                    .window_frames = static_cast<std::uint32_t>(rows.integer(4))},
                         .detector = rows.bytes(3),
                         .epoch = static_cast<std::uint64_t>(rows.integer(2)),
                         .is_end = rows.integer(1) != 0};
      if (!record.stream.geometry.ParseFromString(rows.bytes(5)))
        return fail(Errc::malformed, "catalogue: unreadable geometry of series " + series.to_string());
      (record.is_end ? record.stream.end_header : record.stream.start_header) = rows.bytes(6);
      record.stream.start_payload = rows.bytes(7);
      heard.push_back(std::move(record));
    }
  }
  for (const HeardRecord& record : heard) {
    FF_TRY(add_stream(record.stream, record.detector, 0));
    FF_TRY(record.is_end ? add_end(record.stream.key, record.stream.end_header, record.epoch)
                         : add_start(record.stream.key, record.stream.start_header,
                                     record.stream.start_payload, record.epoch));
  }
  FF_TRY(Statement(database_, "DELETE FROM heard WHERE uid = ?").bind_text(series.to_string()).run());
  return heard;
}

}  // namespace ff::sink
