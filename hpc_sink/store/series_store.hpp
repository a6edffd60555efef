// SPDX-License-Identifier: Apache-2.0
//
// SeriesStore: everything durable behind one door: data files, catalogue, master files, and the moment at
// which a record is no longer owed to the log.
//
// Data path  decode > [open file > close, fsync, rename > catalogue > verdict] > receipt > commit
//                                                          catalogue > ledger topic > [sealing desk] > seal, master file
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
#include "hpc_sink/consume/away_watch.hpp"
#include "hpc_sink/consume/offset_ledger.hpp"
#include "hpc_sink/consume/patience_clock.hpp"
#include "hpc_sink/decode/done_windows.hpp"
#include "hpc_sink/decode/failed_windows.hpp"
#include "hpc_sink/receipt/receipt_stage.hpp"
#include "hpc_sink/receipt/replay_planner.hpp"
#include "hpc_sink/receipt/settled_windows.hpp"
#include "hpc_sink/seal/ledger_entries.hpp"
#include "hpc_sink/seal/ledger_feed.hpp"
#include "hpc_sink/seal/ledger_publisher.hpp"
#include "hpc_sink/seal/sealing_desk.hpp"
#include "hpc_sink/sink_metrics.hpp"
#include "hpc_sink/store/catalogue.hpp"
#include "hpc_sink/store/data_file.hpp"
#include "hpc_sink/store/durable_file.hpp"
#include "hpc_sink/store/master_file.hpp"
#include "hpc_sink/store/store_catalogues.hpp"

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
  std::uint64_t note_bytes_max = 256u << 10;  ///< of one statement in the ledger topic
  OpenLedgerWriter open_ledger;               ///< empty: nothing is said, and nothing sealed
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
  const LedgerOwnership& ownership;
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

class SeriesStore {
 public:
  /// Opens folder and catalogue, removes this sink's .part files and adopts whole files that the catalogue
  /// does not know. Errors: io_error, disk_full, unsupported_version, config_error (the seal key).
  [[nodiscard]] static Result<std::unique_ptr<SeriesStore>> open(StoreOptions options, StoreShared shared);

  /// Puts the record into the catalogue and has its receipt written. Errors: io_error, disk_full.
  [[nodiscard]] Status add(const SeriesRecord& record);
  /// What the ledger feed brings. Errors: those of the catalogue.
  [[nodiscard]] Status add(const FeedNews& news);
  /// Notes the gap durably. Errors: io_error, disk_full.
  [[nodiscard]] Status add(const LostRecords& lost);
  /// Writes the window's frames; its tickets are kept until the file is durable. After disk_full nothing of
  /// the window was taken: try again later. After any other error the store must be opened anew.
  [[nodiscard]] Status add(FinishedWindow& window);
  /// Closes files that are old enough and series that are over. Call it often. Errors as add().
  [[nodiscard]] Status tick();
  /// Makes durable what is here; for a graceful stop. Errors as add().
  [[nodiscard]] Status finish();

  /// True when nothing is open here and nothing waits for a seal of this sink. Any thread.
  [[nodiscard]] bool quiet() const noexcept { return quiet_.load(); }
  /// The ledger topic is there. Any thread.
  [[nodiscard]] bool has_ledger() const noexcept { return has_ledger_.load(); }
  /// Series met since the store was opened. Any thread.
  [[nodiscard]] std::uint64_t series_met() const noexcept { return series_met_.load(); }
  [[nodiscard]] const Catalogue& catalogue() const noexcept { return *catalogue_; }
  [[nodiscard]] const PublicKey& seal_key() const noexcept { return desk_->key(); }

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
  [[nodiscard]] Status open_catalogue();
  void open_desk(const SealKey& key);
  [[nodiscard]] Status recover();
  [[nodiscard]] Status recover_folder(const std::filesystem::path& folder);
  [[nodiscard]] Result<bool> may_hold_own_files(const Uuid& series) const;
  void adopt(const std::filesystem::path& path, const std::string& name, bool verify);
  [[nodiscard]] Status say_all_of(const SeriesRow& row);
  [[nodiscard]] Status take_up_files_of_others(const FinishedWindow& window);
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

  // what the ledger topic is told
  [[nodiscard]] LedgerSubject subject_of(const StreamKey& key) const;
  [[nodiscard]] bool is_settled(const StreamKey& key, const WindowFates& window) const;
  [[nodiscard]] Status add_and_tell(const LedgerSubject& subject, const std::vector<WindowFates>& windows,
                                    const FileRow* file);
  [[nodiscard]] Status hear(const SeriesHeard& heard);

  // series
  void note_start(OpenSeries& series, const wire::EnvelopeHeader& header);
  void plan_never_seen();
  void plan_records(const Uuid& uid, const OpenSeries& series);
  void load_windows(OpenSeries& series, const StreamKey& stream, const std::vector<WindowFates>& windows);
  void note_end(OpenSeries& series, const wire::EnvelopeHeader& header);
  [[nodiscard]] bool is_ours(const OpenStream& stream, std::uint64_t window) const;
  [[nodiscard]] std::uint64_t windows_missed(const StreamKey& key, const OpenStream& stream) const;
  [[nodiscard]] bool all_ended(const OpenSeries& series) const;
  [[nodiscard]] bool is_over(const Uuid& uid, const OpenSeries& series) const;
  [[nodiscard]] Status finish_files_of(const Uuid& uid);
  [[nodiscard]] Status finish_due_files();
  [[nodiscard]] Status leave_series(const Uuid& uid);
  [[nodiscard]] Status tick_series();
  [[nodiscard]] Status look_for_quiet();
  void update_counts();

  StoreOptions options_;
  StoreShared shared_;
  std::unique_ptr<Catalogue> catalogue_;
  std::optional<LedgerPublisher> publisher_;
  std::optional<SealingDesk> desk_;
  bool alone_ = true;  // no other sink has a catalogue in this store
  OpenFiles files_;
  std::map<Uuid, OpenSeries> series_;
  std::map<StreamKey, foreframe::wire::StreamGeometry> geometries_;
  DoneWindows reported_;  // windows of open series that have a fate, complete or not
  ReplayPlanner planner_;
  std::vector<LogGapRow> gaps_;  // of the blocks topic
  std::set<Uuid> met_;
  std::set<Uuid> left_;  // done here and not sealed yet
  std::map<std::pair<StreamKey, std::int32_t>, std::uint64_t>
      looked_;                     // for files of others: as of which assignment
  std::int64_t next_look_ns_ = 0;  // monotonic
  AwayWatch away_;
  std::atomic<bool> quiet_{false}, has_ledger_{false};
  std::atomic<std::uint64_t> series_met_{0};
};

}  // namespace ff::sink
