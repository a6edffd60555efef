// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <hdf5.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "common/base/crc32c.hpp"
#include "tests/unit/tools/recording_fixture.hpp"
#include "tools/command/command_support.hpp"
#include "tools/command/commands.hpp"
#include "tools/convert/conversion_part.hpp"

namespace {

using namespace ff;
using namespace ff::tools;

int convert(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "convert");
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  return convert_command(static_cast<int>(argv.size()), argv.data());
}

Frames frames_in(const std::string& path) {
  auto reader = open_recording(path);
  INFO((reader.ok() ? std::string() : reader.error().message));
  REQUIRE(reader.ok());
  return read_all(**reader);
}

// A file as the sink writes them: frames, their CRCs, tables beside them.
void write_data_file(const std::string& path, const Frames& frames, const FrameShape& shape,
                     bool right_crcs) {
  write_recording(path, info_of(shape, frames.size()), frames);
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  const hsize_t count = frames.size();
  const hid_t space = H5Screate_simple(1, &count, nullptr), scalar = H5Screate(H5S_SCALAR);
  std::vector<std::uint32_t> crcs;
  for (const auto& frame : frames) crcs.push_back(crc32c(frame));
  if (!right_crcs) crcs[2] ^= 1;
  const hid_t table = H5Dcreate2(file, "/entry/data/pixel_crc32c", H5T_STD_U32LE, space, H5P_DEFAULT,
                                 H5P_DEFAULT, H5P_DEFAULT);
  H5Dwrite(table, H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, crcs.data());
  const hid_t group = H5Gcreate2(file, "/entry/foreframe", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t text = H5Tcopy(H5T_C_S1);
  H5Tset_size(text, H5T_VARIABLE);
  for (const auto& [name, value] : {std::pair("compression", "bslz4"), {"bound", "none"}}) {
    const hid_t attribute = H5Acreate2(group, name, text, scalar, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, text, &value);
    H5Aclose(attribute);
  }
  H5Lcreate_soft("/entry/data/data", file, "/entry/shortcut", H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_external("elsewhere.h5", "/x", group, "outside", H5P_DEFAULT, H5P_DEFAULT);
  H5Tclose(text);
  H5Gclose(group);
  H5Dclose(table);
  H5Sclose(scalar);
  H5Sclose(space);
  H5Fclose(file);
}

std::string text_attribute(hid_t file, const char* object, const char* name) {
  const hid_t attribute = H5Aopen_by_name(file, object, name, H5P_DEFAULT, H5P_DEFAULT);
  if (attribute < 0) return {};
  const hid_t type = H5Aget_type(attribute);
  std::string text;
  if (H5Tis_variable_str(type) > 0) {
    char* value = nullptr;
    H5Aread(attribute, type, &value);
    text = value;
    H5free_memory(value);
  } else {
    text.resize(H5Tget_size(type));
    H5Aread(attribute, type, text.data());
    text.resize(std::strlen(text.c_str()));
  }
  H5Tclose(type);
  H5Aclose(attribute);
  return text;
}

}  // namespace

TEST_CASE("a recording goes through every layout and comes back bit for bit", "[convert]") {
  const test::TempDir folder;
  const auto path = [&folder](const char* name) { return (folder.path() / name).string(); };
  for (const Dtype dtype : {Dtype::u8, Dtype::u16, Dtype::i32, Dtype::f32}) {
    INFO(dtype_name(dtype));
    const FrameShape shape{dtype, 40, 56};
    const Frames frames = made_up_frames(shape, 21);
    std::filesystem::remove(path("a.h5"));
    write_recording(path("a.h5"), info_of(shape, 21), frames);
    CHECK(convert({path("a.h5"), "-o", path("b.h5"), "--layout", "compact", "--window", "8", "--tile",
                   "16x32", "--force"}) == kExitDone);
    CHECK(frames_in(path("b.h5")) == frames);
    CHECK(convert({path("b.h5"), "-o", path("c.h5"), "--compression", "deflate", "--force"}) == kExitDone);
    CHECK(frames_in(path("c.h5")) == frames);
    CHECK(convert({path("c.h5"), "-o", path("d.h5"), "--layout", "compact", "--profile", "fast", "--force",
                   "--threads", "3"}) == kExitDone);
    CHECK(frames_in(path("d.h5")) == frames);
    CHECK(convert({path("d.h5"), "-o", path("e.h5"), "--compression", "none", "--force"}) == kExitDone);
    CHECK(convert({path("e.h5"), "-o", path("f.h5"), "--force"}) == kExitDone);
    CHECK(frames_in(path("f.h5")) == frames);
    CHECK(convert({path("b.h5"), "-o", path("g.json"), "--force"}) == kExitDone);
    CHECK(frames_in(path("g.json")) == frames);
    for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
      CHECK(entry.path().string().find(".part") == std::string::npos);
  }
}

TEST_CASE("real recordings go to compact and back", "[convert]") {
  const test::TempDir folder;
  const auto recordings = real_recordings();
  if (recordings.empty()) WARN("no recordings here (FF_DATA_DIR)");
  for (const std::string& recording : recordings) {
    if (recording.find("thau_corner") == std::string::npos && recording.find("ruby") == std::string::npos)
      continue;
    INFO(recording);
    const std::string compact = (folder.path() / "compact.h5").string(),
                      plain = (folder.path() / "plain.h5").string();
    CHECK(convert({recording, "-o", compact, "--layout", "compact", "--force"}) == kExitDone);
    CHECK(convert({compact, "-o", plain, "--force"}) == kExitDone);
    const Frames frames = frames_in(recording);
    CHECK(frames_in(compact) == frames);
    CHECK(frames_in(plain) == frames);
    CHECK(std::filesystem::file_size(compact) < std::filesystem::file_size(plain));
  }
}

TEST_CASE("what stands beside the frames comes along, and their CRCs are held against them", "[convert]") {
  const test::TempDir folder;
  const auto path = [&folder](const char* name) { return (folder.path() / name).string(); };
  const FrameShape shape{Dtype::u16, 20, 30};
  const Frames frames = made_up_frames(shape, 9);
  write_data_file(path("a.h5"), frames, shape, true);
  CHECK(convert({path("a.h5"), "-o", path("b.h5"), "--layout", "compact"}) == kExitDone);
  CHECK(frames_in(path("b.h5")) == frames);
  const hid_t file = H5Fopen(path("b.h5").c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  CHECK(H5Lexists(file, "/entry/data/pixel_crc32c", H5P_DEFAULT) > 0);
  CHECK(text_attribute(file, "/entry/foreframe", "bound") == "none");
  CHECK(text_attribute(file, "/entry/foreframe", "compression") == "compact");
  H5L_info_t link{};
  REQUIRE(H5Lget_info(file, "/entry/shortcut", &link, H5P_DEFAULT) >= 0);
  CHECK(link.type == H5L_TYPE_SOFT);
  REQUIRE(H5Lget_info(file, "/entry/foreframe/outside", &link, H5P_DEFAULT) >= 0);
  CHECK(link.type == H5L_TYPE_EXTERNAL);
  H5Fclose(file);

  // A part of the frames, or another place for them: tables that fit no more stay behind.
  CHECK(convert({path("a.h5"), "-o", path("c.h5"), "--frames", "4"}) == kExitDone);
  CHECK(frames_in(path("c.h5")).size() == 4);
  CHECK(convert({path("a.h5"), "-o", path("d.h5:/frames")}) == kExitDone);
  for (const char* name : {"c.h5", "d.h5"}) {
    const hid_t other = H5Fopen(path(name).c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
    CHECK(H5Lexists(other, "/entry", H5P_DEFAULT) == (std::string(name) == "c.h5" ? 1 : 0));
    if (std::string(name) == "c.h5") CHECK(H5Lexists(other, "/entry/foreframe", H5P_DEFAULT) == 0);
    H5Fclose(other);
  }

  write_data_file(path("wrong.h5"), frames, shape, false);
  CHECK(convert({path("wrong.h5"), "-o", path("e.h5")}) == kExitBadData);
  CHECK_FALSE(std::filesystem::exists(path("e.h5")));
}

TEST_CASE("a conversion goes on with every whole record of its part, wherever it was cut", "[convert]") {
  const test::TempDir folder;
  const std::string part_path = (folder.path() / "x.part").string();
  const auto slab = [](std::uint64_t number) {
    CodedSlab made{number, {1, 2, static_cast<std::uint32_t>(number)}, {}};
    made.chunks.push_back({std::vector<std::byte>(40 + number, static_cast<std::byte>(number)), true});
    made.chunks.push_back({std::vector<std::byte>(3, std::byte{9}), false});
    return made;
  };
  std::vector<std::uint64_t> ends;
  {
    auto part = ConversionPart::open(part_path, "a into b", false);
    REQUIRE(part.ok());
    ends.push_back(std::filesystem::file_size(part_path));
    for (std::uint64_t i = 0; i < 4; ++i) {
      REQUIRE(part->append(slab(i)).ok());
      ends.push_back(std::filesystem::file_size(part_path));
    }
    CHECK(ConversionPart::open(part_path, "a into b", true).error().code == Errc::already_exists);  // at work
  }
  CHECK(ConversionPart::open(part_path, "a into c", false).error().code == Errc::already_exists);
  const std::string whole = [&] {
    std::ifstream file(part_path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }();
  for (std::uint64_t length = ends.front(); length <= whole.size(); ++length) {
    std::ofstream(part_path, std::ios::binary | std::ios::trunc) << whole.substr(0, length);
    auto part = ConversionPart::open(part_path, "a into b", false);
    REQUIRE(part.ok());
    const auto expected =
        static_cast<std::uint64_t>(std::upper_bound(ends.begin(), ends.end(), length) - ends.begin()) - 1;
    REQUIRE(part->slabs() == expected);
    for (std::uint64_t i = 0; i < expected; ++i) {
      const auto read = part->read(i);
      REQUIRE(read.ok());
      REQUIRE(read->pixel_crcs == slab(i).pixel_crcs);
      REQUIRE(read->chunks[0].bytes == slab(i).chunks[0].bytes);
      REQUIRE_FALSE(read->chunks[1].filtered);
    }
    REQUIRE(part->append(slab(expected)).ok());
    if (expected < 4) REQUIRE(std::filesystem::file_size(part_path) == ends[expected + 1]);
  }
  std::string damaged = whole;
  damaged[ends[1] + 60] ^= 1;
  std::ofstream(part_path, std::ios::binary | std::ios::trunc) << damaged;
  CHECK(ConversionPart::open(part_path, "a into b", false)->slabs() == 1);
  CHECK(ConversionPart::open(part_path, "a into c", true)->slabs() == 0);
}

TEST_CASE("a conversion that is killed at any moment is finished by the same command", "[convert]") {
  const test::TempDir folder;
  const std::string target = (folder.path() / "a.h5").string(), part = target + ".part";
  const std::string source = "sim:pilatus-6m,rows=300,cols=400,frames=96,seed=5";
  int kills = 0;
  for (int round = 0; round < 40 && !std::filesystem::exists(target); ++round) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      const int silent = ::open("/dev/null", O_WRONLY);
      ::dup2(silent, STDOUT_FILENO);
      ::_exit(convert({source, "-o", target, "--layout", "compact", "--window", "4", "--threads", "1"}));
    }
    // Each time after a little more of it.
    std::this_thread::sleep_for(std::chrono::milliseconds(30 + 25 * round));
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    kills += WIFSIGNALED(status) ? 1 : 0;
    if (!WIFSIGNALED(status)) REQUIRE(WEXITSTATUS(status) == kExitDone);
  }
  if (!std::filesystem::exists(target)) {
    REQUIRE(convert({source, "-o", target, "--layout", "compact", "--window", "4"}) == kExitDone);
  }
  CHECK(kills > 0);
  CHECK_FALSE(std::filesystem::exists(part));
  CHECK(frames_in(target) == frames_in(source));
}

TEST_CASE("options that contradict each other are mistakes, and a part of something else is left alone",
          "[convert]") {
  const test::TempDir folder;
  const std::string h5 = (folder.path() / "a.h5").string(), sim = "sim:pilatus-6m,rows=30,cols=40,frames=4";
  CHECK(convert({sim, "-o", h5, "--layout", "compact", "--compression", "deflate"}) == kExitUsage);
  CHECK(convert({sim, "-o", h5, "--window", "8"}) == kExitUsage);
  CHECK(convert({sim, "-o", h5, "--layout", "compact", "--tile", "8"}) == kExitUsage);
  CHECK(convert({sim, "-o", h5, "--layout", "compact", "--profile", "raw"}) == kExitUsage);
  CHECK(convert({sim, "-o", h5, "--layout", "wide"}) == kExitUsage);
  CHECK(convert({sim, "-o", (folder.path() / "a.json").string(), "--layout", "compact"}) == kExitUsage);
  std::ofstream(h5 + ".part") << "somebody's notes";
  CHECK(convert({sim, "-o", h5}) == kExitCantCreate);
  CHECK(std::filesystem::file_size(h5 + ".part") == 16);
  CHECK(convert({sim, "-o", h5, "--force"}) == kExitDone);
  CHECK(convert({sim, "-o", h5}) == kExitCantCreate);
}
