// SPDX-License-Identifier: Apache-2.0
//
// Exact sizes: every recording codes to the bytes that sizes.csv records, so that a change of ratio is a line in
// a review. To write the file anew:
//   foreframe bench codec --quick --peers none --profile fast,small,max,auto --sizes tests/bench/sizes.csv
// Each column NAME_bytes is a profile. Falls back to simulated frames.
#include <fstream>
#include <map>
#include <sstream>

#include <catch2/catch.hpp>

#include "tools/bench/frame_peers.hpp"
#include "tools/bench/own_codec.hpp"

namespace {

using namespace ff;
using namespace ff::tools;

using Row = std::map<std::string, std::string>;  ///< by column

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream words(line);
  for (std::string word; std::getline(words, word, ',');) fields.push_back(word);
  return fields;
}

std::map<std::string, Row> read_sizes() {
  std::ifstream file(FF_SIZES_CSV);
  std::string line;
  std::getline(file, line);
  const std::vector<std::string> columns = fields_of(line);
  std::map<std::string, Row> rows;
  while (std::getline(file, line)) {
    const std::vector<std::string> fields = fields_of(line);
    REQUIRE(fields.size() == columns.size());
    for (std::size_t i = 1; i < fields.size(); ++i) rows[fields[0]][columns[i]] = fields[i];
  }
  return rows;
}

BenchFrames frames_of(const std::string& source) {
  auto frames = load_bench_frames(source, 0);
  INFO((frames.ok() ? source : frames.error().message));
  REQUIRE(frames.ok());
  return std::move(*frames);
}

std::uint64_t coded_bytes(const BenchFrames& frames, kernels::Profile profile, std::uint32_t window) {
  OwnCodecOptions options;
  options.window_frames = window;
  options.repeat = 1;
  const Measured measured = measure_own_codec(frames, profile, options);
  INFO(measured.note);
  REQUIRE(measured.state == MeasureState::measured);
  return measured.bytes;
}

}  // namespace

TEST_CASE("every recording codes to its recorded size", "[sizes]") {
  constexpr std::string_view kEnding = "_bytes";
  const auto sources = recordings_at_hand();
  if (sources.empty()) WARN("no recordings found (FF_DATA_DIR); sizes.csv is not checked");
  const auto sizes = read_sizes();
  REQUIRE_FALSE(sizes.empty());
  for (const std::string& source : sources) {
    const BenchFrames frames = frames_of(source);
    if (!sizes.contains(frames.name)) continue;  // a folder of other recordings
    const Row& row = sizes.at(frames.name);
    CHECK(std::to_string(frames.pixels.size()) == row.at("raw_bytes"));
    for (const auto& [column, bytes] : row) {
      if (column == "raw_bytes" || !column.ends_with(kEnding)) continue;
      INFO(frames.name << " " << column);
      const auto profile = kernels::parse_profile(column.substr(0, column.size() - kEnding.size()));
      REQUIRE(profile.ok());
      const auto window = static_cast<std::uint32_t>(std::stoul(row.at("window_frames")));
      CHECK(std::to_string(coded_bytes(frames, *profile, window)) == bytes);
    }
  }
}

TEST_CASE("photon counting frames code at least 1.15 times smaller than bitshuffle + LZ4", "[sizes]") {
  std::vector<BenchFrames> recordings;
  for (const std::string& source : recordings_at_hand()) {
    if (source.find("pilatus") != std::string::npos) recordings.push_back(frames_of(source));
  }
  if (recordings.empty()) {
    WARN("no recordings found (FF_DATA_DIR); simulated counts instead");
    recordings.push_back(frames_of("sim:eiger2-16m,rows=256,cols=256,frames=16,rate=4"));
  }
  for (const BenchFrames& frames : recordings) {
    INFO(frames.name);
    const Measured bslz4 = measure_frame_peer(frames, "bitshuffle-lz4", 1);
    const auto ours = static_cast<double>(coded_bytes(frames, kernels::Profile::fast, 16));
    CHECK(static_cast<double>(bslz4.bytes) >= 1.15 * ours);
  }
}
