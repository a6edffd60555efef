// SPDX-License-Identifier: Apache-2.0
//
// RecordingWriter: writes frames in order into a recording that open_recording() and everybody else can read.
//
// Targets    NAME.json (with NAME.<dtype>.raw beside it), NAME.raw or NAME.raw.zst (with NAME.json beside it)
//            NAME.h5[:/path]  one frame a chunk, bitshuffle + LZ4 (filter 32008), as DECTRIS files
// Nothing appears under its final name before finish() has succeeded.
#pragma once

#include <memory>
#include <string>

#include "tools/recording/recording.hpp"

namespace ff {
class TaskPool;
}

namespace ff::tools {

class RecordingWriter {
 public:
  virtual ~RecordingWriter() = default;
  /// The next frame, exactly info.shape.bytes(). Errors: io_error, disk_full, shape_mismatch.
  [[nodiscard]] virtual Status write(ByteSpan pixels) = 0;

  /// Whether frames have their places in the output beforehand: then write_at may be called in place of write.
  [[nodiscard]] virtual bool has_places() const noexcept { return false; }
  /// Consecutive frames, the first of them `index`. From any number of threads at once; every frame once.
  /// Errors: io_error, disk_full, out_of_range.
  [[nodiscard]] virtual Status write_at(std::uint64_t index, ByteSpan frames);
  /// Completes, makes durable and publishes. Errors: those of write, truncated (fewer frames than announced).
  [[nodiscard]] virtual Status finish() = 0;
};

using RecordingWriterPtr = std::unique_ptr<RecordingWriter>;

/// `info` says shape, frame count, sentinels, mask and frame time; `force` overwrites. Where frames are compressed
/// one by one (HDF5), `pool` does it on its threads, and must outlive the writer; null: in this thread.
/// Errors: already_exists, not_found (folder), io_error, invalid_argument (unknown ending).
[[nodiscard]] Result<RecordingWriterPtr> create_recording(const std::string& target,
                                                          const RecordingInfo& info, bool force,
                                                          TaskPool* pool = nullptr);
/// Whole frames that the writer keeps, for the bound of a whole command.
[[nodiscard]] std::uint32_t frames_in_writer(std::uint32_t threads) noexcept;

[[nodiscard]] Result<RecordingWriterPtr> create_raw_recording(const std::string& target,
                                                              const RecordingInfo& info, bool force);
[[nodiscard]] Result<RecordingWriterPtr> create_hdf5_recording(const std::string& path,
                                                               const std::string& dataset,
                                                               const RecordingInfo& info, bool force,
                                                               TaskPool* pool = nullptr);

}  // namespace ff::tools
