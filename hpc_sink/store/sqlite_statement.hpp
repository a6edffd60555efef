// SPDX-License-Identifier: Apache-2.0
//
// Statement: one prepared SQLite statement, bound, stepped and freed; errors as Result.
#pragma once

#include <cstdint>
#include <sqlite3.h>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace ff::sink {

[[nodiscard]] inline Error sqlite_error(sqlite3* database, std::string_view doing) {
  const int code = sqlite3_errcode(database);
  return fail(code == SQLITE_FULL ? Errc::disk_full : Errc::io_error,
              "catalogue: " + std::string(doing) + " failed: " + sqlite3_errmsg(database));
}

class Statement {
 public:
  Statement(sqlite3* database, const char* sql) : database_(database) {
    failed_ = sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr) != SQLITE_OK;
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(std::int64_t value) { return check(sqlite3_bind_int64(statement_, ++bound_, value)); }
  Statement& bind_text(std::string_view value) {
    return check(
        sqlite3_bind_text64(statement_, ++bound_, value.data(), value.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
  }
  Statement& bind_blob(std::string_view value) {
    // A null pointer would bind NULL: an empty blob stays a blob.
    return check(sqlite3_bind_blob64(statement_, ++bound_, value.empty() ? "" : value.data(), value.size(),
                                     SQLITE_TRANSIENT));
  }

  /// True: a row is there. False: done.
  [[nodiscard]] Result<bool> step() {
    if (failed_) return sqlite_error(database_, "preparing a statement");
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return sqlite_error(database_, "a statement");
  }
  [[nodiscard]] Status run() {
    FF_ASSIGN([[maybe_unused]] const bool row, step());
    return {};
  }

  [[nodiscard]] std::int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
  [[nodiscard]] std::string bytes(int column) const {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    const int size = sqlite3_column_bytes(statement_, column);
    return data == nullptr ? std::string() : std::string(data, static_cast<std::size_t>(size));
  }

 private:
  Statement& check(int code) {
    failed_ = failed_ || code != SQLITE_OK;
    return *this;
  }

  sqlite3* database_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
  bool failed_ = false;
};

}  // namespace ff::sink
