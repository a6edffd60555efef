// SPDX-License-Identifier: Apache-2.0
//
// Frames as array bytes.
#include "tools/replay/frame_payloads.hpp"

#include <algorithm>
#include <cstring>

#include "common/base/units.hpp"

namespace ff::tools {

namespace {

void swap_bytes(MutableByteSpan pixels, std::size_t pixel_bytes) {
  if (pixel_bytes == 1) return;
  for (std::size_t at = 0; at < pixels.size(); at += pixel_bytes) {
    std::reverse(pixels.begin() + static_cast<std::ptrdiff_t>(at),
                 pixels.begin() + static_cast<std::ptrdiff_t>(at + pixel_bytes));
  }
}

void transpose(const FrameShape& shape, ByteSpan in, MutableByteSpan out) {
  const std::size_t bytes = dtype_bytes(shape.dtype);
  for (std::size_t row = 0; row < shape.rows; ++row) {
    for (std::size_t col = 0; col < shape.cols; ++col) {
      std::memcpy(out.data() + (col * shape.rows + row) * bytes, in.data() + (row * shape.cols + col) * bytes,
                  bytes);
    }
  }
}

}  // namespace

FramePayloads::FramePayloads(FrameReader& reader, const PayloadOptions& options)
    : reader_(reader), options_(options) {
  const FrameShape& shape = reader.info().shape;
  frame_.resize(shape.bytes());
  if (options.column_major) reordered_.resize(shape.bytes());
  if (options.compression != kernels::DetectorCompression::none) {
    coded_.resize(
        kernels::detector_compressed_bound(options.compression, shape.bytes(), dtype_bytes(shape.dtype)));
  }
}

Result<std::size_t> FramePayloads::prepare(std::uint64_t frame) {
  const FrameShape& shape = reader_.info().shape;
  FF_TRY(reader_.read(frame, frame_));
  if (options_.column_major) {
    transpose(shape, frame_, reordered_);
    frame_.swap(reordered_);
  }
  if (options_.big_endian) swap_bytes(frame_, dtype_bytes(shape.dtype));
  if (options_.compression == kernels::DetectorCompression::none) return frame_.size();
  return kernels::compress_detector(options_.compression, frame_, dtype_bytes(shape.dtype), coded_);
}

Result<ByteSpan> FramePayloads::payload(std::uint64_t frame) {
  if (frame < preloaded_.size()) return ByteSpan(preloaded_[frame]);
  FF_ASSIGN(const std::size_t bytes, prepare(frame));
  return ByteSpan(options_.compression == kernels::DetectorCompression::none ? frame_ : coded_).first(bytes);
}

Status FramePayloads::preload(std::uint64_t frames, std::size_t bytes_max) {
  std::size_t total = 0;
  std::vector<std::vector<std::byte>> ready;
  for (std::uint64_t frame = 0; frame < std::min(frames, reader_.info().frames); ++frame) {
    FF_ASSIGN(const ByteSpan bytes, payload(frame));
    total += bytes.size();
    if (total > bytes_max) {
      return fail(Errc::too_large, "--preload: " + std::to_string(frame + 1) +
                                       " frames already take more than " + format_size(bytes_max) +
                                       "; replay fewer frames, or without --preload");
    }
    ready.emplace_back(bytes.begin(), bytes.end());
  }
  preloaded_ = std::move(ready);
  return {};
}

Result<std::vector<std::byte>> compress_array(ByteSpan raw, std::size_t element_bytes,
                                              kernels::DetectorCompression compression) {
  if (compression == kernels::DetectorCompression::none)
    return std::vector<std::byte>(raw.begin(), raw.end());
  std::vector<std::byte> coded(kernels::detector_compressed_bound(compression, raw.size(), element_bytes));
  FF_ASSIGN(const std::size_t bytes, kernels::compress_detector(compression, raw, element_bytes, coded));
  coded.resize(bytes);
  return coded;
}

}  // namespace ff::tools
