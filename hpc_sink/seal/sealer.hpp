// SPDX-License-Identifier: Apache-2.0
//
// Sealer: makes a closed series' next seal, when there is something new to seal.
//
// Data path  closed series > [leaves > root > body > signature] > catalogue > master file, ledger topic
// A series that is closed again with nothing changed keeps its seal: so a sink that is killed between seal and master
// file finds its own seal again.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "hpc_sink/seal/seal_key.hpp"
#include "hpc_sink/seal/seal_record.hpp"
#include "hpc_sink/store/ledger.hpp"

namespace ff::sink {

struct Sealer {
  SealKey key;
  std::string sink;         ///< who seals
  std::string destination;  ///< for which destination: the consumer group
};

/// What a seal over the series as it stands would say, but for number, times and chain.
/// Errors: those of the catalogue.
[[nodiscard]] Result<SealBody> series_body(const Catalogue& catalogue, const SeriesLedger& ledger);

struct SealedSeries {
  std::vector<SealRow> seals;  ///< all of the series
  bool is_new = false;         ///< the last of them was made now
};
/// Seals the series if its last seal does not say the same already, and puts the seal into the catalogue. `ledger` is of
/// a closed series. `may_seal` is asked last, after all the hashing. Errors: those of the catalogue; stopped (it said no).
[[nodiscard]] Result<SealedSeries> seal_series(Catalogue& catalogue, const SeriesLedger& ledger,
                                               const Sealer& sealer, const std::function<bool()>& may_seal);

}  // namespace ff::sink
