// SPDX-License-Identifier: Apache-2.0
//
// What `foreframe ledger ...` and `foreframe why` have in common: arguments, and finding the series that is meant.
#pragma once

#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "hpc_sink/store/store_catalogues.hpp"

namespace ff::tools {

struct LedgerArguments {
  std::string store = "/var/lib/foreframe/store";
  std::string series;  ///< uid or how it begins, or a master file; "": see the command
  bool json = false;
  bool pem = false;                                     ///< key
  bool deep = false;                                    ///< verify
  std::string key;                                      ///< verify: public key as text, or a file with it
  std::string log_url, topic_prefix = "site.beamline";  ///< verify, list, show: seals from the ledger topic
};

/// The store's catalogues, and those of its series that `series` means. Errors: not_found (no store, no such series).
struct ChosenSeries {
  sink::StoreCatalogues catalogues;
  std::vector<sink::SeriesRow> rows;  ///< by age
};
[[nodiscard]] Result<ChosenSeries> choose_series(const LedgerArguments& arguments);

/// True when `series` names a file.
[[nodiscard]] bool is_master_file(const LedgerArguments& arguments);

/// `foreframe ledger verify` and `key`; the exit code.
int ledger_verify(const LedgerArguments& arguments);
int ledger_key(const LedgerArguments& arguments);
/// `foreframe ledger list|show --log`: the seals of the topic; the exit code.
int ledger_from_topic(const LedgerArguments& arguments, bool list);

}  // namespace ff::tools
