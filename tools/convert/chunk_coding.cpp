// SPDX-License-Identifier: Apache-2.0
//
// Cuts frames into chunks and codes them.
#include "tools/convert/chunk_coding.hpp"

#include <algorithm>
#include <cstring>

#include "hpc_sink/filter/hdf5_filter.hpp"
#include "tools/recording/hdf5_bitshuffle.hpp"

namespace ff::tools {

namespace {

constexpr std::uint32_t kWindowFrames = 16, kTileSide = 512;

std::uint32_t pieces(std::uint64_t whole, std::uint64_t piece) noexcept {
  return static_cast<std::uint32_t>((whole + piece - 1) / piece);
}

// The whole frame where it is a lawful tile, else pieces of nearly equal size near 512 x 512.
void choose_tile(const FrameShape& frame, ChunkCodingOptions& options) {
  const bool whole = frame.pixels() <= kernels::kTilePixelsMax;
  const auto side = [whole](std::uint32_t length) {
    return whole ? length : pieces(length, pieces(length, kTileSide));
  };
  if (options.tile_rows == 0) options.tile_rows = side(frame.rows);
  if (options.tile_cols == 0) options.tile_cols = side(frame.cols);
  options.tile_rows = std::min(options.tile_rows, frame.rows);
  options.tile_cols = std::min(options.tile_cols, frame.cols);
}

Result<sink::ChunkShape> compact_chunk(const RecordingInfo& info, ChunkCodingOptions options) {
  choose_tile(info.shape, options);
  const FrameShape tile{info.shape.dtype, options.tile_rows, options.tile_cols};
  if (tile.pixels() > kernels::kTilePixelsMax)
    return fail(Errc::out_of_range, "--tile: a tile has at most 2^20 pixels");
  if (options.window_frames == 0) {
    const std::size_t fit = std::max<std::size_t>(sink::kChunkBytesMax / tile.bytes(), 1);
    options.window_frames =
        static_cast<std::uint32_t>(std::min<std::size_t>({kWindowFrames, fit, info.frames}));
  }
  const sink::ChunkShape chunk{tile, options.window_frames};
  FF_TRY(sink::check_chunk_shape(chunk));
  return chunk;
}

// What stands in frames that are not there: the largest declared sentinel that the type holds, else 0.
std::uint64_t fill_bits(const RecordingInfo& info) {
  if (info.sentinels.empty() || dtype_is_float(info.shape.dtype)) return 0;
  const auto bits = static_cast<std::uint64_t>(*std::ranges::max_element(info.sentinels));
  return bits & (~std::uint64_t{0} >> (64 - 8 * dtype_bytes(info.shape.dtype)));
}

}  // namespace

Result<ChunkCoding> ChunkCoding::make(const RecordingInfo& info, const ChunkCodingOptions& options) {
  ChunkCoding coding;
  coding.info_ = info;
  coding.options_ = options;
  coding.chunk_ = {info.shape, 1};
  if (!options.compact) return coding;
  FF_ASSIGN(coding.chunk_, compact_chunk(info, options));
  coding.fill_ = fill_bits(info);
  coding.down_ = pieces(info.shape.rows, coding.chunk_.frame.rows);
  coding.across_ = pieces(info.shape.cols, coding.chunk_.frame.cols);
  return coding;
}

std::uint64_t ChunkCoding::slabs() const noexcept {
  return (info_.frames + chunk_.frames - 1) / chunk_.frames;
}

ChunkCoding::Corner ChunkCoding::corner(std::uint64_t slab, std::uint32_t chunk) const noexcept {
  return {{slab * chunk_.frames, hsize_t{chunk / across_} * chunk_.frame.rows,
           hsize_t{chunk % across_} * chunk_.frame.cols}};
}

Result<CodedChunk> ChunkCoding::encode(ByteSpan slab, std::uint32_t frames, std::uint32_t chunk) const {
  const std::size_t width = dtype_bytes(info_.shape.dtype);
  if (!options_.compact) {
    const ByteSpan frame = slab.first(info_.shape.bytes());
    sink::FrameChunk coded =
        sink::FrameChunkEncoder(options_.compression).encode({frame.begin(), frame.end()}, width);
    return CodedChunk{std::move(coded.bytes), coded.filtered};
  }
  // HDF5's chunk is of full size: what lies beyond the frame or the last frame is the fill.
  std::vector<std::byte> pixels(chunk_.bytes());
  for (std::size_t at = 0; at < pixels.size(); at += width) std::memcpy(pixels.data() + at, &fill_, width);
  const Corner place = corner(0, chunk);
  const auto rows = std::min<hsize_t>(chunk_.frame.rows, info_.shape.rows - place.at[1]);
  const auto cols = std::min<hsize_t>(chunk_.frame.cols, info_.shape.cols - place.at[2]);
  for (std::uint32_t frame = 0; frame < frames; ++frame) {
    for (hsize_t row = 0; row < rows; ++row) {
      const std::size_t from =
          (hsize_t{frame} * info_.shape.rows + place.at[1] + row) * info_.shape.row_bytes();
      std::memcpy(pixels.data() + frame * chunk_.frame.bytes() + row * chunk_.frame.row_bytes(),
                  slab.data() + from + place.at[2] * width, cols * width);
    }
  }
  FF_ASSIGN(std::vector<std::byte> bytes, sink::encode_chunk(chunk_, pixels, {options_.profile, fill_}));
  return CodedChunk{std::move(bytes), true};
}

herr_t ChunkCoding::describe(hid_t creation, hid_t type) const {
  const hsize_t dimensions[3] = {chunk_.frames, chunk_.frame.rows, chunk_.frame.cols};
  if (H5Pset_chunk(creation, 3, dimensions) < 0) return -1;
  if (options_.compact) {
    const sink::FilterValues values = sink::filter_values({options_.profile, chunk_, fill_});
    if (H5Pset_fill_value(creation, type, &fill_) < 0) return -1;
    return H5Pset_filter(creation, sink::kForeframeFilter, H5Z_FLAG_OPTIONAL, values.size(), values.data());
  }
  if (options_.compression == sink::Compression::none) return 0;
  if (options_.compression == sink::Compression::deflate)
    return H5Pset_shuffle(creation) < 0 ? -1 : H5Pset_deflate(creation, sink::kDeflateLevel);
  const BitshuffleParameters parameters = bitshuffle_parameters(info_.shape.dtype);
  return H5Pset_filter(creation, kBitshuffleFilter, H5Z_FLAG_OPTIONAL, 5, parameters.values);
}

std::string ChunkCoding::name() const {
  return options_.compact ? "compact" : std::string(sink::to_string(options_.compression));
}

std::string ChunkCoding::text() const {
  std::string words = name() + " " + std::to_string(chunk_.frames) + "x" + std::to_string(chunk_.frame.rows) +
                      "x" + std::to_string(chunk_.frame.cols) + " " +
                      std::string(dtype_name(info_.shape.dtype));
  if (options_.compact)
    words += " " + std::string(kernels::to_string(options_.profile)) + " fill " + std::to_string(fill_);
  return words;
}

std::uint64_t ChunkCoding::work_bytes() const noexcept {
  if (!options_.compact) return 4 * chunk_.bytes();
  const auto group = static_cast<std::uint32_t>(
      std::clamp<std::size_t>((std::size_t{1} << 24) / chunk_.frame.pixels(), 1, chunk_.frames));
  return 3 * chunk_.bytes() + kernels::tile_state_bytes(chunk_.frame) +
         kernels::codec_work_bytes(chunk_.frame, group);
}

}  // namespace ff::tools
