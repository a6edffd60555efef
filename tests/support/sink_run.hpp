// SPDX-License-Identifier: Apache-2.0
//
// SinkRun: the whole sink path in this process, over a FakeLog and a folder of its own.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "hpc_sink/sink_pipeline.hpp"
#include "hpc_sink/store/ledger.hpp"
#include "tests/support/fake_log_reader.hpp"

namespace ff::test {

/// A folder below the system's temporary folder, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

/// Quick time-outs, exits when every series is closed.
[[nodiscard]] sink::SinkConfig quick_config(const std::filesystem::path& store);

struct SinkOutcome {
  Result<std::string> summary;
  std::string metrics;
};

/// Runs the sink until all series are closed. `step`: see StoreStepHook. Without `open_ledger` and its reader the ledger
/// topic is the FakeLog's.
[[nodiscard]] SinkOutcome run_over(
    const std::shared_ptr<FakeLog>& log, const sink::SinkConfig& config,
    sink::StoreStepHook step = [](sink::StoreStep) {}, sink::OpenLedgerWriter open_ledger = {},
    sink::OpenFeedReader open_ledger_reader = {});

/// The catalogue of the only sink of a store. The path of it for a sink that is called as quick_config calls it.
[[nodiscard]] std::filesystem::path catalogue_of(const std::filesystem::path& store);
/// The ledger of the only series in the store.
[[nodiscard]] sink::SeriesLedger only_ledger(const std::filesystem::path& store);
/// Pixels of all frames as the master file shows them, row-major, and its states.
struct MasterContent {
  std::vector<std::vector<std::byte>> frames;
  std::vector<std::uint8_t> states;
};
[[nodiscard]] MasterContent read_master(const std::filesystem::path& master, const FrameShape& shape,
                                        const std::string& dataset = "data");

}  // namespace ff::test
