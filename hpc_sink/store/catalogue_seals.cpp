// SPDX-License-Identifier: Apache-2.0
//
// Catalogue: the seals, in the order in which they were made.
#include "hpc_sink/store/catalogue.hpp"
#include "hpc_sink/store/sqlite_statement.hpp"

namespace ff::sink {
namespace {

Result<std::vector<SealRow>> read_seals(Statement& rows) {
  std::vector<SealRow> found;
  while (true) {
    FF_ASSIGN(const bool row, rows.step());
    if (!row) return found;
    FF_ASSIGN(const Uuid uid, Uuid::parse(rows.bytes(0)));
    SealRow seal{uid, static_cast<std::uint32_t>(rows.integer(1)), rows.bytes(2), {}};
    if (!seal.seal.ParseFromString(rows.bytes(3)))
      return fail(Errc::malformed, "catalogue: seal " + std::to_string(seal.number) + " of series " +
                                       uid.to_string() + " can't be read");
    found.push_back(std::move(seal));
  }
}

}  // namespace

Status Catalogue::add_seal(const SealRow& seal) {
  return Statement(database_, "INSERT INTO seals (uid, number, detector, seal) VALUES (?, ?, ?, ?)")
      .bind_text(seal.series.to_string())
      .bind(seal.number)
      .bind_text(seal.detector)
      .bind_blob(seal.seal.SerializeAsString())
      .run();
}

Result<std::vector<SealRow>> Catalogue::seals(const Uuid& series) const {
  Statement rows(database_, "SELECT uid, number, detector, seal FROM seals WHERE uid = ? ORDER BY number");
  rows.bind_text(series.to_string());
  return read_seals(rows);
}

Result<std::vector<SealRow>> Catalogue::seals_of_detector(const std::string& detector) const {
  Statement rows(database_, "SELECT uid, number, detector, seal FROM seals WHERE detector = ? ORDER BY made");
  rows.bind_text(detector);
  return read_seals(rows);
}

Result<std::optional<SealRow>> Catalogue::last_seal_of_detector(const std::string& detector) const {
  Statement rows(
      database_,
      "SELECT uid, number, detector, seal FROM seals WHERE detector = ? ORDER BY made DESC LIMIT 1");
  rows.bind_text(detector);
  FF_ASSIGN(std::vector<SealRow> found, read_seals(rows));
  if (found.empty()) return std::optional<SealRow>();
  return std::optional(std::move(found.front()));
}

Result<std::vector<SealRow>> Catalogue::unpublished_seals() const {
  Statement rows(database_,
                 "SELECT uid, number, detector, seal FROM seals WHERE published = 0 ORDER BY made");
  return read_seals(rows);
}

Status Catalogue::set_published(const Uuid& series, std::uint32_t number) {
  return Statement(database_, "UPDATE seals SET published = 1 WHERE uid = ? AND number <= ?")
      .bind_text(series.to_string())
      .bind(number)
      .run();
}

}  // namespace ff::sink
