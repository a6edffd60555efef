// SPDX-License-Identifier: Apache-2.0
//
// Catalogue, the ledger topic's side: what is still to be said there, seals that came from there, and series that
// this sink has left to whoever seals them.
#include "hpc_sink/store/catalogue.hpp"
#include "hpc_sink/store/sqlite_statement.hpp"

namespace ff::sink {
namespace {

// Made where they are missing: a catalogue without them belongs to a sink that said nothing yet.
constexpr const char* kLedgerTables = R"sql(
CREATE TABLE IF NOT EXISTS ledger_notes (number INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL,
  detector TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS left_series (uid TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seals_unpublished ON seals (made) WHERE published = 0;
)sql";

Result<std::int64_t> first_number(Statement& statement) {
  FF_ASSIGN(const bool row, statement.step());
  return row ? statement.integer(0) : 0;
}

}  // namespace

Status Catalogue::make_ledger_tables() {
  Statement there(database_, "SELECT count(*) FROM sqlite_master WHERE name = 'ledger_notes'");
  FF_ASSIGN(const std::int64_t tables, first_number(there));
  never_noted_ = tables == 0;
  return run(kLedgerTables);
}

Status Catalogue::insert_notes(const std::vector<LedgerNote>& notes) {
  for (const LedgerNote& note : notes)
    FF_TRY(Statement(database_, "INSERT INTO ledger_notes (uid, detector, key, value) VALUES (?, ?, ?, ?)")
               .bind_text(note.series.to_string())
               .bind_text(note.detector)
               .bind_text(note.key)
               .bind_blob(note.value)
               .run());
  return {};
}

Status Catalogue::add_notes(const std::vector<LedgerNote>& notes) {
  if (notes.empty()) return {};
  return at_once([&] { return insert_notes(notes); });
}

Result<std::vector<std::pair<std::int64_t, LedgerNote>>> Catalogue::notes(std::int64_t after,
                                                                          std::size_t most) const {
  Statement rows(database_,
                 "SELECT number, uid, detector, key, value FROM ledger_notes WHERE number > ?"
                 " ORDER BY number LIMIT ?");
  rows.bind(after).bind(static_cast<std::int64_t>(most));
  std::vector<std::pair<std::int64_t, LedgerNote>> found;
  while (true) {
    FF_ASSIGN(const bool row, rows.step());
    if (!row) return found;
    FF_ASSIGN(const Uuid uid, Uuid::parse(rows.bytes(1)));
    found.emplace_back(rows.integer(0), LedgerNote{uid, rows.bytes(2), rows.bytes(3), rows.bytes(4)});
  }
}

Status Catalogue::drop_notes(const std::vector<std::int64_t>& numbers) {
  return at_once([&]() -> Status {
    for (const std::int64_t number : numbers)
      FF_TRY(Statement(database_, "DELETE FROM ledger_notes WHERE number = ?").bind(number).run());
    return {};
  });
}

Result<std::uint64_t> Catalogue::note_count() const {
  Statement rows(database_, "SELECT count(*) FROM ledger_notes");
  FF_ASSIGN(const std::int64_t count, first_number(rows));
  return static_cast<std::uint64_t>(count);
}

Result<bool> Catalogue::join_seal(const SealRow& seal) {
  const std::string uid = seal.series.to_string();
  const std::string bytes = seal.seal.SerializeAsString();
  Statement known(database_, "SELECT seal, published FROM seals WHERE uid = ? AND number = ?");
  known.bind_text(uid).bind(seal.number);
  FF_ASSIGN(const bool is_known, known.step());
  if (is_known && (known.bytes(0) == bytes || known.integer(1) != 0)) {
    if (known.bytes(0) == bytes && known.integer(1) == 0) FF_TRY(set_published(seal.series, seal.number));
    return false;
  }
  const auto replace = [&]() -> Status {
    // What was closed here was closed before somebody else sealed it.
    FF_TRY(Statement(database_, "UPDATE series SET closed_utc_ns = 0, close_reason = '' WHERE uid = ?")
               .bind_text(uid)
               .run());
    FF_TRY(Statement(database_, "INSERT OR IGNORE INTO left_series (uid) VALUES (?)").bind_text(uid).run());
    FF_TRY(Statement(database_, "DELETE FROM seals WHERE uid = ? AND number >= ? AND published = 0")
               .bind_text(uid)
               .bind(seal.number)
               .run());
    return Statement(database_,
                     "INSERT INTO seals (uid, number, detector, seal, published) VALUES (?, ?, ?, ?, 1)")
        .bind_text(uid)
        .bind(seal.number)
        .bind_text(seal.detector)
        .bind_blob(bytes)
        .run();
  };
  FF_TRY(at_once(replace));
  return true;
}

Status Catalogue::set_left(const Uuid& series, bool left) {
  return Statement(database_, left ? "INSERT OR IGNORE INTO left_series (uid) VALUES (?)"
                                   : "DELETE FROM left_series WHERE uid = ?")
      .bind_text(series.to_string())
      .run();
}

Result<std::set<Uuid>> Catalogue::left_series() const {
  Statement rows(database_, "SELECT uid FROM left_series");
  std::set<Uuid> found;
  while (true) {
    FF_ASSIGN(const bool row, rows.step());
    if (!row) return found;
    FF_ASSIGN(const Uuid uid, Uuid::parse(rows.bytes(0)));
    found.insert(uid);
  }
}

}  // namespace ff::sink
