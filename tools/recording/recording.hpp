// SPDX-License-Identifier: Apache-2.0
//
// Recording: frames of one detector, from a file or from the simulator, read one at a time.
//
// Sources    NAME.json or the NAME.raw[.zst] beside it      raw pixels, described by JSON
//            FILE.h5:/path/to/dataset                       HDF5, [frames, rows, cols]
//            FILE.tif                                       TIFF stack, one page a frame
//            FILE.ffs                                       archive (tools/archive/), the whole of it
//            sim:PRESET[,key=value ...]                     built-in simulator (tools/simulator/)
// Memory     one frame, or one HDF5 chunk; never the whole recording.
// Not here   writing (recording_writer.hpp), sending (tools/replay/).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/base/frame_view.hpp"
#include "common/base/result.hpp"

namespace ff::tools {

inline constexpr std::uint32_t kRecordingRowsMax = 65536;           ///< also of columns
inline constexpr std::size_t kRecordingFrameBytesMax = 1ull << 30;  ///< as on the wire

/// Bits of a pixel mask, as DECTRIS and NXmx number them; 0: a good pixel.
enum PixelMaskBit : std::uint32_t { kPixelGap = 1, kPixelDead = 2, kPixelHot = 8, kPixelNoisy = 16 };

struct RecordingInfo {
  std::string source;                   ///< as the user named it
  std::string hdf5_file, hdf5_dataset;  ///< where it is HDF5
  std::string description;              ///< what it shows, where the recording says so
  std::string detector_mode;            ///< "photon-counting", "integrating" ..., where the recording says so
  FrameShape shape;
  std::uint64_t frames = 0;
  std::optional<double> frame_time_s;            ///< between the starts of two frames
  std::vector<std::int64_t> sentinels;           ///< declared values that are no intensities; at most 8
  std::vector<std::uint32_t> pixel_mask;         ///< rows × cols of PixelMaskBit; empty: not known
  std::optional<double> entropy_bits_per_pixel;  ///< true entropy of the source, where it is simulated
};

class FrameReader {
 public:
  virtual ~FrameReader() = default;
  [[nodiscard]] const RecordingInfo& info() const noexcept { return info_; }

  /// Reads frame `index` (0 ... frames - 1) into exactly shape.bytes() bytes, little-endian, row-major.
  /// Ascending order is fast; going back in a compressed file starts again at its beginning.
  /// Errors: out_of_range, io_error, truncated, malformed, unsupported_feature (an HDF5 filter).
  [[nodiscard]] virtual Status read(std::uint64_t index, MutableByteSpan pixels) = 0;

  /// Whether read() may be called from several threads at once; then order costs nothing.
  [[nodiscard]] virtual bool reads_side_by_side() const noexcept { return false; }

  /// What the reader keeps in memory, at most, beside the caller's pixels: for the bound of a whole command.
  [[nodiscard]] virtual std::uint64_t memory_bytes() const noexcept;

 protected:
  explicit FrameReader(RecordingInfo info) : info_(std::move(info)) {}
  [[nodiscard]] Status check_read(std::uint64_t index, MutableByteSpan pixels) const;

  RecordingInfo info_;
};

using FrameReaderPtr = std::unique_ptr<FrameReader>;

/// Opens any source of the list above.
/// Errors: not_found, io_error, malformed, dtype_unsupported, invalid_argument; the message names the file,
/// what is wrong with it and what to do.
[[nodiscard]] Result<FrameReaderPtr> open_recording(const std::string& source);

/// The bodies, one file each.
[[nodiscard]] Result<FrameReaderPtr> open_raw_recording(const std::string& path);
[[nodiscard]] Result<FrameReaderPtr> open_hdf5_recording(const std::string& path, const std::string& dataset);
[[nodiscard]] Result<FrameReaderPtr> open_tiff_recording(const std::string& path);

/// 1 ... 65536 rows and columns, at most 1 GiB a frame, at least one frame. Errors: malformed, too_large.
[[nodiscard]] Status check_recording_shape(const std::string& source, const FrameShape& shape,
                                           std::uint64_t frames);

/// The values that detectors of this dtype use for pixels without data: the largest value of an unsigned
/// type, -1 (gap) and -2 (bad pixel) of a signed one.
[[nodiscard]] std::vector<std::int64_t> conventional_sentinels(Dtype dtype);

/// "65535" or "-1,-2"; "none" for none. Errors: invalid_argument.
[[nodiscard]] Result<std::vector<std::int64_t>> parse_sentinels(const std::string& text);

}  // namespace ff::tools
