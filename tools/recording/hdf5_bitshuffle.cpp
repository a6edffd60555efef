// SPDX-License-Identifier: Apache-2.0
//
// HDF5 filter 32008 over kernels/interop/bslz4.
#include "tools/recording/hdf5_bitshuffle.hpp"

#include <cstdlib>
#include <hdf5.h>
#include <string>

#include "hpc_sink/filter/hdf5_filter.hpp"
#include "kernels/interop/bslz4.hpp"

namespace ff::tools {

namespace {

constexpr unsigned kLz4 = 2;                        // cd_values[4] of the bitshuffle filter
constexpr std::size_t kChunkBytesMax = 4ull << 30;  // HDF5's own limit for a chunk
constexpr std::size_t kLz4RatioMax = 256;           // LZ4 never expands more than 255 times

/// Swaps HDF5's buffer for a new one; the library frees what it gets with the C allocator.
std::size_t replace_buffer(void** buffer, std::size_t* room, void* fresh, std::size_t bytes) noexcept {
  std::free(*buffer);
  *buffer = fresh;
  *room = bytes;
  return bytes;
}

std::size_t decode(const unsigned values[], std::size_t bytes, std::size_t* room, void** buffer) {
  const ByteSpan coded(static_cast<const std::byte*>(*buffer), bytes);
  if (bytes < 12) return 0;
  const std::uint64_t raw_bytes = load_be64(coded.data());
  if (raw_bytes == 0 || raw_bytes > kChunkBytesMax || raw_bytes / kLz4RatioMax > bytes) return 0;
  void* raw = std::malloc(raw_bytes);
  if (raw == nullptr) return 0;
  const MutableByteSpan out(static_cast<std::byte*>(raw), raw_bytes);
  if (!kernels::decompress_detector(kernels::DetectorCompression::bslz4, coded, values[2], out).ok()) {
    std::free(raw);
    return 0;
  }
  return replace_buffer(buffer, room, raw, raw_bytes);
}

std::size_t encode(const unsigned values[], std::size_t bytes, std::size_t* room, void** buffer) {
  const ByteSpan raw(static_cast<const std::byte*>(*buffer), bytes);
  const std::size_t bound =
      kernels::detector_compressed_bound(kernels::DetectorCompression::bslz4, bytes, values[2]);
  void* coded = std::malloc(bound);
  if (coded == nullptr) return 0;
  const auto written = kernels::compress_detector(kernels::DetectorCompression::bslz4, raw, values[2],
                                                  MutableByteSpan(static_cast<std::byte*>(coded), bound));
  if (!written.ok()) {
    std::free(coded);
    return 0;
  }
  replace_buffer(buffer, room, coded, bound);
  return written.value();
}

/// HDF5's callback: 0 means failure; it may not throw through the C library.
std::size_t filter(unsigned flags, std::size_t value_count, const unsigned values[], std::size_t bytes,
                   std::size_t* room, void** buffer) noexcept {
  if (value_count < 5 || values[4] != kLz4) return 0;
  if (values[2] != 1 && values[2] != 2 && values[2] != 4) return 0;
  try {
    return (flags & H5Z_FLAG_REVERSE) != 0 ? decode(values, bytes, room, buffer)
                                           : encode(values, bytes, room, buffer);
  } catch (...) {
    return 0;
  }
}

}  // namespace

Status ensure_bitshuffle_filter() {
  if (H5Zfilter_avail(kBitshuffleFilter) > 0) return {};
  static const H5Z_class2_t kClass = {H5Z_CLASS_T_VERS,
                                      kBitshuffleFilter,
                                      1,
                                      1,
                                      "bitshuffle; see https://github.com/kiyo-masui/bitshuffle",
                                      nullptr,
                                      nullptr,
                                      &filter};
  if (H5Zregister(&kClass) < 0)
    return fail(Errc::io_error, "the HDF5 library refused filter 32008 (bitshuffle)");
  return {};
}

Status ensure_foreframe_filter() {
  if (H5Zregister(&sink::filter_class()) < 0)
    return fail(Errc::io_error, "the HDF5 library refused filter " + std::to_string(sink::kForeframeFilter));
  return {};
}

BitshuffleParameters bitshuffle_parameters(Dtype dtype) noexcept {
  return {{0, 4, static_cast<unsigned>(dtype_bytes(dtype)), 0, kLz4}};
}

}  // namespace ff::tools
