// SPDX-License-Identifier: Apache-2.0
//
// DataFile: one HDF5 file with whole windows of one stream; a chunk is a frame, written as it was compressed.
//
// Data path  decode > [DataFile] > fsync, rename > catalogue > commit
// Format     docs/formats/files.md. Everything that the catalogue needs is in the file too, so that a file
//            whose rename came through but whose catalogue row did not is adopted at the next start.
// Memory     pixels go straight to HDF5; 50 bytes a frame and 2 a grid position are kept until close().
// Store thread only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "hpc_sink/decode/finished_window.hpp"
#include "hpc_sink/store/frame_chunk.hpp"
#include "hpc_sink/store/hdf5_writer.hpp"
#include "hpc_sink/store/window_fates.hpp"

namespace ff::sink {

inline constexpr std::uint64_t kDataFileFramesMax = 1'000'000;
inline constexpr std::uint64_t kDataFileLayout = 1;

/// What all windows of a file have in common; stored as attributes of /entry/foreframe.
struct DataFileHead {
  StreamKey stream;
  std::string detector;
  std::int32_t partition = 0;
  std::uint32_t segment = 0;
  std::uint64_t epoch = 0;
  std::uint32_t window_frames = 0;
  foreframe::wire::StreamGeometry geometry;
  Compression compression = Compression::bslz4;
  std::string sink{};  ///< that wrote it; "" in files of versions with one sink per store
};

/// What the window's frames but those in `skip` (bits of positions) add to what is known of it. Of the skipped ones,
/// which another file has, it says nothing: that file may not be durable yet.
[[nodiscard]] WindowFates fates_of(const FinishedWindow& window, std::uint64_t skip);

/// What a file holds, without the pixels.
struct DataFileIndex {
  std::vector<std::int64_t> frame_numbers;  ///< in file order
  std::vector<std::uint32_t> pixel_crcs;
  std::vector<WindowFates> windows;
};

class DataFile {
 public:
  /// Makes the file at `path` (over an old one). Errors: io_error, disk_full.
  [[nodiscard]] static Result<std::unique_ptr<DataFile>> create(const std::filesystem::path& path,
                                                                DataFileHead head);
  ~DataFile();
  DataFile(const DataFile&) = delete;
  DataFile& operator=(const DataFile&) = delete;

  /// Writes the window's frames but those in `skip` (bits of positions that another file has). When it
  /// returns disk_full with `intact()` still true, nothing was written, and close() will succeed. Errors:
  /// shape_mismatch (another stream's window), disk_full, io_error.
  [[nodiscard]] Status append(const FinishedWindow& window, std::uint64_t skip);
  /// Writes the tables and closes; the file is complete but not yet synced. Errors: io_error, disk_full.
  [[nodiscard]] Status close();
  /// Gives up: frees the disk at once and removes the file.
  void abandon() noexcept;

  [[nodiscard]] bool intact() const noexcept { return intact_; }
  [[nodiscard]] const DataFileHead& head() const noexcept { return head_; }
  [[nodiscard]] const DataFileIndex& index() const noexcept { return index_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return chunk_bytes_; }
  [[nodiscard]] std::uint64_t frames() const noexcept { return index_.frame_numbers.size(); }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  struct FrameTables {
    std::vector<std::int64_t> detector_ns, received_utc_ns, received_monotonic_ns;
    std::vector<std::uint8_t> state;
    std::string user_data;
    std::vector<std::uint64_t> user_data_end;
  };

  DataFile(std::filesystem::path path, DataFileHead head);
  [[nodiscard]] Status open();
  [[nodiscard]] Status make_pixel_dataset();
  [[nodiscard]] Status reserve(std::uint64_t more_bytes);
  [[nodiscard]] Status write_frame(const DecodedFrame& frame, hsize_t row);
  void note_frame(const FinishedWindow& window, const DecodedFrame& frame);
  void write_tables(Hdf5Writer& writer);
  void write_head(Hdf5Writer& writer, hid_t group);
  void write_window_tables(Hdf5Writer& writer, hid_t group);

  std::filesystem::path path_;
  DataFileHead head_;
  Hdf5Id file_, pixels_;
  DataFileIndex index_;
  FrameTables tables_;
  std::string boot_id_;
  foreframe::wire::HostClock clock_;
  std::set<std::string> bounds_;  // of the windows so far
  std::uint64_t chunk_bytes_ = 0;
  std::uint64_t text_bytes_ = 0;  // of user data and facts, written at the end
  std::uint64_t reserved_bytes_ = 0;
  bool intact_ = true;
  bool closed_ = false;
};

/// Reads back head and index of a finished file; `verify` reads every pixel too and compares its CRC.
/// Errors: io_error, malformed (not a data file, or tables that contradict each other), unsupported_version,
/// crc_mismatch.
struct ReadDataFile {
  DataFileHead head;
  DataFileIndex index;
};
[[nodiscard]] Result<ReadDataFile> read_data_file(const std::filesystem::path& path, bool verify);
/// The times of one row. Errors: io_error, malformed.
[[nodiscard]] Result<FrameTimes> read_frame_times(const std::filesystem::path& path, std::uint64_t row);

}  // namespace ff::sink
