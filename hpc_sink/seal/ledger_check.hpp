// SPDX-License-Identifier: Apache-2.0
//
// Ledger check: does what lies here say what was sealed? Every contradiction is named.
//
// Data path  catalogue, master file, data files > [leaves, root, signatures, chain, counts, files, pixels] > findings
// Works without the service: from a store's folder, from a master file and its neighbours, or from seals alone.
// Memory     a series' leaves (some 500 bytes a window). HDF5 is read: one thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "hpc_sink/seal/seal_key.hpp"
#include "hpc_sink/seal/seal_record.hpp"
#include "hpc_sink/seal/sealed_master.hpp"

namespace ff::sink {

struct CheckOptions {
  std::optional<PublicKey> key;  ///< that must have signed; none: whoever signed is only named
  bool deep = false;             ///< decode every frame of the data files and compare its CRC
};

struct LedgerCheck {
  std::optional<SealBody> body;                                ///< of the last seal, when its signature holds
  std::string public_key;                                      ///< that signed it, as text
  std::uint64_t seals = 0, leaves = 0, files = 0, frames = 0;  ///< that were looked at; frames in files
  bool decoded = false;                                        ///< pixels too
  std::vector<std::string> broken;  ///< each names what contradicts the seal, and where
  std::vector<std::string> notes;   ///< what could not be checked, and why

  [[nodiscard]] bool holds() const noexcept { return broken.empty(); }
};

/// The seals themselves: signatures, keys, numbers from 1 on, chain within the series.
void check_seals(const std::vector<Seal>& seals, const CheckOptions& options, LedgerCheck& check);

/// Leaves against root and counts of `check.body`. `hashes`: of the same leaves as another place keeps them, to name the
/// changed one; may be empty. `where` opens the findings ("catalogue", "master").
void check_leaves(const std::vector<std::string>& leaves, const std::vector<std::string>& hashes,
                  const std::string& where, LedgerCheck& check);

/// The per-frame states that a master shows against its leaves.
void check_states(const SealedMaster& master, LedgerCheck& check);

/// Data files against leaves: each is there, each row is a frame sealed as stored with this CRC, and every frame sealed as
/// stored is in a file. With options.deep every frame is decoded.
void check_files(const std::filesystem::path& folder, const std::vector<std::string>& files,
                 const std::vector<std::string>& leaves, const CheckOptions& options, LedgerCheck& check);

/// A master file and the data files beside it. Errors: io_error, malformed, not_found (no such file, or it has no seal).
[[nodiscard]] Result<LedgerCheck> check_master(const std::filesystem::path& master,
                                               const CheckOptions& options);

/// A series of a store: catalogue, master file, data files, and the chain over the detector's seals.
/// Errors: not_found (not sealed yet), those of the catalogue.
[[nodiscard]] Result<LedgerCheck> check_store(const std::filesystem::path& store, const Catalogue& catalogue,
                                              const SeriesRow& series, const CheckOptions& options);

/// Seals alone, as the ledger topic keeps them; `other`: those of a store or file, to compare.
[[nodiscard]] LedgerCheck check_published(const Seal& published, const std::vector<Seal>& other,
                                          const CheckOptions& options);

}  // namespace ff::sink
