// SPDX-License-Identifier: Apache-2.0
//
// FramePayloads: a recording's frames as a detector would put them on the wire: byte order, array order,
// compression. Prepared when asked for, or all beforehand, so that the send rate is the wire's.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/interop/bslz4.hpp"
#include "tools/recording/recording.hpp"

namespace ff::tools {

struct PayloadOptions {
  kernels::DetectorCompression compression = kernels::DetectorCompression::bslz4;
  bool big_endian = false;
  bool column_major = false;
};

class FramePayloads {
 public:
  /// `reader` must outlive this.
  FramePayloads(FrameReader& reader, const PayloadOptions& options);

  /// Prepares the first `frames` frames of the recording. Errors: too_large (above `bytes_max` compressed).
  [[nodiscard]] Status preload(std::uint64_t frames, std::size_t bytes_max);
  /// Array bytes of a frame; the view lasts until the next call.
  [[nodiscard]] Result<ByteSpan> payload(std::uint64_t frame);

 private:
  [[nodiscard]] Result<std::size_t> prepare(std::uint64_t frame);

  FrameReader& reader_;
  PayloadOptions options_;
  std::vector<std::byte> frame_, reordered_, coded_;
  std::vector<std::vector<std::byte>> preloaded_;
};

/// Any array in the same dress, for masks and flat fields. Errors: those of compress_detector.
[[nodiscard]] Result<std::vector<std::byte>> compress_array(ByteSpan raw, std::size_t element_bytes,
                                                            kernels::DetectorCompression compression);

}  // namespace ff::tools
