// SPDX-License-Identifier: Apache-2.0
//
// Exact sizes: every recording codes to the bytes that sizes.csv records, so that a change of ratio is a line in
// a review. `bench_codec --sizes tests/bench/sizes.csv` writes the file anew. Falls back to made-up frames.
#include <fstream>
#include <map>
#include <sstream>

#include <catch2/catch.hpp>

#include "kernels/interop/bslz4.hpp"
#include "tests/support/group_codec.hpp"
#include "tests/support/group_images.hpp"

namespace {

using namespace ff;

struct Row {
  std::uint32_t window = 0;
  std::size_t raw_bytes = 0, fast_bytes = 0;
};

std::map<std::string, Row> read_sizes() {
  std::ifstream file(FF_SIZES_CSV);
  std::map<std::string, Row> rows;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string name, comma;
    std::getline(fields, name, ',');
    Row row;
    char separator = 0;
    fields >> row.window >> separator >> row.raw_bytes >> separator >> row.fast_bytes;
    rows[name] = row;
  }
  return rows;
}

std::size_t bslz4_bytes(const tests::Recording& recording) {
  std::size_t total = 0;
  const std::size_t width = dtype_bytes(recording.shape.dtype), bytes = recording.shape.bytes();
  std::vector<std::byte> out(
      kernels::detector_compressed_bound(kernels::DetectorCompression::bslz4, bytes, width));
  for (std::size_t t = 0; t < recording.frames; ++t) {
    const ByteSpan raw = ByteSpan(recording.pixels).subspan(t * bytes, bytes);
    total += *kernels::compress_detector(kernels::DetectorCompression::bslz4, raw, width, out);
  }
  return total;
}

}  // namespace

TEST_CASE("every recording codes to its recorded size", "[sizes]") {
  const auto names = tests::recording_names();
  if (names.empty()) WARN("no recordings found (FF_DATA_DIR); sizes.csv is not checked");
  const auto sizes = read_sizes();
  REQUIRE_FALSE(sizes.empty());
  for (const std::string& name : names) {
    if (!sizes.contains(name)) continue;  // a folder of other recordings
    INFO(name);
    const Row& row = sizes.at(name);
    const auto recording = tests::load_recording(name);
    tests::GroupCodec codec(recording, kernels::Device::cpu, row.window);
    codec.run();
    CHECK(recording.pixels.size() == row.raw_bytes);
    CHECK(codec.coded_bytes() == row.fast_bytes);
  }
}

TEST_CASE("photon counting frames code at least 1.15 times smaller than bitshuffle + LZ4", "[sizes]") {
  std::vector<tests::Recording> recordings;
  for (const std::string& name : tests::recording_names()) {
    if (name.starts_with("pilatus")) recordings.push_back(tests::load_recording(name));
  }
  if (recordings.empty()) {
    WARN("no recordings found (FF_DATA_DIR); made-up counts instead");
    const FrameShape tile{Dtype::u16, 256, 256};
    const auto stack = tests::counting_frames(tile, 16, 64, 1024, 3);
    recordings.push_back({"made-up counts", tile, 16, stack.pixels});
  }
  for (const auto& recording : recordings) {
    INFO(recording.name);
    tests::GroupCodec codec(recording, kernels::Device::cpu, 16);
    codec.run();
    CHECK(static_cast<double>(bslz4_bytes(recording)) >= 1.15 * static_cast<double>(codec.coded_bytes()));
  }
}
