// SPDX-License-Identifier: Apache-2.0
//
// SealingDesk: the sealer's side of a sink. For the detectors whose ledger partition this sink holds, it joins what all
// sinks have said of a series, decides when the series is over, seals it and writes its master file.
//
// Data path  ledger topic, series topic > [join > over? > seal > master file] > catalogue, ledger topic
// A sink alone takes the same path: it reads its own statements back. Who loses the partition drops what it has open
// before anything is sealed; the next owner reads the same records. A series with a seal is opened again when a
// statement says something new of it; statements that say nothing new of a sealed series are deleted.
// Not here   storing (hpc_sink/store/series_store.hpp), reading the topics (ledger_feed.hpp). Store thread only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "common/base/result.hpp"
#include "common/service/logging.hpp"
#include "hpc_sink/consume/patience_clock.hpp"
#include "hpc_sink/decode/done_windows.hpp"
#include "hpc_sink/seal/ledger_entries.hpp"
#include "hpc_sink/seal/ledger_feed.hpp"
#include "hpc_sink/seal/ledger_ownership.hpp"
#include "hpc_sink/seal/ledger_publisher.hpp"
#include "hpc_sink/seal/sealer.hpp"
#include "hpc_sink/sink_metrics.hpp"
#include "hpc_sink/store/catalogue.hpp"
#include "hpc_sink/store/durable_file.hpp"
#include "hpc_sink/store/master_file.hpp"

namespace ff::sink {

struct DeskOptions {
  std::filesystem::path folder;
  std::string sink, destination;
  MasterOptions master;
  // As in StoreOptions.
  std::chrono::nanoseconds grace, replay_timeout, grace_max, idle_timeout;
  StoreStepHook step = [](StoreStep) {};
};

struct DeskSurroundings {
  Catalogue& catalogue;
  LedgerPublisher& publisher;
  const LedgerOwnership& ownership;
  const PatienceClock& clock;
  SinkMetrics& metrics;
  /// True while the store of this sink still expects something of the series itself.
  std::function<bool(const Uuid&)> storing;
};

class SealingDesk {
 public:
  SealingDesk(DeskOptions options, const SealKey& key, DeskSurroundings around);

  /// Joins one record. Errors: those of the catalogue.
  [[nodiscard]] Status take(const LedgerNews& news);
  /// All that stood in these partitions has been taken: from now on their series may be closed.
  void take(const LedgerRead& read);
  /// A start or end record changed what the catalogue says of the series. Errors: those of the catalogue.
  [[nodiscard]] Status heard(const Uuid& series);
  /// Closes series that are over. Errors: io_error, disk_full, those of the catalogue.
  [[nodiscard]] Status tick();

  /// True once the partitions of this sink have been read to their end.
  [[nodiscard]] bool ready() const noexcept { return ready_; }
  [[nodiscard]] bool ours(const std::string& detector) const;
  [[nodiscard]] bool has_open(const Uuid& series) const { return open_.contains(series); }
  [[nodiscard]] std::size_t open_count() const noexcept { return open_.size(); }
  [[nodiscard]] const PublicKey& key() const noexcept { return sealer_.key.public_key(); }

 private:
  struct OpenStream {
    bool ended = false;
    std::uint64_t windows_expected = 0;
  };
  struct OpenSeries {
    std::string detector;
    std::int32_t partition = 0;
    std::uint64_t generation = 0;
    std::set<std::string> keys;  // of its statements in the topic
    std::map<std::uint32_t, OpenStream> streams;
    std::set<std::uint32_t> announced;                // streams that a start record names
    DoneWindows settled;                              // windows of which nothing more will come
    std::int64_t last_activity_ns = 0, ended_ns = 0;  // PatienceClock
  };

  [[nodiscard]] Status take_seal(const Seal& seal);
  [[nodiscard]] Status take_statement(const LedgerNews& news, const LedgerStatement& statement);
  [[nodiscard]] Status open(const Uuid& uid, std::int32_t partition, std::uint64_t generation);
  [[nodiscard]] Status load_streams(const Uuid& uid, OpenSeries& series);
  [[nodiscard]] Status complete_from_files(const Uuid& uid, const std::string& detector);
  [[nodiscard]] bool still_ours(const OpenSeries& series) const;
  void drop_lost();
  [[nodiscard]] std::string close_reason(const Uuid& uid, const OpenSeries& series) const;
  [[nodiscard]] Status close(const Uuid& uid, OpenSeries& series, const std::string& reason);
  [[nodiscard]] Status seal_and_show(SeriesRow& row, const OpenSeries& series);
  [[nodiscard]] Status write_master_of(SeriesRow& row, const SeriesLedger& ledger,
                                       const std::vector<SealRow>& seals, const OpenSeries& series);

  DeskOptions options_;
  Sealer sealer_;
  DeskSurroundings around_;
  std::map<Uuid, OpenSeries> open_;
  std::set<Uuid> completed_;           // sealed by others, taken over from their files
  LedgerOwnership::Generations read_;  // partitions read to their end, as of which assignment
  bool ready_ = false;
  std::int64_t next_look_ns_ = 0;  // monotonic
  service::LogLimiter troubles_;
};

}  // namespace ff::sink
