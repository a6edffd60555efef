// SPDX-License-Identifier: Apache-2.0
//
// FrameChunkEncoder: bitshuffle+LZ4, shuffle+deflate, or the pixels as they are.
#include "hpc_sink/store/frame_chunk.hpp"

#include <array>
#include <string>
#include <zlib.h>

#include "kernels/interop/bslz4.hpp"

namespace ff::sink {
namespace {

constexpr std::array<std::string_view, 3> kNames{"none", "deflate", "bslz4"};

std::size_t compress_bslz4(ByteSpan pixels, std::size_t element_bytes, std::vector<std::byte>& out) {
  constexpr auto kKind = kernels::DetectorCompression::bslz4;
  out.resize(kernels::detector_compressed_bound(kKind, pixels.size(), element_bytes));
  const auto written = kernels::compress_detector(kKind, pixels, element_bytes, out);
  return written.ok() ? *written : 0;
}

// HDF5's own shuffle filter: all first bytes of the elements, then all second bytes ...
std::vector<std::byte> shuffle_bytes(ByteSpan pixels, std::size_t element_bytes) {
  std::vector<std::byte> shuffled(pixels.size());
  const std::size_t elements = pixels.size() / element_bytes;
  for (std::size_t byte = 0; byte < element_bytes; ++byte)
    for (std::size_t i = 0; i < elements; ++i)
      shuffled[byte * elements + i] = pixels[i * element_bytes + byte];
  return shuffled;
}

std::size_t compress_deflate(ByteSpan pixels, std::size_t element_bytes, std::vector<std::byte>& out) {
  const std::vector<std::byte> shuffled = shuffle_bytes(pixels, element_bytes);
  uLongf written = compressBound(shuffled.size());
  out.resize(written);
  const int rc = compress2(reinterpret_cast<Bytef*>(out.data()), &written,
                           reinterpret_cast<const Bytef*>(shuffled.data()), shuffled.size(), kDeflateLevel);
  return rc == Z_OK ? written : 0;
}

}  // namespace

std::string_view to_string(Compression compression) noexcept {
  return kNames[static_cast<std::size_t>(compression)];
}

Result<Compression> parse_compression(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<Compression>(i);
  return fail(Errc::invalid_argument,
              "unknown compression '" + std::string(name) + "'; known are bslz4, deflate, none");
}

FrameChunk FrameChunkEncoder::encode(std::vector<std::byte> pixels, std::size_t element_bytes) const {
  std::vector<std::byte> compressed;
  std::size_t written = 0;
  if (compression_ == Compression::bslz4) written = compress_bslz4(pixels, element_bytes, compressed);
  if (compression_ == Compression::deflate) written = compress_deflate(pixels, element_bytes, compressed);
  if (written == 0 || written >= pixels.size()) return {std::move(pixels), false};
  return {{compressed.begin(), compressed.begin() + static_cast<std::ptrdiff_t>(written)}, true};
}

}  // namespace ff::sink
