// SPDX-License-Identifier: Apache-2.0
#include "hpc_sink/filter/hdf5_filter.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <hdf5.h>
#include <string>
#include <thread>

#include "tests/support/temp_dir.hpp"
#include "tests/unit/filter/chunk_samples.hpp"

namespace {

using namespace ff;
using namespace ff::test;
using sink::kForeframeFilter;

// One dataset of u16 in a file of its own, through the filter of this very process.
struct Dataset {
  TempDir folder;
  hid_t file = -1, dataset = -1;

  Dataset(std::vector<hsize_t> extent, std::vector<hsize_t> chunk, hid_t type = H5T_STD_U16LE,
          std::vector<unsigned> values = {}, unsigned flags = H5Z_FLAG_MANDATORY) {
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    REQUIRE(H5Zregister(&sink::filter_class()) >= 0);
    file = H5Fcreate((folder.path() / "t.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    REQUIRE(file >= 0);
    const hid_t space = H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data());
    H5Pset_filter(creation, kForeframeFilter, flags, values.size(), values.data());
    dataset = H5Dcreate2(file, "d", type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    if (dataset < 0) why = innermost_error();
    H5Pclose(creation);
    H5Sclose(space);
  }
  ~Dataset() {
    if (dataset >= 0) H5Dclose(dataset);
    H5Fclose(file);
  }
  Dataset(const Dataset&) = delete;
  Dataset& operator=(const Dataset&) = delete;

  std::string why;  // the innermost error of making it

  static std::string innermost_error() {
    std::string text;
    const auto take = [](unsigned, const H5E_error2_t* error, void* out) -> herr_t {
      auto* const words = static_cast<std::string*>(out);
      if (words->empty()) *words = error->desc;
      return 0;
    };
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take, &text);
    return text;
  }

  void close_dataset() {
    H5Dclose(dataset);
    H5Fflush(file, H5F_SCOPE_GLOBAL);
    dataset = H5Dopen2(file, "d", H5P_DEFAULT);
    REQUIRE(dataset >= 0);
  }

  // Reads frame after frame with HDF5's own cache of 1 MiB.
  bool read_frame(hsize_t frame, const FrameShape& shape, std::byte* out) const {
    const hsize_t start[3] = {frame, 0, 0}, count[3] = {1, shape.rows, shape.cols};
    const hid_t space = H5Dget_space(dataset), memory = H5Screate_simple(3, count, nullptr);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, nullptr, count, nullptr);
    const herr_t done = H5Dread(dataset, H5T_NATIVE_UINT16, memory, space, H5P_DEFAULT, out);
    H5Sclose(memory);
    H5Sclose(space);
    return done >= 0;
  }
};

}  // namespace

TEST_CASE("A dataset written through HDF5 is read back bit for bit, edges and half windows too", "[filter]") {
  const FrameShape frame{Dtype::u16, 70, 90};
  const auto stack = tests::counting_frames(frame, 21, 100, 3000, 8);
  for (const unsigned profile : {0u, 1u, 2u, 3u}) {
    Dataset data({21, 70, 90}, {8, 32, 64}, H5T_STD_U16LE, {profile});
    REQUIRE(data.dataset >= 0);
    REQUIRE(H5Dwrite(data.dataset, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, stack.pixels.data()) >=
            0);
    data.close_dataset();
    CHECK(H5Dget_storage_size(data.dataset) < stack.pixels.size());
    std::vector<std::byte> read(stack.pixels.size());
    REQUIRE(H5Dread(data.dataset, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, read.data()) >= 0);
    CHECK(read == stack.pixels);
  }
}

TEST_CASE("The stream's blocks written as a chunk are read through HDF5", "[filter]") {
  const FrameShape tile{Dtype::u16, 20, 24};
  const auto window = tests::counting_frames(tile, 16, 100, 900, 1);
  const auto blocks = coded_groups(window, {{0, 5, 0x1f, true}, {5, 11, 0x7ff, false}});
  const auto chunk = chunk_of(one_tile(tile, 16, 20, 24, 0xffff), blocks);
  REQUIRE(chunk.ok());
  Dataset data({16, 20, 24}, {16, 20, 24});
  const hsize_t corner[3] = {0, 0, 0};
  REQUIRE(H5Dwrite_chunk(data.dataset, H5P_DEFAULT, 0, corner, chunk->size(), chunk->data()) >= 0);
  std::vector<std::byte> read(window.pixels.size());
  REQUIRE(H5Dread(data.dataset, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, read.data()) >= 0);
  CHECK(read == window.pixels);
}

TEST_CASE("Reading frame by frame with HDF5's own settings decodes each chunk once", "[filter]") {
  const FrameShape frame{Dtype::u16, 256, 512};
  const auto stack = tests::counting_frames(frame, 24, 100, 800, 18);
  Dataset data({24, 256, 512}, {12, 128, 512}, H5T_STD_U16LE, {1});  // 4 chunks of 1.5 MiB: HDF5 keeps none
  REQUIRE(H5Dwrite(data.dataset, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, stack.pixels.data()) >= 0);
  data.close_dataset();
  const auto before = sink::filter_counts();
  std::vector<std::byte> read(frame.bytes());
  for (hsize_t i = 0; i < 24; ++i) {
    REQUIRE(data.read_frame(i, frame, read.data()));
    REQUIRE(std::memcmp(read.data(), stack.pixels.data() + i * frame.bytes(), frame.bytes()) == 0);
  }
  const auto after = sink::filter_counts();
  CHECK(after.decoded - before.decoded == 4);
  CHECK(after.repeated - before.repeated == 24 * 2 - 4);
}

TEST_CASE("A damaged chunk is an HDF5 error whose innermost message names the cause", "[filter]") {
  const FrameShape frame{Dtype::u16, 48, 48};
  const auto stack = tests::counting_frames(frame, 8, 100, 800, 28);
  Dataset data({8, 48, 48}, {8, 48, 48});
  REQUIRE(H5Dwrite(data.dataset, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, stack.pixels.data()) >= 0);
  data.close_dataset();
  const hsize_t corner[3] = {0, 0, 0};
  hsize_t bytes = 0;
  REQUIRE(H5Dget_chunk_storage_size(data.dataset, corner, &bytes) >= 0);
  std::vector<std::byte> good(bytes);
  std::uint32_t mask = 0;
  REQUIRE(H5Dread_chunk(data.dataset, H5P_DEFAULT, corner, &mask, good.data()) >= 0);
  std::vector<std::byte> read(stack.pixels.size());
  tests::TestRandom random(38);
  const auto reads = [&](const std::vector<std::byte>& chunk) {
    REQUIRE(H5Dwrite_chunk(data.dataset, H5P_DEFAULT, 0, corner, chunk.size(), chunk.data()) >= 0);
    std::ranges::fill(read, std::byte{0});
    return H5Dread(data.dataset, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, read.data()) >= 0;
  };
  for (int round = 0; round < 300; ++round) {
    auto chunk = good;
    const std::size_t at = random.below(chunk.size());
    switch (random.below(4)) {
      case 0: chunk.resize(1 + at); break;
      case 1: chunk.insert(chunk.begin() + static_cast<std::ptrdiff_t>(at), std::byte{7}); break;
      default: chunk[at] ^= static_cast<std::byte>(1u << random.below(8)); break;
    }
    if (chunk == good) continue;
    REQUIRE_FALSE(reads(chunk));
    REQUIRE_THAT(Dataset::innermost_error(),
                 Catch::Contains("chunk: ") || Catch::Contains("block 0 of tile 0: "));
  }
  auto payload = good;
  payload[200] ^= std::byte{1};
  REQUIRE_FALSE(reads(payload));
  CHECK(
      Dataset::innermost_error() ==
      "block 0 of tile 0: crc_mismatch: block: payload CRC does not match; the block was damaged on its way");
  REQUIRE(reads(good));
  CHECK(read == stack.pixels);
}

TEST_CASE("A chunk of another shape than its dataset's is refused", "[filter]") {
  const FrameShape frame{Dtype::u16, 16, 16};
  const auto stack = tests::counting_frames(frame, 4, 100, 800, 28);
  const auto other = sink::encode_chunk({frame, 4}, stack.pixels, {});
  REQUIRE(other.ok());
  Dataset data({8, 16, 16}, {8, 16, 16});
  const hsize_t corner[3] = {0, 0, 0};
  REQUIRE(H5Dwrite_chunk(data.dataset, H5P_DEFAULT, 0, corner, other->size(), other->data()) >= 0);
  std::vector<std::byte> read(2 * stack.pixels.size());
  REQUIRE(H5Dread(data.dataset, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, read.data()) < 0);
  CHECK_THAT(Dataset::innermost_error(),
             Catch::Contains("of another shape or type than its dataset's chunks"));
}

TEST_CASE("What the filter can't carry is refused when the dataset is made, with the reason", "[filter]") {
  const auto reason = [](std::vector<hsize_t> extent, std::vector<hsize_t> chunk, hid_t type,
                         std::vector<unsigned> values = {}) {
    const Dataset data(extent, chunk, type, std::move(values));
    CHECK(data.dataset < 0);
    return data.why;
  };
  CHECK_THAT(reason({8, 8, 8}, {8, 8, 8}, H5T_STD_U64LE), Catch::Contains("8, 16 or 32 bits"));
  CHECK_THAT(reason({8, 8, 8}, {8, 8, 8}, H5T_IEEE_F64LE), Catch::Contains("8, 16 or 32 bits"));
  CHECK_THAT(reason({8, 8, 8}, {8, 8, 8}, H5T_STD_U16BE), Catch::Contains("little-endian"));
  CHECK_THAT(reason({8}, {8}, H5T_STD_U16LE), Catch::Contains("two or more dimensions"));
  CHECK_THAT(reason({99, 8, 8}, {65, 8, 8}, H5T_STD_U16LE), Catch::Contains("1 to 64"));
  CHECK_THAT(reason({9, 9, 8, 8}, {9, 9, 8, 8}, H5T_STD_U16LE), Catch::Contains("1 to 64"));
  CHECK_THAT(reason({64, 1024, 1024}, {64, 1024, 1024}, H5T_STD_U16LE), Catch::Contains("64 MiB"));
  CHECK_THAT(reason({8, 8, 8}, {8, 8, 8}, H5T_STD_U16LE, {9}), Catch::Contains("profile 9 is unknown"));
}

TEST_CASE("Where the filter is optional, what it can't carry is written without it", "[filter]") {
  const std::vector<std::uint64_t> values(512, 77);
  Dataset data({8, 8, 8}, {8, 8, 8}, H5T_STD_U64LE, {}, H5Z_FLAG_OPTIONAL);
  REQUIRE(data.dataset >= 0);
  REQUIRE(H5Dwrite(data.dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0);
  data.close_dataset();
  std::vector<std::uint64_t> read(512);
  REQUIRE(H5Dread(data.dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, read.data()) >= 0);
  CHECK(read == values);
}

TEST_CASE("Several threads decode and code at once", "[filter]") {
  const FrameShape frame{Dtype::u16, 64, 64};
  const sink::ChunkShape shape{frame, 8};
  const auto values = sink::filter_values({kernels::Profile::small, shape, 0});
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] {
      for (std::uint64_t round = 0; round < 6; ++round) {
        // Two threads have the same chunks, and each chunk is decoded twice.
        const auto pixels = tests::counting_frames(frame, 8, 100, 900, 10 * (seed / 2) + round % 3).pixels;
        void* buffer = std::malloc(pixels.size());
        std::memcpy(buffer, pixels.data(), pixels.size());
        std::size_t room = pixels.size();
        std::size_t bytes =
            sink::filter_class().filter(0, values.size(), values.data(), room, &room, &buffer);
        // Not through the callback: it would tell HDF5, which is not thread-safe on every machine.
        const auto* const coded = static_cast<const std::byte*>(buffer);
        std::vector<std::byte> damaged(coded, coded + bytes), unused;
        damaged.back() ^= std::byte{1};
        if (decode(damaged, unused).ok()) ++wrong;
        bytes = sink::filter_class().filter(H5Z_FLAG_REVERSE, values.size(), values.data(), bytes, &room,
                                            &buffer);
        if (bytes != pixels.size() || std::memcmp(buffer, pixels.data(), bytes) != 0) ++wrong;
        std::free(buffer);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
}
