// SPDX-License-Identifier: Apache-2.0
//
// FrameChunkEncoder: one frame's pixels as the bytes of one HDF5 chunk, so that the store thread only writes.
//
// Data path  decode > [compress] > DataFile
// Layouts    bslz4: HDF5 filter 32008, what DECTRIS files hold; deflate: HDF5's own shuffle
//            and deflate, readable everywhere; none.
// Not here   HDF5 itself (data_file.hpp). Stateless; any thread.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"

namespace ff::sink {

enum class Compression { none, deflate, bslz4 };

[[nodiscard]] std::string_view to_string(Compression compression) noexcept;
[[nodiscard]] Result<Compression> parse_compression(std::string_view name);

struct FrameChunk {
  std::vector<std::byte> bytes;
  bool filtered = false;  ///< false: the pixels as they are, because that is not larger
};

class FrameChunkEncoder {
 public:
  explicit FrameChunkEncoder(Compression compression) noexcept : compression_(compression) {}

  /// Takes the pixels over; `element_bytes` is 1, 2 or 4. Cost: one pass of the compressor.
  [[nodiscard]] FrameChunk encode(std::vector<std::byte> pixels, std::size_t element_bytes) const;
  [[nodiscard]] Compression compression() const noexcept { return compression_; }

 private:
  Compression compression_;
};

inline constexpr int kDeflateLevel = 4;

}  // namespace ff::sink
