// SPDX-License-Identifier: Apache-2.0
//
// bslz4 and lz4 framing around liblz4; block sizes as the bitshuffle library and DECTRIS choose them.
#include "kernels/interop/bslz4.hpp"

#include <algorithm>
#include <cstring>
#include <lz4.h>
#include <string>
#include <vector>

namespace ff::kernels {
namespace {

constexpr std::size_t kFrameHeaderBytes = 12;   // u64 raw bytes, u32 block bytes, both big-endian
constexpr std::size_t kBlockPrefixBytes = 4;    // u32 compressed bytes, big-endian
constexpr std::size_t kBslz4BlockBytes = 8192;  // bitshuffle's default
constexpr std::size_t kLz4BlockBytes = std::size_t{1} << 30;
constexpr std::size_t kBlockBytesMax = std::size_t{1} << 30;

std::size_t default_block_bytes(DetectorCompression kind, std::size_t raw_bytes) noexcept {
  if (kind == DetectorCompression::bslz4) return kBslz4BlockBytes;
  return std::clamp<std::size_t>(raw_bytes, 1, kLz4BlockBytes);
}

// bslz4 compresses whole groups of 8 elements only; lz4 compresses everything.
std::size_t compressible_bytes(DetectorCompression kind, std::size_t raw_bytes,
                               std::size_t element_bytes) noexcept {
  const std::size_t unit = kind == DetectorCompression::bslz4 ? 8 * element_bytes : 1;
  return raw_bytes / unit * unit;
}

bool supported_element(std::size_t bytes) noexcept { return bytes == 1 || bytes == 2 || bytes == 4; }

// Writes one block behind its length and returns the bytes used.
std::size_t compress_one(DetectorCompression kind, ByteSpan raw, std::size_t element_bytes,
                         std::vector<std::byte>& planes, std::byte* out, std::size_t capacity) noexcept {
  const std::byte* source = raw.data();
  if (kind == DetectorCompression::bslz4) {
    bitshuffle(raw, element_bytes, MutableByteSpan(planes).first(raw.size()));
    source = planes.data();
  }
  const int written = LZ4_compress_default(reinterpret_cast<const char*>(source),
                                           reinterpret_cast<char*>(out + kBlockPrefixBytes),
                                           static_cast<int>(raw.size()), static_cast<int>(capacity));
  std::size_t bytes = static_cast<std::size_t>(written);
  // The HDF5 lz4 filter marks a block kept as it is by a length equal to the block's.
  if (kind == DetectorCompression::lz4 && bytes >= raw.size()) {
    std::memcpy(out + kBlockPrefixBytes, raw.data(), raw.size());
    bytes = raw.size();
  }
  store_be32(out, static_cast<std::uint32_t>(bytes));
  return kBlockPrefixBytes + bytes;
}

Status decompress_one(DetectorCompression kind, ByteSpan data, std::size_t element_bytes,
                      std::vector<std::byte>& planes, MutableByteSpan raw) {
  if (kind == DetectorCompression::lz4 && data.size() == raw.size()) {
    std::memcpy(raw.data(), data.data(), raw.size());
    return {};
  }
  std::byte* target = kind == DetectorCompression::bslz4 ? planes.data() : raw.data();
  const int bytes =
      LZ4_decompress_safe(reinterpret_cast<const char*>(data.data()), reinterpret_cast<char*>(target),
                          static_cast<int>(data.size()), static_cast<int>(raw.size()));
  if (bytes < 0 || static_cast<std::size_t>(bytes) != raw.size()) {
    return fail(Errc::malformed, "detector data: an LZ4 block does not decode to its " +
                                     std::to_string(raw.size()) + " bytes");
  }
  if (kind == DetectorCompression::bslz4)
    bitunshuffle(ByteSpan(planes).first(raw.size()), element_bytes, raw);
  return {};
}

struct FrameHeader {
  std::size_t block_bytes = 0;
};

Result<FrameHeader> parse_frame_header(DetectorCompression kind, ByteSpan data, std::size_t element_bytes,
                                       std::size_t raw_bytes) {
  if (data.size() < kFrameHeaderBytes) {
    return fail(Errc::truncated,
                "detector data: " + std::to_string(data.size()) + " bytes, its header takes 12");
  }
  const std::uint64_t declared = load_be64(data.data());
  if (declared != raw_bytes) {
    return fail(Errc::shape_mismatch, "detector data: declares " + std::to_string(declared) +
                                          " bytes, the frame has " + std::to_string(raw_bytes));
  }
  std::size_t block_bytes = load_be32(data.data() + 8);
  if (block_bytes == 0 && kind == DetectorCompression::bslz4) block_bytes = kBslz4BlockBytes;
  const std::size_t unit = kind == DetectorCompression::bslz4 ? 8 * element_bytes : 1;
  if (block_bytes == 0 || block_bytes % unit != 0 || block_bytes > kBlockBytesMax) {
    return fail(Errc::malformed,
                "detector data: block size " + std::to_string(block_bytes) + " is not possible");
  }
  return FrameHeader{block_bytes};
}

}  // namespace

Result<DetectorCompression> parse_detector_compression(std::string_view name) {
  if (name.empty() || name == "none") return DetectorCompression::none;
  if (name == "lz4") return DetectorCompression::lz4;
  if (name == "bslz4") return DetectorCompression::bslz4;
  return fail(Errc::invalid_argument,
              "unknown detector compression '" + std::string(name) + "'; known are none, lz4, bslz4");
}

std::size_t detector_compressed_bound(DetectorCompression kind, std::size_t raw_bytes,
                                      std::size_t element_bytes) noexcept {
  if (kind == DetectorCompression::none) return raw_bytes;
  const std::size_t block = default_block_bytes(kind, raw_bytes);
  const std::size_t blocks = raw_bytes / block + 1;
  return kFrameHeaderBytes + raw_bytes + raw_bytes / 255 + blocks * (kBlockPrefixBytes + 16) +
         8 * element_bytes;
}

Result<std::size_t> compress_detector(DetectorCompression kind, ByteSpan raw, std::size_t element_bytes,
                                      MutableByteSpan out) {
  if (!supported_element(element_bytes)) {
    return fail(Errc::invalid_argument,
                "detector data: elements of " + std::to_string(element_bytes) + " bytes");
  }
  if (out.size() < detector_compressed_bound(kind, raw.size(), element_bytes)) {
    return fail(Errc::buffer_too_small, "detector data: output smaller than detector_compressed_bound");
  }
  if (kind == DetectorCompression::none) {
    std::ranges::copy(raw, out.begin());
    return raw.size();
  }
  const std::size_t block_bytes = default_block_bytes(kind, raw.size());
  const std::size_t whole = compressible_bytes(kind, raw.size(), element_bytes);
  store_be64(out.data(), raw.size());
  store_be32(out.data() + 8, static_cast<std::uint32_t>(block_bytes));
  std::vector<std::byte> planes(kind == DetectorCompression::bslz4 ? std::min(block_bytes, whole) : 0);
  std::size_t at = kFrameHeaderBytes;
  for (std::size_t done = 0; done < whole; done += block_bytes) {
    const ByteSpan block = raw.subspan(done, std::min(block_bytes, whole - done));
    const std::size_t capacity = static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(block.size())));
    at += compress_one(kind, block, element_bytes, planes, out.data() + at, capacity);
  }
  std::memcpy(out.data() + at, raw.data() + whole, raw.size() - whole);
  return at + raw.size() - whole;
}

Status decompress_detector(DetectorCompression kind, ByteSpan compressed, std::size_t element_bytes,
                           MutableByteSpan raw) {
  if (!supported_element(element_bytes)) {
    return fail(Errc::invalid_argument,
                "detector data: elements of " + std::to_string(element_bytes) + " bytes");
  }
  if (kind == DetectorCompression::none) {
    if (compressed.size() != raw.size())
      return fail(Errc::shape_mismatch, "detector data: not the frame's size");
    std::ranges::copy(compressed, raw.begin());
    return {};
  }
  FF_ASSIGN(const FrameHeader header, parse_frame_header(kind, compressed, element_bytes, raw.size()));
  const std::size_t whole = compressible_bytes(kind, raw.size(), element_bytes);
  std::vector<std::byte> planes(kind == DetectorCompression::bslz4 ? std::min(header.block_bytes, whole) : 0);
  std::size_t at = kFrameHeaderBytes;
  for (std::size_t done = 0; done < whole; done += header.block_bytes) {
    const bool has_prefix = compressed.size() - at >= kBlockPrefixBytes;
    const std::size_t bytes = has_prefix ? load_be32(compressed.data() + at) : 0;
    if (!has_prefix || compressed.size() - at - kBlockPrefixBytes < bytes) {
      return fail(Errc::truncated, "detector data: ends inside an LZ4 block");
    }
    const MutableByteSpan target = raw.subspan(done, std::min(header.block_bytes, whole - done));
    FF_TRY(decompress_one(kind, compressed.subspan(at + kBlockPrefixBytes, bytes), element_bytes, planes,
                          target));
    at += kBlockPrefixBytes + bytes;
  }
  if (compressed.size() - at < raw.size() - whole) {
    return fail(Errc::truncated, "detector data: the last few elements are missing");
  }
  std::memcpy(raw.data() + whole, compressed.data() + at, raw.size() - whole);
  return {};
}

}  // namespace ff::kernels
