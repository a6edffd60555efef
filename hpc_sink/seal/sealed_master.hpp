// SPDX-License-Identifier: Apache-2.0
//
// Sealed master: what of the seals stands in a master file, so that the file alone can be verified.
//
// Data path  seals, leaves > [/entry/foreframe of the master] > whoever checks it, also when service and catalogue are gone
// Format     docs/formats/files.md, docs/formats/ledger.md.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "hpc_sink/seal/seal_record.hpp"
#include "hpc_sink/store/hdf5_writer.hpp"
#include "hpc_sink/store/ledger.hpp"

namespace ff::sink {

/// Groups seals and leaves below `own` (/entry/foreframe), and the names of the data files. Errors: those of the
/// catalogue; HDF5's go to the writer.
[[nodiscard]] Status write_sealed(Hdf5Writer& writer, hid_t own, const Catalogue& catalogue,
                                  const SeriesLedger& ledger, const std::vector<SealRow>& seals);

/// What a master says of itself; nothing of it is verified yet.
struct SealedMaster {
  std::vector<Seal> seals;               ///< by number
  std::vector<std::string> leaves;       ///< bytes
  std::vector<std::string> leaf_hashes;  ///< 32 bytes each, as many as leaves
  std::vector<std::string> files;        ///< names beside the master
  struct StreamStates {
    std::vector<std::uint8_t> state, stage;  ///< one per frame
  };
  std::map<std::uint32_t, StreamStates> streams;
  struct ChannelStates {
    std::string dataset;  ///< below /entry/data
    std::vector<std::uint32_t> streams;
    std::vector<std::uint8_t> state;  ///< one per frame: that of the worst stream
  };
  std::vector<ChannelStates> channels;
};

/// Errors: io_error, malformed (no master of this project, or tables that contradict each other), not_found (it has no
/// seal).
[[nodiscard]] Result<SealedMaster> read_sealed_master(const std::filesystem::path& path);

}  // namespace ff::sink
