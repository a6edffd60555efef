// SPDX-License-Identifier: Apache-2.0
//
// Sealed series: what another sink has sealed, taken from the series' folder into this sink's catalogue, so that this
// one can go on where the other one stopped.
//
// Data path  master file, data files of a series > [leaves, rows, windows] > catalogue of the detector's new sealer
// The statements behind a seal are deleted from the ledger topic; the leaves in the master are what is left of them.
#pragma once

#include <filesystem>

#include "common/base/result.hpp"
#include "hpc_sink/store/catalogue.hpp"

namespace ff::sink {

/// Joins what the series' master and data files say into the catalogue. A master whose leaves are not those of its own
/// last seal is not believed. Errors: not_found (no master), malformed, crc_mismatch, io_error, those of the catalogue.
[[nodiscard]] Status join_sealed_series(Catalogue& catalogue, const std::filesystem::path& store,
                                        const Uuid& series, const std::string& detector);

}  // namespace ff::sink
