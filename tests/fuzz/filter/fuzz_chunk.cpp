// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target: a chunk of the compact layout through the decoder, and through HDF5 with the filter. Whatever the
// bytes: both say the same, every pixel of an accepted chunk is set, and nothing is allocated beyond what the checked
// header allows.
//
// Input: a byte of flags (bit 0: leave CRCs, sizes and links as they are), then the chunk.
#include <algorithm>
#include <hdf5.h>

#include "common/base/check.hpp"
#include "common/base/crc32c.hpp"
#include "hpc_sink/filter/hdf5_filter.hpp"
#include "kernels/format/block_header.hpp"
#include "tests/fuzz/allocation_limit.hpp"
#include "tests/fuzz/block_chains.hpp"

namespace {

using namespace ff;
using namespace ff::fuzz;
using namespace ff::sink;

constexpr std::size_t kPixelBytesMax = std::size_t{1} << 18;  // larger chunks only slow the fuzzer down
constexpr std::size_t kFixed = std::size_t{8} << 20, kPerPixel = 160;  // as for a block: fuzz_block.cpp
constexpr std::size_t kHeaderless = std::size_t{16} << 10;

// Where the table says that blocks are; as far as the bytes reach.
struct Pieces {
  std::vector<std::uint16_t> tiles;
  Chain blocks;
};

Pieces take_apart(ByteSpan chunk) {
  Pieces pieces;
  if (chunk.size() < kChunkHeaderBytes) return pieces;
  const std::size_t count = load_le<std::uint16_t>(chunk.data() + 14);
  ByteReader table(chunk.subspan(kChunkHeaderBytes));
  ByteReader rest(chunk.subspan(std::min(chunk.size(), kChunkHeaderBytes + count * kChunkEntryBytes)));
  for (std::size_t i = 0; i < count && table.rest().size() >= kChunkEntryBytes && !rest.rest().empty(); ++i) {
    pieces.tiles.push_back(table.read<std::uint16_t>());
    static_cast<void>(table.read<std::uint16_t>());
    const std::size_t length = std::min<std::size_t>(table.read<std::uint32_t>(), rest.rest().size());
    const ByteSpan block = rest.take(length);
    pieces.blocks.emplace_back(block.begin(), block.end());
  }
  return pieces;
}

// Header, table and blocks with right sizes, links and CRCs. What the header says else stays.
Bytes put_together(ByteSpan header, const Pieces& pieces) {
  Bytes chunk(header.begin(), header.begin() + kChunkHeaderBytes);
  const auto good = write_chunk({{{Dtype::u8, 1, 1}, 1}, 1, 1, 1, 1, 0}, {});
  std::copy_n(good->begin(), 8, chunk.begin());
  store_le(chunk.data() + 14, static_cast<std::uint16_t>(pieces.blocks.size()));
  for (std::size_t i = 0; i < pieces.blocks.size(); ++i) {
    chunk.resize(chunk.size() + kChunkEntryBytes);
    store_le(chunk.data() + chunk.size() - 8, pieces.tiles[i]);
    store_le(chunk.data() + chunk.size() - 4, static_cast<std::uint32_t>(pieces.blocks[i].size()));
  }
  const std::size_t head = chunk.size();
  for (std::size_t first = 0, next = 0; first < pieces.blocks.size(); first = next) {
    Chain chain;
    for (; next < pieces.blocks.size() && pieces.tiles[next] == pieces.tiles[first]; ++next)
      chain.push_back(pieces.blocks[next]);
    reseal(chain);
    const Bytes all = join(chain);
    chunk.insert(chunk.end(), all.begin(), all.end());
  }
  store_le(chunk.data() + 8, static_cast<std::uint32_t>(chunk.size()));
  const ByteSpan bytes(chunk);
  store_le(chunk.data() + 44,
           crc32c(bytes.subspan(kChunkHeaderBytes, head - kChunkHeaderBytes), crc32c(bytes.first(44))));
  return chunk;
}

Result<ParsedChunk> parse_bounded(ByteSpan chunk) {
  const AllocationLimit limit(kHeaderless + 2 * chunk.size());
  return parse_chunk(chunk);
}

// Pixels over a given ground: what the decoder leaves out shows.
Status decode_over(const ParsedChunk& chunk, std::byte ground, Bytes& pixels) {
  pixels.assign(chunk.geometry.shape.bytes(), ground);
  const std::size_t tile = std::size_t{chunk.geometry.tile_rows} * chunk.geometry.tile_cols;
  std::size_t bytes = 0;
  for (const ChunkBlock& block : chunk.blocks) bytes += block.bytes.size();
  const AllocationLimit limit(kFixed + kPerPixel * tile + 3 * pixels.size() + 4 * bytes);
  return decode_chunk(chunk, pixels);
}

hid_t memory_file() {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  FF_CHECK(H5Zregister(&filter_class()) >= 0);
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_fapl_core(access, std::size_t{1} << 16, 0);
  const hid_t file = H5Fcreate("chunk.h5", H5F_ACC_TRUNC, H5P_DEFAULT, access);
  H5Pclose(access);
  FF_CHECK(file >= 0);
  return file;
}

hid_t type_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::u8: return H5T_NATIVE_UINT8;
    case Dtype::u16: return H5T_NATIVE_UINT16;
    case Dtype::u32: return H5T_NATIVE_UINT32;
    case Dtype::i8: return H5T_NATIVE_INT8;
    case Dtype::i16: return H5T_NATIVE_INT16;
    case Dtype::i32: return H5T_NATIVE_INT32;
    case Dtype::f32: return H5T_NATIVE_FLOAT;
    case Dtype::f16: break;
  }
  return -1;
}

// The bytes as the one chunk of a dataset, read as a program reads.
bool read_through_hdf5(ByteSpan chunk, const ChunkShape& shape, Bytes& pixels) {
  const hid_t file = memory_file();
  const hsize_t extent[3] = {shape.frames, shape.frame.rows, shape.frame.cols}, corner[3] = {0, 0, 0};
  const hid_t space = H5Screate_simple(3, extent, nullptr), creation = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(creation, 3, extent);
  H5Pset_filter(creation, kForeframeFilter, H5Z_FLAG_MANDATORY, 0, nullptr);
  const hid_t type = type_of(shape.frame.dtype);
  const hid_t dataset = H5Dcreate2(file, "d", type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
  FF_CHECK(dataset >= 0);
  FF_CHECK(H5Dwrite_chunk(dataset, H5P_DEFAULT, 0, corner, chunk.size(), chunk.data()) >= 0);
  pixels.assign(shape.bytes(), std::byte{0x3c});
  const bool read = H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, pixels.data()) >= 0;
  H5Dclose(dataset);
  H5Pclose(creation);
  H5Sclose(space);
  H5Fclose(file);
  return read;
}

Verdict run(ByteSpan input) {
  if (input.size() < 1 + kChunkHeaderBytes) return Verdict::refused;
  const ByteSpan given = input.subspan(1);
  const bool sealed = (std::to_integer<unsigned>(input[0]) & 1u) == 0;
  const Bytes chunk = sealed ? put_together(given, take_apart(given)) : Bytes(given.begin(), given.end());
  const auto parsed = parse_bounded(chunk);
  if (!parsed.ok() || parsed->geometry.shape.bytes() > kPixelBytesMax) return Verdict::refused;
  FF_CHECK(write_chunk(parsed->geometry, parsed->blocks).value() == chunk);
  Bytes first, second, read;
  const Status decoded = decode_over(*parsed, std::byte{0x00}, first);
  FF_CHECK(decode_over(*parsed, std::byte{0xff}, second).ok() == decoded.ok());
  if (decoded.ok()) FF_CHECK(first == second);
  if (type_of(parsed->geometry.shape.frame.dtype) >= 0) {
    FF_CHECK(read_through_hdf5(chunk, parsed->geometry.shape, read) == decoded.ok());
    if (decoded.ok()) FF_CHECK(read == first);
  }
  return decoded.ok() ? Verdict::accepted : Verdict::refused;
}

// A chain in a chunk with room to the right, below and after it.
Bytes chunk_of_chain(const Chain& chain) {
  std::vector<ChunkBlock> blocks;
  ChunkGeometry geometry;
  for (const Bytes& block : chain) {
    const auto info = kernels::inspect_block(block);
    FF_CHECK(info.ok());
    const FrameShape& tile = info->tile;
    const std::uint32_t frames =
        std::min(info->place.first_frame + info->place.frame_count + 1u, kChunkFramesMax);
    geometry = {
        {{tile.dtype, tile.rows + 2, tile.cols + 3}, frames}, tile.rows, tile.cols, tile.rows, tile.cols, 1};
    blocks.push_back({0, block});
  }
  const auto chunk = write_chunk(geometry, blocks);
  FF_CHECK(chunk.ok());
  return *chunk;
}

// What this build's encoder makes of tiny tiles: two of them, frames of the fill, and no block at all.
std::vector<Bytes> small_chunks(const std::vector<Chain>& chains) {
  std::vector<Bytes> chunks;
  for (const Chain& chain : chains) {
    const auto info = kernels::inspect_block(chain.front());
    if (!info.ok() || !info->place.key || info->tile.pixels() > 400) continue;
    const ChunkGeometry twice{{{info->tile.dtype, 2 * info->tile.rows, info->tile.cols}, 64},
                              2 * info->tile.rows,
                              info->tile.cols,
                              info->tile.rows,
                              info->tile.cols,
                              0};
    std::vector<ChunkBlock> blocks;
    for (const std::uint32_t tile : {0u, 1u})
      for (const Bytes& block : chain) blocks.push_back({tile, block});
    if (const auto chunk = write_chunk(twice, blocks); chunk.ok() && chunk->size() < 6000)
      chunks.push_back(*chunk);
  }
  chunks.push_back(*write_chunk({{{Dtype::i32, 4, 4}, 5}, 3, 2, 2, 1, 0xfffffffe}, {}));
  return chunks;
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> inputs;
  const std::vector<Chain> chains = valid_chains();
  for (const Chain& chain : chains) {
    const auto info = kernels::inspect_block(chain.front());
    if (!info.ok() || info->tile.bytes() * kChunkFramesMax > kPixelBytesMax) continue;
    if (info->place.key) inputs.push_back(chunk_of_chain(chain));
  }
  for (Bytes& chunk : small_chunks(chains)) inputs.push_back(std::move(chunk));
  for (Bytes& input : inputs) {
    FF_CHECK(put_together(input, take_apart(input)) == input);  // the repair leaves a sound chunk alone
    input.insert(input.begin(), std::byte{0});
  }
  return inputs;
}

void damage_order(Pieces& pieces, Random& random) {
  const std::size_t i = random.below(pieces.blocks.size()), j = random.below(pieces.blocks.size());
  switch (random.below(4)) {
    case 0: std::swap(pieces.blocks[i], pieces.blocks[j]); break;
    case 1: pieces.tiles[i] = static_cast<std::uint16_t>(awkward_number(random)); break;
    case 2:
      pieces.blocks.erase(pieces.blocks.begin() + static_cast<std::ptrdiff_t>(i));
      pieces.tiles.erase(pieces.tiles.begin() + static_cast<std::ptrdiff_t>(i));
      break;
    default:
      pieces.blocks.push_back(pieces.blocks[i]);
      pieces.tiles.push_back(pieces.tiles.back());
      break;
  }
}

void damage_header(Bytes& chunk, Random& random) {
  const std::size_t width = std::size_t{1} << random.below(3);
  const std::size_t at = 12 + random.below(32 / width) * width;
  const std::uint64_t number = random.below(2) == 0 ? awkward_number(random) : random.below(70);
  std::memcpy(chunk.data() + at, &number, std::min(width, kChunkHeaderBytes - at));
}

void damage(Bytes& input, std::span<const Bytes> others, Random& random) {
  if (input.size() < 1 + kChunkHeaderBytes) return damage_bytes(input, others, random);
  const std::byte flags{random.below(16) == 0 ? std::uint8_t{1} : std::uint8_t{0}};
  Bytes chunk(input.begin() + 1, input.end());
  Pieces pieces = take_apart(chunk);
  switch (random.below(6)) {
    case 0: damage_bytes(chunk, others, random); break;
    case 1: damage_header(chunk, random); break;
    case 2:
      if (!pieces.blocks.empty()) damage_order(pieces, random);
      chunk = put_together(chunk, pieces);
      break;
    default:
      if (!pieces.blocks.empty()) damage_block(pieces.blocks[random.below(pieces.blocks.size())], {}, random);
      chunk = put_together(chunk, pieces);
      break;
  }
  input.assign(1, flags);
  input.insert(input.end(), chunk.begin(), chunk.end());
}

}  // namespace

FF_FUZZ_TARGET(chunk, run, seeds, damage);
