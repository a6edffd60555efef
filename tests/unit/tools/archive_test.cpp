// SPDX-License-Identifier: Apache-2.0
#include <fstream>
#include <iostream>

#include "common/base/bytes.hpp"
#include "tests/unit/tools/recording_fixture.hpp"
#include "tools/archive/archive_decode.hpp"
#include "tools/archive/archive_encode.hpp"
#include "tools/command/command_support.hpp"
#include "tools/command/commands.hpp"

using namespace ff;
using namespace ff::tools;

namespace {

std::unique_ptr<ArchiveRecording> open_by_reference(const std::string& path,
                                                    ArchiveDecodeOptions options = {}) {
  options.device = kernels::Device::reference;
  auto opened = ArchiveRecording::open(path, options);
  INFO((opened.ok() ? std::string() : opened.error().message));
  REQUIRE(opened.ok());
  return std::move(*opened);
}

int run(int (*command)(int, char**), std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  return command(static_cast<int>(arguments.size()), arguments.data());
}

}  // namespace

TEST_CASE("a recording decodes from its archive bit for bit, whatever its shape", "[archive]") {
  const test::TempDir folder;
  const std::string path = (folder.path() / "a.ffs").string();
  const std::string source = GENERATE(
      "sim:eiger2-16m,rows=1,cols=1,frames=3", "sim:eiger2-16m,rows=77,cols=131,frames=21",
      "sim:pilatus-6m,rows=230,cols=520,frames=9,kind=rotation", "sim:citius-module,rows=65,cols=64,frames=5",
      "sim:eiger2-16m,rows=40,cols=50,frames=12,kind=speckle,dtype=u32,rate=300");
  const auto reader = simulated(source);
  ArchiveEncodeOptions options;
  options.window_frames = 8;
  options.group_frames = GENERATE(0u, 3u);
  options.tile_rows = options.tile_cols = GENERATE(0u, 48u);
  const ArchiveEncodeReport report = encode(*reader, path, options);
  CHECK(report.raw_bytes == reader->info().frames * reader->info().shape.bytes());
  CHECK(report.file_bytes == std::filesystem::file_size(path));
  const auto archive = open_by_reference(path);
  CHECK(archive->info().sentinels == reader->info().sentinels);
  CHECK(archive->info().pixel_mask == reader->info().pixel_mask);
  const Frames decoded = read_all(*archive);
  CHECK(decoded == read_all(*reader));
  std::vector<std::byte> again(reader->info().shape.bytes());
  REQUIRE(archive->read(1, again).ok());  // backwards, into another window
  CHECK(again == decoded[1]);
}

TEST_CASE("real recordings decode from their archives bit for bit", "[archive]") {
  const test::TempDir folder;
  const auto sources = real_recordings();
  if (sources.empty())
    std::cerr << "no real recordings found (FF_DATA_DIR): only simulated ones are tested\n";
  for (const std::string& source : sources) {
    INFO(source);
    const auto reader = simulated(source);
    const std::string path = (folder.path() / "real.ffs").string();
    ArchiveEncodeOptions options;
    options.force = true;
    const ArchiveEncodeReport report = encode(*reader, path, options);
    CHECK(report.file_bytes < report.raw_bytes);
    const auto archive = open_by_reference(path);
    std::vector<std::byte> expected(reader->info().shape.bytes()), decoded(expected.size());
    for (std::uint64_t i = 0; i < reader->info().frames; ++i) {
      REQUIRE(reader->read(i, expected).ok());
      REQUIRE(archive->read(i, decoded).ok());
      REQUIRE(decoded == expected);
    }
  }
}

TEST_CASE("static counting data come close to their true entropy", "[archive]") {
  const test::TempDir folder;
  const auto reader = simulated("sim:pilatus-6m,rows=500,cols=480,dtype=u16,rate=0.5,frames=64");
  ArchiveEncodeOptions options;
  options.window_frames = 64;
  const ArchiveEncodeReport report = encode(*reader, (folder.path() / "a.ffs").string(), options);
  const double bits =
      8.0 * static_cast<double>(report.coded_bytes) / static_cast<double>(report.raw_bytes / 2);
  CHECK(bits > reader->info().entropy_bits_per_pixel.value() * 0.995);
  CHECK(bits < reader->info().entropy_bits_per_pixel.value() * 1.06);
}

TEST_CASE("an archive is a recording: it converts, and is encoded anew", "[archive]") {
  const test::TempDir folder;
  const std::string path = (folder.path() / "a.ffs").string(), again = (folder.path() / "b.ffs").string();
  const std::string h5 = (folder.path() / "a.h5").string(), h5_alone = (folder.path() / "b.h5").string();
  const auto reader = simulated("sim:pilatus-6m,rows=60,cols=70,frames=33");
  encode(*reader, path, {});
  CHECK(read_all(*simulated(path)) == read_all(*reader));
  CHECK(run(&encode_command, {"encode", path, "-o", again, "--window", "5", "--threads", "2"}) == kExitDone);
  CHECK(read_all(*open_by_reference(again)) == read_all(*reader));
  CHECK(run(&convert_command, {"convert", again, "-o", h5, "--threads", "3"}) == kExitDone);
  CHECK(run(&convert_command, {"convert", again, "-o", h5_alone, "--threads", "1"}) == kExitDone);
  CHECK(read_all(*simulated(h5)) == read_all(*reader));
  CHECK(std::filesystem::file_size(h5) == std::filesystem::file_size(h5_alone));
  CHECK(run(&convert_command, {"convert", again, "-o", h5, "--force", "--memory", "1kB"}) == kExitUsage);
  CHECK(run(&decode_command, {"decode", again, "-o", h5, "--force", "--frames", "3:5", "--tile", "0,0"}) ==
        kExitDone);
  CHECK(simulated(h5)->info().frames == 2);
  CHECK(run(&decode_command, {"decode", again, "-o", h5, "--force", "--frames", "30:40"}) == kExitUsage);
}

TEST_CASE("a damaged archive is refused at the damage, never decoded wrongly", "[archive]") {
  const test::TempDir folder;
  const std::string path = (folder.path() / "a.ffs").string();
  const auto reader = simulated("sim:eiger2-16m,rows=60,cols=60,frames=8");
  encode(*reader, path, {});
  const auto size = std::filesystem::file_size(path);
  SeededRandom random(5);
  const Frames expected = read_all(*reader);
  ArchiveDecodeOptions options;
  options.device = kernels::Device::reference;
  options.threads = 2;
  for (int round = 0; round < 60; ++round) {
    const std::string damaged = (folder.path() / "damaged.ffs").string();
    std::filesystem::copy_file(path, damaged, std::filesystem::copy_options::overwrite_existing);
    {
      std::fstream file(damaged, std::ios::in | std::ios::out | std::ios::binary);
      const auto at = static_cast<std::streamoff>(random.below(size));
      file.seekg(at);
      const char old = static_cast<char>(file.get());
      file.seekp(at);
      file.put(static_cast<char>(old ^ static_cast<char>(1u << random.below(8))));
    }
    if (round % 3 == 0) std::filesystem::resize_file(damaged, random.below(size));
    auto opened = ArchiveRecording::open(damaged, options);
    if (!opened.ok()) continue;
    std::vector<std::byte> frame((*opened)->info().shape.bytes());
    REQUIRE(frame.size() == expected[0].size());
    for (std::uint64_t i = 0; i < (*opened)->info().frames; ++i) {
      if ((*opened)->read(i, frame).ok()) REQUIRE(frame == expected.at(i));
    }
  }
}

TEST_CASE("an archive whose index was cut off is still found record by record", "[archive]") {
  const test::TempDir folder;
  const std::string path = (folder.path() / "a.ffs").string();
  const auto reader = simulated("sim:eiger2-16m,rows=60,cols=60,frames=8");
  encode(*reader, path, {});
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 8);
  const auto archive = ArchiveReader::open(path);
  REQUIRE(archive.ok());
  CHECK_FALSE(archive->has_index());
  CHECK(read_all(*open_by_reference(path)) == read_all(*reader));
}

TEST_CASE("the commands' exit codes are those of --help", "[archive]") {
  const test::TempDir folder;
  const std::string archive = (folder.path() / "a.ffs").string(), back = (folder.path() / "a.json").string();
  const std::string source = "sim:eiger2-16m,rows=32,cols=32,frames=4";
  CHECK(run(&encode_command, {"encode"}) == kExitUsage);
  CHECK(run(&encode_command, {"encode", source, "-o", archive, "--profile", "best"}) == kExitUsage);
  CHECK(run(&encode_command, {"encode", (folder.path() / "none.json").string(), "-o", archive}) ==
        kExitNoInput);
  CHECK(run(&encode_command, {"encode", source, "-o", archive}) == kExitDone);
  CHECK(run(&encode_command, {"encode", source, "-o", archive}) == kExitCantCreate);
  CHECK(run(&inspect_command, {"inspect", archive}) == kExitDone);
  CHECK(run(&decode_command, {"decode", archive, "-o", back}) == kExitDone);
  CHECK(run(&decode_command, {"decode", archive, "-o", back}) == kExitCantCreate);
  CHECK(run(&decode_command, {"decode", archive, "-o", "/no/such/folder/a.json"}) == kExitCantCreate);
  std::ofstream(archive, std::ios::in | std::ios::out | std::ios::binary).seekp(300).put('\x55').put('\x55');
  CHECK(run(&inspect_command, {"inspect", archive}) == kExitBadData);
  CHECK(run(&replay_command, {"replay", source, "--rate", "fast"}) == kExitUsage);
}
