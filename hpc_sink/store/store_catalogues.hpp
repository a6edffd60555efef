// SPDX-License-Identifier: Apache-2.0
//
// StoreCatalogues: the catalogues of a store, one per sink that writes into it, read as one.
//
// Data path  catalogue.<sink>.sqlite of each sink > [which one tells of this series] > `foreframe ledger`, `why`, verify
// A sealed series is told by the catalogue of the sink that sealed it last: it joined what all the others said.
// A series that is open is joined from all of them, in memory.
// Not here   joining for a seal: the sealer does that from the ledger topic (hpc_sink/seal/sealing_desk.hpp).
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "hpc_sink/store/catalogue.hpp"

namespace ff::sink {

/// SQLite's locks are not to be trusted on cluster file systems: each sink has a catalogue of its own.
[[nodiscard]] std::filesystem::path catalogue_path(const std::filesystem::path& store,
                                                   const std::string& sink);

/// A store of a version with one sink per store has `catalogue.sqlite`: the first sink that starts on it takes it as
/// its own. Nothing to do where there is none, or where the sink has one. Errors: io_error, those of SQLite.
[[nodiscard]] Status take_up_old_catalogue(const std::filesystem::path& store, const std::string& sink);

class StoreCatalogues {
 public:
  /// Errors: not_found (no catalogue in the folder), those of Catalogue::open_read_only.
  [[nodiscard]] static Result<StoreCatalogues> open(const std::filesystem::path& store);

  /// Each series once, by age, as the catalogue that tells of it has it. Errors: those of the catalogues.
  [[nodiscard]] Result<std::vector<SeriesRow>> series() const;
  /// The catalogue that tells of the series. Errors: those of the catalogues.
  [[nodiscard]] Result<std::shared_ptr<const Catalogue>> of(const Uuid& series) const;

 private:
  struct One {
    std::string sink;  ///< "": catalogue.sqlite
    std::shared_ptr<const Catalogue> catalogue;
  };
  struct Teller {
    std::shared_ptr<const Catalogue> catalogue;
    SeriesRow row;
  };
  [[nodiscard]] Result<Teller> teller_of(const Uuid& series) const;

  std::vector<One> all_;
};

}  // namespace ff::sink
