// SPDX-License-Identifier: Apache-2.0
//
// Catalogue: what a sink knows of its store, in SQLite: series, streams, files and the fate of every window, both
// what it has made durable itself and, where it seals, what the others have said.
//
// Data path  DataFile > fsync, rename > [Catalogue] > commit; ledger topic; master file and ledger are made from it
// Schema     docs/formats/ledger.md. Version in PRAGMA user_version; another version is refused.
// One per sink of a store: which one tells of a series is store_catalogues.hpp's business.
// Durability: WAL with synchronous = FULL; a call that returned ok survives a power cut.
// One writer (the store thread); readers (`foreframe ledger`) open it read-only at any time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/wire/ledger.pb.h"
#include "hpc_sink/decode/failed_windows.hpp"
#include "hpc_sink/store/data_file.hpp"

struct sqlite3;

namespace ff::sink {

struct SeriesRow {
  Uuid uid;
  std::string detector;
  std::int64_t first_seen_utc_ns = 0;
  std::int64_t closed_utc_ns = 0;  ///< 0: open
  std::string close_reason;
  std::string master;  ///< file name, relative to the store; "" before the first one
};

/// A stream of a series. Empty strings: that record has not come.
struct StreamRow {
  StreamKey key;
  std::uint32_t window_frames = 0;
  foreframe::wire::StreamGeometry geometry{};
  std::string start_header{};   ///< serialised EnvelopeHeader with the SeriesStart of the highest epoch
  std::string start_payload{};  ///< its attachments
  std::string end_header{};     ///< serialised EnvelopeHeader with the SeriesEnd of the highest epoch
};

struct FileRow {
  std::string name;  ///< relative to the store
  StreamKey stream;
  std::int32_t partition = 0;
  std::uint32_t segment = 0;
  std::uint64_t epoch = 0;
  std::uint64_t bytes = 0;
  std::vector<std::int64_t> frame_numbers;  ///< in file order
};

struct SealRow {
  Uuid series;
  std::uint32_t number = 0;  ///< 1, 2, ... per series
  std::string detector;
  foreframe::wire::Seal seal{};
};

/// A record for the ledger topic, written in the transaction that makes its content durable.
struct LedgerNote {
  Uuid series;
  std::string detector;  ///< its hash chooses the partition
  std::string key, value;
};

/// A start or end record of a stream whose series this store may never hold anything of.
struct HeardRecord {
  StreamRow stream;  ///< geometry, W; start or end filled in
  std::string detector;
  std::uint64_t epoch = 0;
  bool is_end = false;
};

/// Records of a topic partition that the log freed before this sink had read them.
struct LogGapRow {
  std::string topic;  ///< "blocks", "series"
  std::int32_t partition = 0;
  std::int64_t first_offset = 0, next_offset = 0;
  std::int64_t noticed_utc_ns = 0;
};

class Catalogue {
 public:
  /// Errors: io_error, disk_full, unsupported_version.
  [[nodiscard]] static Result<std::unique_ptr<Catalogue>> open(const std::filesystem::path& path);
  /// For readers. Errors: not_found, io_error, unsupported_version.
  [[nodiscard]] static Result<std::unique_ptr<Catalogue>> open_read_only(const std::filesystem::path& path);
  /// Folds the write-ahead log into the file. Errors: io_error (somebody else reads it).
  [[nodiscard]] Status fold() { return run("PRAGMA wal_checkpoint(TRUNCATE)"); }
  ~Catalogue();
  Catalogue(const Catalogue&) = delete;
  Catalogue& operator=(const Catalogue&) = delete;

  /// Adds series and stream where they are new; a start or end of a higher or equal epoch replaces an earlier
  /// one.
  [[nodiscard]] Status add_stream(const StreamRow& stream, const std::string& detector,
                                  std::int64_t now_utc_ns);
  [[nodiscard]] Status add_start(const StreamKey& key, const std::string& header, const std::string& payload,
                                 std::uint64_t epoch);
  [[nodiscard]] Status add_end(const StreamKey& key, const std::string& header, std::uint64_t epoch);
  /// One transaction: the file (when `file` is given), the windows' fates, each merged with what is known, and what
  /// the ledger topic is to be told of them.
  [[nodiscard]] Status add_windows(const StreamKey& stream, const std::vector<WindowFates>& windows,
                                   const FileRow* file, const std::vector<LedgerNote>& notes = {});
  /// Errors also: io_error when the series has a seal of this number.
  [[nodiscard]] Status add_seal(const SealRow& seal);
  /// The log has the series' seals up to this one.
  [[nodiscard]] Status set_published(const Uuid& series, std::uint32_t number);
  [[nodiscard]] Status set_open(const Uuid& series);
  /// Time, reason and master in one step, so that a series called closed always has its master in place.
  [[nodiscard]] Status set_closed(const SeriesRow& series);

  // What the ledger topic does not have yet (catalogue_ledger.cpp).
  [[nodiscard]] Status add_notes(const std::vector<LedgerNote>& notes);
  /// Oldest first, those after `after`, at most `most`: each with its number.
  [[nodiscard]] Result<std::vector<std::pair<std::int64_t, LedgerNote>>> notes(std::int64_t after,
                                                                               std::size_t most) const;
  /// The log has them.
  [[nodiscard]] Status drop_notes(const std::vector<std::int64_t>& numbers);
  [[nodiscard]] Result<std::uint64_t> note_count() const;
  /// Until now this catalogue kept no notes: of its open series nothing was said.
  [[nodiscard]] bool never_noted() const noexcept { return never_noted_; }
  /// A seal that the topic has. One of the same number that the topic does not have gives way to it. True: it was new.
  [[nodiscard]] Result<bool> join_seal(const SealRow& seal);
  /// This sink has nothing more to do for the series, whoever seals it; meeting the series again takes it back.
  [[nodiscard]] Status set_left(const Uuid& series, bool left);
  [[nodiscard]] Result<std::set<Uuid>> left_series() const;

  // Series records heard in passing (catalogue_heard.cpp); not durable, they are heard again at each start.
  [[nodiscard]] Status hear(const HeardRecord& record);
  /// What was heard of the series becomes part of the catalogue; call it once the series has a row. Returns it.
  [[nodiscard]] Result<std::vector<HeardRecord>> take_heard(const Uuid& series);

  // What went wrong (catalogue_trouble.cpp).
  [[nodiscard]] Status note_failed(const WindowKey& key, const FailedRead& read);
  [[nodiscard]] Status forget_failed(const WindowKey& key);
  [[nodiscard]] Result<std::map<WindowKey, FailedRead>> failed_windows() const;
  [[nodiscard]] Status add_log_gap(const LogGapRow& gap);
  [[nodiscard]] Result<std::vector<LogGapRow>> log_gaps() const;

  [[nodiscard]] Result<std::vector<SeriesRow>> series() const;
  [[nodiscard]] Result<std::optional<SeriesRow>> find_series(const Uuid& uid) const;
  [[nodiscard]] Result<std::vector<StreamRow>> streams(const Uuid& series) const;
  [[nodiscard]] Result<std::vector<FileRow>> files(const Uuid& series) const;
  /// Ascending. What `visit` returns in error ends it.
  [[nodiscard]] Status for_each_window(const StreamKey& stream,
                                       const std::function<Status(const WindowFates&)>& visit) const;
  [[nodiscard]] Result<std::vector<WindowFates>> windows(const StreamKey& stream) const;
  [[nodiscard]] Result<std::optional<WindowFates>> window(const WindowKey& key) const;
  [[nodiscard]] Result<std::vector<SealRow>> seals(const Uuid& series) const;  ///< by number
  /// In the order in which they were made, and the last of them.
  [[nodiscard]] Result<std::vector<SealRow>> seals_of_detector(const std::string& detector) const;
  [[nodiscard]] Result<std::optional<SealRow>> last_seal_of_detector(const std::string& detector) const;
  [[nodiscard]] Result<std::vector<SealRow>> unpublished_seals() const;
  [[nodiscard]] Result<bool> has_file(const std::string& name) const;
  /// Number of windows known of the stream.
  [[nodiscard]] Result<std::uint64_t> window_count(const StreamKey& stream) const;
  /// It was of version 1: the pixel CRCs of what was there are in the data files only. Add them, then say so.
  [[nodiscard]] bool lacks_pixel_crcs() const noexcept { return lacks_pixel_crcs_; }
  [[nodiscard]] Status has_pixel_crcs();

 private:
  explicit Catalogue(sqlite3* database) noexcept : database_(database) {}
  [[nodiscard]] Status make_trouble_tables();
  [[nodiscard]] Status make_ledger_tables();
  [[nodiscard]] Status make_heard_table();
  [[nodiscard]] Status insert_notes(const std::vector<LedgerNote>& notes);
  [[nodiscard]] Status at_once(const std::function<Status()>& write);
  [[nodiscard]] Status merge_window(const StreamKey& stream, const WindowFates& fates);
  [[nodiscard]] Status insert_file(const FileRow& file);
  [[nodiscard]] Status run(const char* sql) const;

  sqlite3* database_;
  bool lacks_pixel_crcs_ = false;
  bool never_noted_ = false;
};

}  // namespace ff::sink
