// SPDX-License-Identifier: Apache-2.0
//
// Catalogue: what the store holds, in SQLite: series, streams, files and the fate of every window.
//
// Data path  DataFile > fsync, rename > [Catalogue] > commit; master file and ledger are made from it
// Schema     docs/formats/ledger.md. Version in PRAGMA user_version; another version is refused.
// Durability: WAL with synchronous = FULL; a call that returned ok survives a power cut.
// One writer (the store thread); readers (`foreframe ledger`) open it read-only at any time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
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
  /// One transaction: the file (when `file` is given) and the windows' fates, each merged with what is known.
  [[nodiscard]] Status add_windows(const StreamKey& stream, const std::vector<WindowFates>& windows,
                                   const FileRow* file);
  /// Errors also: io_error when the series has a seal of this number.
  [[nodiscard]] Status add_seal(const SealRow& seal);
  /// The log has the series' seals up to this one.
  [[nodiscard]] Status set_published(const Uuid& series, std::uint32_t number);
  [[nodiscard]] Status set_open(const Uuid& series);
  /// Time, reason and master in one step, so that a series called closed always has its master in place.
  [[nodiscard]] Status set_closed(const SeriesRow& series);

  // What went wrong (catalogue_trouble.cpp).
  [[nodiscard]] Status note_failed(const WindowKey& key, const FailedRead& read);
  [[nodiscard]] Status forget_failed(const WindowKey& key);
  [[nodiscard]] Result<std::map<WindowKey, FailedRead>> failed_windows() const;
  [[nodiscard]] Status add_log_gap(const LogGapRow& gap);
  [[nodiscard]] Result<std::vector<LogGapRow>> log_gaps() const;

  [[nodiscard]] Result<std::vector<SeriesRow>> series() const;
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
  [[nodiscard]] Status merge_window(const StreamKey& stream, const WindowFates& fates);
  [[nodiscard]] Status insert_file(const FileRow& file);
  [[nodiscard]] Status run(const char* sql) const;

  sqlite3* database_;
  bool lacks_pixel_crcs_ = false;
};

}  // namespace ff::sink
