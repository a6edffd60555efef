// SPDX-License-Identifier: Apache-2.0
//
// Archives on many cores: the same bytes, a part without the rest, memory within its bound, key groups where the
// scene changes.
#include <atomic>
#include <fstream>
#include <iostream>
#include <iterator>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/tools/recording_fixture.hpp"
#include "tools/archive/archive_decode.hpp"
#include "tools/archive/archive_encode.hpp"

using namespace ff;
using namespace ff::tools;

namespace {

std::unique_ptr<ArchiveRecording> open_archive(const std::string& path, const ArchiveDecodeOptions& options) {
  auto opened = ArchiveRecording::open(path, options);
  INFO((opened.ok() ? std::string() : opened.error().message));
  REQUIRE(opened.ok());
  return std::move(*opened);
}

std::vector<char> bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

ArchiveSelection selection_of(const std::string& frames, const std::string& windows, const std::string& tile,
                              const std::string& region) {
  auto selection = parse_selection(frames, windows, tile, region);
  INFO((selection.ok() ? std::string() : selection.error().message));
  REQUIRE(selection.ok());
  return *selection;
}

/// Frames of one recording up to `cut`, then those of another.
class SceneCut final : public FrameReader {
 public:
  SceneCut(FrameReaderPtr before, FrameReaderPtr after, std::uint64_t cut)
      : FrameReader(before->info()), before_(std::move(before)), after_(std::move(after)), cut_(cut) {}
  Status read(std::uint64_t index, MutableByteSpan pixels) override {
    return (index < cut_ ? before_ : after_)->read(index, pixels);
  }

 private:
  FrameReaderPtr before_, after_;
  std::uint64_t cut_;
};

/// Which groups of an archive hold a key block inside their window.
std::vector<std::pair<std::uint64_t, std::uint32_t>> key_groups(const std::string& path) {
  const auto archive = ArchiveReader::open(path);
  REQUIRE(archive.ok());
  std::vector<std::pair<std::uint64_t, std::uint32_t>> found;
  for (const ArchiveEntry& entry : archive->entries()) {
    if (entry.kind != ArchiveRecord::block || entry.group == 0) continue;
    const auto bytes = archive->read(entry);
    REQUIRE(bytes.ok());
    const auto envelope = wire::parse_envelope(*bytes);
    REQUIRE(envelope.ok());
    const auto info = kernels::inspect_block(envelope->payload);
    REQUIRE(info.ok());
    CHECK(info->place.key == envelope->header.block().key());
    if (info->place.key) found.emplace_back(entry.window, entry.group);
  }
  return found;
}

}  // namespace

TEST_CASE("an archive's bytes do not depend on the number of threads", "[archive][cores]") {
  const test::TempDir folder;
  const std::string source = GENERATE("sim:eiger2-16m,rows=150,cols=200,frames=70",              // many tiles
                                      "sim:pilatus-6m,rows=64,cols=64,frames=90,kind=rotation",  // one tile
                                      "sim:citius-module,rows=96,cols=50,frames=7");             // one window
  ArchiveEncodeOptions options;
  options.stamp = ArchiveStamp::mint();
  options.window_frames = 12;
  options.group_frames = GENERATE(0u, 5u);
  options.tile_rows = options.tile_cols = 64;
  options.windowing = {GENERATE(0u, 1010u)};
  std::vector<char> first;
  for (const std::uint32_t threads : {1u, 2u, 4u}) {
    const auto reader = simulated(source);
    const std::string path = (folder.path() / (std::to_string(threads) + ".ffs")).string();
    options.threads = threads;
    const ArchiveEncodeReport report = encode(*reader, path, options);
    CHECK(report.threads ==
          std::min<std::uint64_t>(threads, report.frames < 12 ? 2 : threads));  // 2 tiles, 1 window
    if (threads == 1) first = bytes_of(path);
    REQUIRE(bytes_of(path) == first);
    ArchiveDecodeOptions decoding;
    decoding.threads = threads;
    const auto archive = open_archive(path, decoding);
    CHECK(archive->threads() == report.threads);
    CHECK(read_all(*archive) == read_all(*reader));
    CHECK(archive->blocks_read() == report.blocks);
    std::vector<std::byte> again(reader->info().shape.bytes()), expected(again.size());
    for (const std::uint64_t index : {std::uint64_t{6}, std::uint64_t{0}, reader->info().frames - 1}) {
      REQUIRE(archive->read(index, again).ok());  // jumps, ahead and back
      REQUIRE(reader->read(index, expected).ok());
      CHECK(again == expected);
    }
  }
}

TEST_CASE("a failing block fails its window with any number of threads, and no other", "[archive][cores]") {
  const test::TempDir folder;
  const std::string path = (folder.path() / "a.ffs").string();
  const auto reader = simulated("sim:eiger2-16m,rows=128,cols=128,frames=40");
  ArchiveEncodeOptions options;
  options.window_frames = 8;
  options.group_frames = 4;
  options.tile_rows = options.tile_cols = 64;
  encode(*reader, path, options);
  const auto entries = ArchiveReader::open(path)->entries();
  const auto hit = std::find_if(entries.begin(), entries.end(), [](const ArchiveEntry& entry) {
    return entry.kind == ArchiveRecord::block && entry.window == 2 && entry.group == 0 && entry.tile == 3;
  });
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary)
      .seekp(static_cast<std::streamoff>(hit->position + hit->value_bytes / 2))
      .write("\x55\x55\x55", 3);
  ArchiveDecodeOptions decoding;
  decoding.threads = GENERATE(1u, 2u, 4u);
  const auto archive = open_archive(path, decoding);
  std::vector<std::byte> frame(reader->info().shape.bytes()), expected(frame.size());
  for (std::uint64_t i = 0; i < 40; ++i) {
    INFO("frame " << i);
    const Status read = archive->read(i, frame);
    REQUIRE(read.ok() == (i / 8 != 2));
    if (!read.ok()) continue;
    REQUIRE(reader->read(i, expected).ok());
    REQUIRE(frame == expected);
  }
}

TEST_CASE("a part of an archive is what the whole has there, and only its blocks are read",
          "[archive][cores]") {
  const test::TempDir folder;
  const std::string path = (folder.path() / "a.ffs").string();
  const auto reader = simulated("sim:pilatus-6m,rows=250,cols=520,frames=50");
  ArchiveEncodeOptions options;
  options.window_frames = 16;
  options.group_frames = 4;
  options.tile_rows = 100;
  options.tile_cols = 200;
  encode(*reader, path, options);  // 3 x 3 tiles, windows of 4, 4, 4 and 1 groups
  const Frames whole = read_all(*reader);
  struct Wanted {
    const char *frames, *windows, *tile, *region;
    std::uint64_t first, count, blocks;
    TileRect rect;
  };
  const Wanted wanted = GENERATE(Wanted{"", "", "", "", 0, 50, 117, {0, 0, 250, 520}},
                                 Wanted{"0:1", "", "", "", 0, 1, 9, {0, 0, 250, 520}},
                                 Wanted{"22:24", "", "", "", 22, 2, 18, {0, 0, 250, 520}},
                                 Wanted{"30:34", "", "2,1", "", 30, 4, 5, {200, 200, 50, 200}},
                                 Wanted{"", "1:3", "", "0:1,0:1", 16, 32, 8, {0, 0, 1, 1}},
                                 Wanted{"", "3:", "", "99:101,150:450", 48, 2, 6, {99, 150, 2, 300}},
                                 Wanted{"49:", "", "", ":,399:401", 49, 1, 6, {0, 399, 250, 2}},
                                 Wanted{":", "", "0,0", "", 0, 50, 13, {0, 0, 100, 200}});
  ArchiveDecodeOptions decoding;
  decoding.selection = selection_of(wanted.frames, wanted.windows, wanted.tile, wanted.region);
  decoding.threads = GENERATE(1u, 3u);
  const auto archive = open_archive(path, decoding);
  const RecordingInfo& info = archive->info();
  REQUIRE(info.frames == wanted.count);
  REQUIRE(info.shape == FrameShape{reader->info().shape.dtype, wanted.rect.rows, wanted.rect.cols});
  const Frames part = read_all(*archive);
  CHECK(archive->blocks_read() == wanted.blocks);
  CHECK(archive->blocks_in_file() == 117);
  for (std::uint64_t i = 0; i < info.frames; ++i) {
    const FrameView from =
        dense_view(reader->info().shape, static_cast<const void*>(whole[wanted.first + i].data()))
            .tile(wanted.rect);
    const FrameView to = dense_view(info.shape, static_cast<const void*>(part[i].data()));
    for (std::uint32_t row = 0; row < info.shape.rows; ++row)
      REQUIRE(std::memcmp(from.row(row), to.row(row), info.shape.row_bytes()) == 0);
  }
  REQUIRE(info.pixel_mask.size() == info.shape.pixels());
  CHECK(info.pixel_mask.front() ==
        reader->info().pixel_mask[std::size_t{wanted.rect.row} * 520 + wanted.rect.col]);
}

TEST_CASE("what the pool's threads write is what is read one by one", "[archive][cores]") {
  const test::TempDir folder;
  const std::string path = (folder.path() / "a.ffs").string();
  const auto reader = simulated("sim:pilatus-6m,rows=120,cols=130,frames=45");
  ArchiveEncodeOptions options;
  options.window_frames = 16;
  options.group_frames = 6;
  options.tile_rows = options.tile_cols = 64;
  encode(*reader, path, options);
  ArchiveDecodeOptions decoding;
  decoding.selection = selection_of(GENERATE("", "5:39", "17:18"), "", "", GENERATE("", "30:70,60:130"));
  decoding.threads = GENERATE(1u, 2u, 4u);
  const auto archive = open_archive(path, decoding);
  const Frames expected = read_all(*archive);
  Frames written(expected.size(), std::vector<std::byte>(archive->info().shape.bytes()));
  std::vector<std::atomic<int>> times(expected.size());
  std::uint64_t told = 0;
  const auto sink = [&](std::uint64_t index, ByteSpan frames) -> Status {
    for (; !frames.empty(); ++index, frames = frames.subspan(written[index - 1].size())) {
      ++times.at(index);
      std::copy_n(frames.begin(), written[index].size(), written[index].begin());
    }
    return {};
  };
  REQUIRE(archive->write_to(sink, [&](std::uint64_t done) { told = done; }).ok());
  CHECK(told == expected.size());
  CHECK(written == expected);
  CHECK(std::ranges::all_of(times, [](const auto& t) { return t == 1; }));

  std::atomic<std::uint64_t> calls{0};
  const auto full = [&](std::uint64_t, ByteSpan) -> Status {
    ++calls;
    return fail(Errc::disk_full, "no space left");
  };
  const Status refused = archive->write_to(full, [](std::uint64_t) {});
  CHECK(refused.error().code == Errc::disk_full);
  CHECK(calls > 0);
  CHECK(read_all(*archive) == expected);  // and goes on
}

TEST_CASE("a part that begins inside a window is decoded from the key group before it", "[archive][cores]") {
  const test::TempDir folder;
  const std::string path = (folder.path() / "a.ffs").string();
  // The scene changes at frame 40: group 10 of window 0 is a key group. One tile changes nothing.
  SceneCut reader(simulated("sim:eiger2-16m,rows=256,cols=256,frames=64,seed=3,rate=0.3"),
                  simulated("sim:eiger2-16m,rows=256,cols=256,frames=64,seed=99,rate=8,kind=speckle"), 40);
  ArchiveEncodeOptions options;
  options.window_frames = 64;
  options.group_frames = 4;
  options.windowing = agent::parse_windowing("dynamic:1.5").value();
  encode(reader, path, options);
  REQUIRE(key_groups(path) == std::vector<std::pair<std::uint64_t, std::uint32_t>>{{0, 10}});
  struct Wanted {
    const char* frames;
    std::uint64_t first, blocks;
  };
  const Wanted wanted = GENERATE(Wanted{"39:40", 39, 10}, Wanted{"40:41", 40, 1}, Wanted{"47:53", 47, 4},
                                 Wanted{"63:", 63, 6}, Wanted{"38:42", 38, 11});
  ArchiveDecodeOptions decoding;
  decoding.selection = selection_of(wanted.frames, "", "", "");
  decoding.threads = GENERATE(1u, 2u);
  const auto archive = open_archive(path, decoding);
  const Frames part = read_all(*archive);
  CHECK(archive->blocks_read() == wanted.blocks);
  CHECK(archive->tile_frames_decoded() == 4 * wanted.blocks);
  const Frames whole = read_all(reader);
  for (std::size_t i = 0; i < part.size(); ++i) REQUIRE(part[i] == whole[wanted.first + i]);
}

TEST_CASE("groups grow where blocks are small, the same with any number of threads", "[archive][cores]") {
  const test::TempDir folder;
  const std::string path = (folder.path() / "a.ffs").string();
  const double rate = GENERATE(0.001, 3.0);
  const auto reader = simulated("sim:eiger2-16m,rows=512,cols=512,frames=128,rate=" + std::to_string(rate));
  ArchiveEncodeOptions options;
  options.window_frames = 32;
  options.stamp = ArchiveStamp::mint();
  const ArchiveEncodeReport grown = encode(*reader, path, options);
  const std::vector<char> bytes = bytes_of(path);
  CHECK(grown.groups == (rate < 1 ? 4 + 3 * 1 : 4 * 4));  // 8 frames, and 32 where a block stays below 600 kB
  const auto archive = open_archive(path, {});
  CHECK(archive->memory().frames == (rate < 1 ? 32 : 8) * reader->info().shape.bytes());
  CHECK(read_all(*archive) == read_all(*reader));
  options.threads = 3;
  options.force = true;
  encode(*reader, path, options);
  CHECK(bytes_of(path) == bytes);
  options.group_frames = 8;
  const ArchiveEncodeReport fixed = encode(*reader, path, options);
  CHECK(fixed.groups == 16);
  CHECK(grown.coded_bytes <= fixed.coded_bytes);
  std::cerr << "groups by size: " << grown.coded_bytes << " bytes, of 8 frames: " << fixed.coded_bytes
            << "\n";
}

TEST_CASE("a part that is not there is refused by name", "[archive][cores]") {
  CHECK(parse_range("3:7", "--frames").value() == IndexRange{3, 7});
  CHECK(parse_range(":", "--frames").value() == IndexRange{0, std::nullopt});
  for (const char* text : {"", "3", "a:b", "3:-1", "1:2:3", " 1:2", "99999999999999999999:"})
    CHECK_FALSE(parse_range(text, "--frames").ok());
  CHECK_FALSE(parse_selection("0:1", "0:1", "", "").ok());
  CHECK_FALSE(parse_selection("", "", "0,0", "0:1,0:1").ok());
  for (const char* tile : {"0", "0,", ",0", "0,-1", "a,b", "0,4294967296"})
    CHECK_FALSE(parse_selection("", "", tile, "").ok());
  for (const char* region : {"0:1", "0:1,", "0:1,1"}) CHECK_FALSE(parse_selection("", "", "", region).ok());

  const test::TempDir folder;
  const std::string path = (folder.path() / "a.ffs").string();
  const auto reader = simulated("sim:eiger2-16m,rows=60,cols=60,frames=20");
  encode(*reader, path, {});
  for (const auto& selection :
       {selection_of("0:21", "", "", ""), selection_of("5:5", "", "", ""), selection_of("20:", "", "", ""),
        selection_of("", "2:", "", ""), selection_of("", "", "0,1", ""), selection_of("", "", "", "0:61,:"),
        selection_of("", "", "", "7:3,:")}) {
    ArchiveDecodeOptions decoding;
    decoding.selection = selection;
    const auto opened = ArchiveRecording::open(path, decoding);
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.error().code == Errc::out_of_range);
  }
}

TEST_CASE("a bound above the limit is refused before a frame is read, with what would fit",
          "[archive][cores]") {
  const test::TempDir folder;
  const std::string path = (folder.path() / "a.ffs").string();
  const auto reader = simulated("sim:eiger2-16m,rows=1024,cols=1024,frames=32");
  ArchiveEncodeOptions options;
  options.threads = 2;
  options.memory_max = 200'000'000;
  const auto refused =
      encode_archive(*reader, path, options, [](std::uint64_t) { FAIL("a frame was coded"); });
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Errc::invalid_argument);
  CHECK(refused.error().message.find("above --memory 200 MB: --group ") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(path));
  options.memory_max = 1000;
  const auto hopeless = encode_archive(*reader, path, options, [](std::uint64_t) {});
  REQUIRE_FALSE(hopeless.ok());
  CHECK(hopeless.error().message.find("no --group or --threads is small enough") != std::string::npos);
  options.memory_max = 2'000'000'000;
  CHECK(encode(*reader, path, options).memory.total() <= options.memory_max);
  ArchiveDecodeOptions decoding;
  decoding.memory_max = 1000;
  CHECK(ArchiveRecording::open(path, decoding).error().code == Errc::invalid_argument);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
namespace {

/// Private memory of this process that it may write, in bytes: what RLIMIT_DATA counts.
std::uint64_t data_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmData:")) return std::stoull(line.substr(7)) * 1024;
  return 0;
}

/// From here on the process may have `bytes` of private memory, program and heap included: what asks for a page more
/// fails.
bool limit_memory(std::uint64_t bytes) {
  pthread_attr_t attributes;  // the bound counts 1 MiB for a thread's stack, the system maps 8
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 1u << 20);
  const rlimit limit{bytes, bytes};
  return pthread_setattr_default_np(&attributes) == 0 && ::setrlimit(RLIMIT_DATA, &limit) == 0;
}

/// Runs `body` in a process of its own; true when it ended well.
template <typename Body>
bool in_child(Body body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    try {
      ::_exit(body() ? 0 : 1);
    } catch (const std::exception&) {  // no memory, no thread
      ::_exit(2);
    }
  }
  int state = 0;
  REQUIRE(::waitpid(child, &state, 0) == child);
  return WIFEXITED(state) && WEXITSTATUS(state) == 0;
}

struct Series16M {
  const char* source;
  kernels::Profile profile;
};

}  // namespace

TEST_CASE("a 16-Mpixel series is coded and decoded with no more memory than was stated", "[archive][cores]") {
  const test::TempDir folder;
  const std::string path = (folder.path() / "a.ffs").string();
  const Series16M series =
      GENERATE(Series16M{"sim:eiger2-16m,rows=4096,cols=4096,frames=6,dtype=u16", kernels::Profile::fast},
               Series16M{"sim:jungfrau-4m,rows=4096,cols=4096,frames=4,rate=50", kernels::Profile::fast},
               Series16M{"sim:eiger2-16m,rows=4096,cols=4096,frames=3,dtype=u16", kernels::Profile::small});
  ArchiveEncodeOptions options;
  options.profile = series.profile;
  options.window_frames = 4;
  options.group_frames = 2;
  options.threads = GENERATE(1u, 2u);
  options.force = true;
  const auto encodes = [&] {
    const auto reader = open_recording(series.source);
    if (!reader.ok()) return false;
    const auto stated = encode_memory(**reader, options);
    const std::uint64_t bound = stated.ok() ? stated->total() : 0;
    if (!limit_memory(bound)) return false;
    const auto report = encode_archive(**reader, path, options, [](std::uint64_t) {});
    return report.ok() && report->memory.total() == bound;
  };
  REQUIRE(in_child(encodes));

  ArchiveDecodeOptions decoding;
  decoding.threads = options.threads;
  decoding.frames_beside = 2;
  const auto decodes = [&](const std::function<std::uint64_t(const MemoryBound&)>& limit) {
    const auto stated = [&] {
      return open_archive(path, decoding)->memory();
    }();  // and all of it is given back
    if (!limit_memory(limit(stated))) return false;
    const auto archive = ArchiveRecording::open(path, decoding);
    if (!archive.ok()) return false;
    std::vector<std::byte> frame((*archive)->info().shape.bytes());
    for (std::uint64_t i = 0; i < (*archive)->info().frames; ++i)
      if (!(*archive)->read(i, frame).ok()) return false;
    return true;
  };
  REQUIRE(in_child([&] { return decodes([](const MemoryBound& bound) { return bound.total(); }); }));
  // The limit is one: where there is room for half of the frames, the same run ends with an error.
  CHECK_FALSE(in_child(
      [&] { return decodes([](const MemoryBound& bound) { return data_bytes() + bound.frames / 2; }); }));

  if (options.threads == 1) return;  // its bytes are those of two threads
  const auto archive = open_archive(path, decoding);
  const auto reader = simulated(series.source);
  std::vector<std::byte> frame(reader->info().shape.bytes()), expected(frame.size());
  for (std::uint64_t i = 0; i < reader->info().frames; ++i) {
    REQUIRE(archive->read(i, frame).ok());
    REQUIRE(reader->read(i, expected).ok());
    REQUIRE(frame == expected);
  }
}
#endif

TEST_CASE("dynamic windowing starts a key group where the scene changes", "[archive][cores][windowing]") {
  const test::TempDir folder;
  const std::string fixed = (folder.path() / "static.ffs").string();
  const std::string dynamic = (folder.path() / "dynamic.ffs").string();
  const std::uint64_t cut = GENERATE(20u, 40u);  // group 5 of window 0, group 2 of window 1 (W = 32)
  SceneCut reader(simulated("sim:eiger2-16m,rows=256,cols=256,frames=64,seed=3,rate=0.3"),
                  simulated("sim:eiger2-16m,rows=256,cols=256,frames=64,seed=99,rate=8,kind=speckle"), cut);
  ArchiveEncodeOptions options;
  options.window_frames = 32;
  options.group_frames = 4;
  const ArchiveEncodeReport plain = encode(reader, fixed, options);
  CHECK(plain.key_blocks == 0);
  CHECK(key_groups(fixed).empty());
  options.windowing = agent::parse_windowing("dynamic:1.5").value();
  const ArchiveEncodeReport report = encode(reader, dynamic, options);
  const auto keys = key_groups(dynamic);
  REQUIRE(report.key_blocks == keys.size());
  REQUIRE_FALSE(keys.empty());
  CHECK(keys.front() == std::pair{cut / 32, static_cast<std::uint32_t>(cut % 32 / 4)});
  CHECK(report.coded_bytes <= plain.coded_bytes);
  CHECK(read_all(*open_archive(dynamic, {})) == read_all(reader));
}

TEST_CASE("windowing is static, or dynamic with a factor above one", "[windowing]") {
  CHECK(agent::parse_windowing("static").value() == agent::Windowing{0});
  CHECK(agent::parse_windowing("dynamic:1.5").value() == agent::Windowing{1500});
  CHECK(agent::parse_windowing("dynamic:100").value() == agent::Windowing{100'000});
  for (const char* text : {"", "dynamic", "dynamic:", "dynamic:1", "dynamic:0.5", "dynamic:101",
                           "dynamic:nan", "dynamic:1.5x", "Static"}) {
    INFO(text);
    CHECK_FALSE(agent::parse_windowing(text).ok());
  }
}
