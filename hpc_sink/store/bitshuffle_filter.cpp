// SPDX-License-Identifier: Apache-2.0
//
// The filter's callback: one chunk there or back through kernels/interop/bslz4.
#include "hpc_sink/store/bitshuffle_filter.hpp"

#include <cstdlib>
#include <hdf5.h>

#include "hpc_sink/store/hdf5_writer.hpp"
#include "kernels/interop/bslz4.hpp"

namespace ff::sink {
namespace {

constexpr auto kKind = kernels::DetectorCompression::bslz4;
constexpr std::size_t kChunkBytesMax = std::size_t{1} << 30;

// HDF5 owns chunk buffers and frees them with free(): malloc it must be.
std::size_t replace(void** buffer, std::size_t* buffer_bytes, std::byte* fresh, std::size_t room,
                    std::size_t used) {
  std::free(*buffer);
  *buffer = fresh;
  *buffer_bytes = room;
  return used;
}

std::size_t decompress_chunk(std::size_t element_bytes, std::size_t bytes, std::size_t* buffer_bytes,
                             void** buffer) {
  const ByteSpan packed(static_cast<const std::byte*>(*buffer), bytes);
  if (packed.size() < 12) return 0;
  const std::uint64_t raw_bytes = load_be64(packed.data());
  if (raw_bytes == 0 || raw_bytes > kChunkBytesMax) return 0;
  auto* raw = static_cast<std::byte*>(std::malloc(raw_bytes));
  if (raw == nullptr) return 0;
  if (!kernels::decompress_detector(kKind, packed, element_bytes, {raw, raw_bytes}).ok()) {
    std::free(raw);
    return 0;
  }
  return replace(buffer, buffer_bytes, raw, raw_bytes, raw_bytes);
}

std::size_t compress_chunk(std::size_t element_bytes, std::size_t bytes, std::size_t* buffer_bytes,
                           void** buffer) {
  const ByteSpan raw(static_cast<const std::byte*>(*buffer), bytes);
  const std::size_t room = kernels::detector_compressed_bound(kKind, bytes, element_bytes);
  auto* packed = static_cast<std::byte*>(std::malloc(room));
  if (packed == nullptr) return 0;
  const auto written = kernels::compress_detector(kKind, raw, element_bytes, {packed, room});
  if (!written.ok()) {
    std::free(packed);
    return 0;
  }
  return replace(buffer, buffer_bytes, packed, room, *written);
}

std::size_t run_filter(unsigned flags, std::size_t parameter_count, const unsigned* parameters,
                       std::size_t bytes, std::size_t* buffer_bytes, void** buffer) {
  if (parameter_count < 5 || parameters[4] != 2) return 0;
  return (flags & H5Z_FLAG_REVERSE) != 0 ? decompress_chunk(parameters[2], bytes, buffer_bytes, buffer)
                                         : compress_chunk(parameters[2], bytes, buffer_bytes, buffer);
}

}  // namespace

Status register_bitshuffle_filter() {
  static const H5Z_class2_t kClass{H5Z_CLASS_T_VERS,
                                   kBitshuffleFilter,
                                   1,
                                   1,
                                   "bitshuffle; see https://github.com/kiyo-masui/bitshuffle",
                                   nullptr,
                                   nullptr,
                                   run_filter};
  if (H5Zregister(&kClass) < 0) return hdf5_error("registering HDF5 filter 32008");
  return {};
}

}  // namespace ff::sink
