// SPDX-License-Identifier: Apache-2.0
//
// Unpacking of a detector's pixels.
#include "agent/ingest/pixel_unpack.hpp"

#include <cstring>

namespace ff::agent {
namespace {

Status expand(const ChannelPixels& pixels, MutableByteSpan out) {
  if (pixels.compression != kernels::DetectorCompression::none)
    return kernels::decompress_detector(pixels.compression, pixels.bytes, pixels.compressor_element_bytes,
                                        out);
  if (pixels.bytes.size() != out.size())
    return fail(Errc::shape_mismatch, "frame has " + std::to_string(pixels.bytes.size()) +
                                          " bytes, its shape needs " + std::to_string(out.size()));
  std::memcpy(out.data(), pixels.bytes.data(), out.size());
  return {};
}

void swap_bytes(MutableByteSpan bytes, std::size_t element_bytes) noexcept {
  std::byte* const end = bytes.data() + bytes.size();
  if (element_bytes == 2)
    for (std::byte* at = bytes.data(); at < end; at += 2) store_le(at, load_be16(at));
  if (element_bytes == 4)
    for (std::byte* at = bytes.data(); at < end; at += 4) store_le(at, load_be32(at));
}

/// Column-major (cols runs of rows elements) to row-major.
template <typename Element>
void transpose(const std::byte* columns, const FrameShape& shape, std::byte* rows) noexcept {
  for (std::size_t row = 0; row < shape.rows; ++row)
    for (std::size_t col = 0; col < shape.cols; ++col)
      std::memcpy(rows + (row * shape.cols + col) * sizeof(Element),
                  columns + (col * shape.rows + row) * sizeof(Element), sizeof(Element));
}

Status expand_columns(const ChannelPixels& pixels, MutableByteSpan out) {
  std::vector<std::byte> columns(out.size());
  FF_TRY(expand(pixels, columns));
  switch (dtype_bytes(pixels.shape.dtype)) {
    case 1: transpose<std::uint8_t>(columns.data(), pixels.shape, out.data()); break;
    case 2: transpose<std::uint16_t>(columns.data(), pixels.shape, out.data()); break;
    default: transpose<std::uint32_t>(columns.data(), pixels.shape, out.data()); break;
  }
  return {};
}

}  // namespace

Status unpack_pixels(const ChannelPixels& pixels, MutableByteSpan out) {
  if (out.size() != pixels.shape.bytes())
    return fail(Errc::shape_mismatch, "slot of " + std::to_string(out.size()) + " bytes for a frame of " +
                                          std::to_string(pixels.shape.bytes()));
  FF_TRY(pixels.column_major ? expand_columns(pixels, out) : expand(pixels, out));
  if (pixels.big_endian) swap_bytes(out, dtype_bytes(pixels.shape.dtype));
  return {};
}

}  // namespace ff::agent
