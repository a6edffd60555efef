// SPDX-License-Identifier: Apache-2.0
//
// Master file: the NeXus NXmx view of a whole series: one virtual dataset per channel over the data files,
// metadata, masks, the state of every frame, the ledger and its seals.
//
// Data path  catalogue > [master] > fsync, rename
// Format     docs/formats/files.md. Only relative names inside: the series' folder can be moved.
// Written anew when later data arrive. Store thread only.
#pragma once

#include <filesystem>
#include <string>

#include "common/base/result.hpp"
#include "hpc_sink/store/ledger.hpp"

namespace ff::sink {

struct MasterOptions {
  std::string instrument = "unknown";  ///< /entry/instrument/name
  std::string source = "unknown";      ///< /entry/source/name
  std::string sample = "unknown";      ///< /entry/sample/name
};

/// Writes the master at `path` (a .part), closed but not synced. Errors: io_error, disk_full, those of the
/// catalogue.
[[nodiscard]] Status write_master(const std::filesystem::path& path, const Catalogue& catalogue,
                                  const SeriesLedger& ledger, const std::vector<SealRow>& seals,
                                  const MasterOptions& options);

}  // namespace ff::sink
