// SPDX-License-Identifier: Apache-2.0
//
// ChunkCoding: how the frames of an HDF5 recording are cut into chunks, and what each chunk becomes.
//
//     compatible   a chunk is a frame: bitshuffle + LZ4 (32008), shuffle + deflate, or nothing
//     compact      a chunk is a window x a tile under Foreframe's filter (docs/formats/hdf5_filter.md)
//
// Data path  frames > [slab > chunks] > part file > HDF5 file
// A slab is what is coded at once: all chunks that share their frames.
// Any thread, after make().
#pragma once

#include <cstdint>
#include <hdf5.h>
#include <string>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "hpc_sink/filter/chunk_codec.hpp"
#include "hpc_sink/store/frame_chunk.hpp"
#include "tools/recording/recording.hpp"

namespace ff::tools {

struct ChunkCodingOptions {
  bool compact = false;
  sink::Compression compression = sink::Compression::bslz4;       ///< compatible
  kernels::Profile profile = kernels::Profile::automatic;         ///< compact
  std::uint32_t window_frames = 0, tile_rows = 0, tile_cols = 0;  ///< compact; 0: chosen
};

struct CodedChunk {
  std::vector<std::byte> bytes;
  bool filtered = true;  ///< false: the pixels as they are, with the chunk's filter mask set
};

class ChunkCoding {
 public:
  /// Errors: out_of_range (a chunk above 64 frames, 2^20 pixels or 64 MiB), dtype_unsupported.
  [[nodiscard]] static Result<ChunkCoding> make(const RecordingInfo& info, const ChunkCodingOptions& options);

  [[nodiscard]] std::uint32_t slab_frames() const noexcept { return chunk_.frames; }
  [[nodiscard]] std::uint64_t slabs() const noexcept;
  [[nodiscard]] std::uint32_t chunks_per_slab() const noexcept { return down_ * across_; }
  [[nodiscard]] const sink::ChunkShape& chunk() const noexcept { return chunk_; }
  /// Place of a chunk in the dataset.
  struct Corner {
    hsize_t at[3];
  };
  [[nodiscard]] Corner corner(std::uint64_t slab, std::uint32_t chunk) const noexcept;

  /// Codes one chunk of a slab; `slab` holds slab_frames() dense frames, of which the first `frames` are real.
  /// Errors: those of encode_chunk.
  [[nodiscard]] Result<CodedChunk> encode(ByteSpan slab, std::uint32_t frames, std::uint32_t chunk) const;

  /// Chunk, filter and fill value for the dataset. Negative on failure, as HDF5.
  [[nodiscard]] herr_t describe(hid_t creation, hid_t type) const;
  /// The same in words: two codings of the same words give the same chunks.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::string name() const;  ///< "compact", "bslz4", "deflate", "none"
  /// Most memory of one encode(), for the bound that is printed.
  [[nodiscard]] std::uint64_t work_bytes() const noexcept;

 private:
  RecordingInfo info_;
  ChunkCodingOptions options_;
  sink::ChunkShape chunk_;
  std::uint32_t down_ = 1, across_ = 1;  // chunks of a slab
  std::uint64_t fill_ = 0;               // bits of the pixel
};

}  // namespace ff::tools
