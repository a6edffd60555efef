// SPDX-License-Identifier: Apache-2.0
//
// Catalogue schema: the tables, and the way from each earlier version to this one. Private to the catalogue.
// Format     docs/formats/ledger.md, "Catalogue".
#pragma once

#include <cstdint>
#include <sqlite3.h>

#include "common/base/result.hpp"

namespace ff::sink {

inline constexpr std::int64_t kCatalogueVersion = 2;

/// Makes the tables where there are none, and brings those of version 1 up, in one transaction. True while pixel CRCs of
/// windows from version 1 are in the data files only.
/// Errors: unsupported_version, io_error, disk_full.
[[nodiscard]] Result<bool> prepare_schema(sqlite3* database);
/// For readers, who change nothing. Errors: unsupported_version.
[[nodiscard]] Status check_schema(sqlite3* database);

}  // namespace ff::sink
