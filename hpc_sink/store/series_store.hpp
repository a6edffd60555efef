// SPDX-License-Identifier: Apache-2.0
//
// SeriesStore: everything durable behind one door: data files, catalogue, master files, and the moment at
// which a record is no longer owed to the log.
//
// Data path  decode > [open file > close, fsync, rename > catalogue > verdict] > receipt > commit
// A folder per series; per (stream, partition, epoch) at most one open file. What a killed process leaves is
// either a .part (removed at the next start, read again) or a whole file without its catalogue row (verified
// and adopted at the next start): frames are neither lost nor doubled.
// Store thread only, but for the two counts at the end.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>

#include "common/base/result.hpp"
#include "common/wire/envelope.hpp"
#include "hpc_sink/consume/offset_ledger.hpp"
#include "hpc_sink/consume/patience_clock.hpp"
#include "hpc_sink/decode/done_windows.hpp"
#include "hpc_sink/decode/failed_windows.hpp"
#include "hpc_sink/receipt/receipt_stage.hpp"
#include "hpc_sink/receipt/replay_planner.hpp"
#include "hpc_sink/receipt/settled_windows.hpp"
#include "hpc_sink/seal/ledger_publisher.hpp"
#include "hpc_sink/seal/sealer.hpp"
#include "hpc_sink/sink_metrics.hpp"
#include "hpc_sink/store/catalogue.hpp"
#include "hpc_sink/store/data_file.hpp"
#include "hpc_sink/store/durable_file.hpp"
#include "hpc_sink/store/master_file.hpp"

namespace ff::sink {

struct StoreOptions {
  std::filesystem::path folder;
  std::string sink = "sink";
  std::string destination = "foreframe-sink";  ///< consumer group: for whom the seals speak
  std::filesystem::path seal_key_file;         ///< made where there is none
  Compression compression = Compression::bslz4;
  std::uint64_t file_bytes_max = 1ull << 30;
  std::chrono::nanoseconds file_max_time = std::chrono::seconds(60);
  std::chrono::nanoseconds grace = std::chrono::seconds(5);  ///< after the series' end, for what is late
  std::chrono::nanoseconds replay_timeout = std::chrono::seconds(30);  ///< more, for what was asked for again
  std::chrono::nanoseconds grace_max = std::chrono::minutes(10);     ///< never longer than this after the end
  std::chrono::nanoseconds idle_timeout = std::chrono::minutes(10);  ///< a series without an end
  ReplayOptions replay;
  MasterOptions master;
  OpenLedgerWriter open_ledger;  ///< empty: seals stay in catalogue and files
  StoreStepHook step = [](StoreStep) {};
};

/// What the store shares with the rest of the sink. Must outlive it.
struct StoreShared {
  OffsetLedger& offsets;
  DoneWindows& done;
  SettledWindows& settled;
  FailedWindows& failed;
  ReceiptStage& receipts;
  const PatienceClock& clock;
  SinkMetrics& metrics;
};

/// The start or end of a stream's series, as read.
struct SeriesRecord {
  wire::EnvelopeHeader header;
  Payload payload;
  RecordTicket ticket;
};

/// Records that the log freed before we had read them; the ticket stands for all of them.
struct LostRecords {
  transport::LogGap gap;
  RecordTicket ticket;
};

[[nodiscard]] std::filesystem::path catalogue_path(const std::filesystem::path& store);

class SeriesStore {
 public:
  /// Opens folder and catalogue, removes this sink's .part files and adopts whole files that the catalogue
  /// does not know. Errors: io_error, disk_full, unsupported_version, config_error (the seal key).
  [[nodiscard]] static Result<std::unique_ptr<SeriesStore>> open(StoreOptions options, StoreShared shared);

  /// Puts the record into the catalogue and has its receipt written. Errors: io_error, disk_full.
  [[nodiscard]] Status add(const SeriesRecord& record);
  /// Notes the gap durably. Errors: io_error, disk_full.
  [[nodiscard]] Status add(const LostRecords& lost);
  /// Writes the window's frames; its tickets are kept until the file is durable. After disk_full nothing of
  /// the window was taken: try again later. After any other error the store must be opened anew.
  [[nodiscard]] Status add(FinishedWindow& window);
  /// Closes files that are old enough and series that are over. Call it often. Errors as add().
  [[nodiscard]] Status tick();
  /// Makes durable what is here; for a graceful stop. Errors as add().
  [[nodiscard]] Status finish();

  /// Series not closed, and series met since the store was opened. Any thread.
  [[nodiscard]] std::uint64_t series_open() const noexcept { return series_open_.load(); }
  [[nodiscard]] std::uint64_t series_met() const noexcept { return series_met_.load(); }
  [[nodiscard]] const Catalogue& catalogue() const noexcept { return *catalogue_; }
  [[nodiscard]] const PublicKey& seal_key() const noexcept { return sealer_->key.public_key(); }

 private:
  using FileKey = std::tuple<StreamKey, std::int32_t, std::uint64_t>;  // stream, partition, epoch
  struct OpenFile {
    std::unique_ptr<DataFile> file;
    std::vector<Verdict> verdicts;  // of its windows, to be said once it is durable
    std::uint64_t raw_bytes = 0;
    std::int64_t opened_ns = 0;  // monotonic
  };
  using OpenFiles = std::map<FileKey, OpenFile>;
  struct OpenStream {
    std::uint32_t window_frames = 0;
    bool started = false, ended = false;  // its records have come
    std::uint64_t windows_expected = 0, frames_expected = 0;
    std::uint32_t partition_count = 0, partition_base = 0;
  };
  struct OpenSeries {
    std::string detector;
    std::map<std::uint32_t, OpenStream> streams;
    std::set<std::uint32_t> announced;  // streams that a start record names
    std::int64_t last_activity_ns = 0;  // PatienceClock
    std::int64_t ended_ns = 0;          // PatienceClock, when the latest end was met
  };

  SeriesStore(StoreOptions options, StoreShared shared)
      : options_(std::move(options)), shared_(shared), planner_(options_.replay, reported_) {}

  // recovery
  [[nodiscard]] Status recover();
  [[nodiscard]] Status recover_folder(const std::filesystem::path& folder);
  void adopt(const std::filesystem::path& path, const std::string& name);
  [[nodiscard]] Status take_pixel_crcs(const std::vector<SeriesRow>& series);
  [[nodiscard]] Status load_series(const SeriesRow& row);

  // windows and files
  [[nodiscard]] Status meet(const StreamRow& stream, const std::string& detector);
  [[nodiscard]] Status finish_files_with(const WindowKey& key);
  [[nodiscard]] Status say_again(FinishedWindow& window, Outcome outcome);
  void settle(Verdict verdict);
  [[nodiscard]] Status note_missing(const FinishedWindow& window, Outcome outcome);
  [[nodiscard]] Status store_frames(FinishedWindow& window, std::uint64_t skip, Outcome outcome);
  [[nodiscard]] Result<OpenFiles::iterator> file_for(const FinishedWindow& window);
  [[nodiscard]] Result<DataFileHead> next_head(const FinishedWindow& window) const;
  [[nodiscard]] Status finish_file(OpenFiles::iterator entry);
  [[nodiscard]] Status make_durable(OpenFiles::iterator entry);
  [[nodiscard]] Status publish_file(DataFile& file, std::string& name);
  void abandon_file(OpenFiles::iterator entry);
  void count_frames(const FinishedWindow& window, bool known, std::uint64_t skip);

  // what the log freed
  [[nodiscard]] bool overtaken(const Uuid& series, std::optional<std::int32_t> partition) const;
  [[nodiscard]] bool window_overtaken(const Uuid& series, const OpenStream& stream,
                                      std::uint64_t window) const;
  void blame_retention(FinishedWindow& window) const;
  [[nodiscard]] Status settle_overtaken(const StreamKey& key, const OpenStream& stream);

  // series
  void note_start(OpenSeries& series, const wire::EnvelopeHeader& header);
  void plan_never_seen();
  void plan_records(const Uuid& uid, const OpenSeries& series);
  void load_windows(OpenSeries& series, const StreamKey& stream, const std::vector<WindowFates>& windows);
  void note_end(OpenSeries& series, const wire::EnvelopeHeader& header);
  [[nodiscard]] std::string close_reason(const Uuid& uid, const OpenSeries& series) const;
  [[nodiscard]] Status close_series(const Uuid& uid, const std::string& reason);
  [[nodiscard]] Status write_master_of(SeriesRow& series, const SeriesLedger& ledger,
                                       const std::vector<SealRow>& seals);
  [[nodiscard]] Status seal_and_show(SeriesRow& series);
  void update_counts();

  StoreOptions options_;
  StoreShared shared_;
  std::unique_ptr<Catalogue> catalogue_;
  std::optional<Sealer> sealer_;
  std::optional<LedgerPublisher> publisher_;
  OpenFiles files_;
  std::map<Uuid, OpenSeries> series_;
  std::map<StreamKey, foreframe::wire::StreamGeometry> geometries_;
  DoneWindows reported_;  // windows of open series that have a fate, complete or not
  ReplayPlanner planner_;
  std::vector<LogGapRow> gaps_;  // of the blocks topic
  std::set<Uuid> met_;
  std::atomic<std::uint64_t> series_open_{0}, series_met_{0};
};

}  // namespace ff::sink
