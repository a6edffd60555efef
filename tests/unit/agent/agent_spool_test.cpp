// SPDX-License-Identifier: Apache-2.0
//
// From messages to the spool with all threads: every pixel comes back, every number has its state, records
// are in order. Run under ThreadSanitizer too.
#include <algorithm>
#include <map>

#include <catch2/catch.hpp>

#include "tests/unit/agent/agent_fixture.hpp"
#include "tests/unit/agent/spool_decode.hpp"

using namespace ff;
using namespace ff::test;
using foreframe::wire::DAMAGED;
using foreframe::wire::LOST;
using foreframe::wire::NOT_ACQUIRED;
using foreframe::wire::SENT;

TEST_CASE("every pixel of a series comes back from the spool, in several tiles and groups", "[agent]") {
  SeriesIngestOptions options;
  options.limits.tile_rows = 20;
  options.limits.tile_cols = 33;
  options.limits.group_frames = 5;
  SpoolBench bench(std::make_shared<TempDir>(), options, 3);
  bench.send(start_of(7, 40, 50, 70));
  for (std::uint64_t frame = 0; frame < 40; ++frame) bench.send(image_of(7, frame, 50, 70));
  bench.send(end_of(7));
  bench.finish();
  REQUIRE(bench.spool_ok);
  const Decoded decoded = decode(bench.spooled());
  REQUIRE(decoded.frames.size() == 40);
  for (std::uint64_t frame = 0; frame < 40; ++frame) {
    CHECK(decoded.frames.at(frame) == pixels_of(frame, 3500));
    CHECK(decoded.states.at(frame) == SENT);
  }
  CHECK(decoded.order.front() == "start");
  CHECK(decoded.order.back() == "end");
  CHECK(decoded.end.frames_expected() == 40);
  CHECK(decoded.end.windows() == 3);
  for (std::size_t i = 0; i < decoded.sequences.size(); ++i) CHECK(decoded.sequences[i] == i + 1);
  CHECK(bench.pool.in_use() == 0);
}

TEST_CASE("sparse frames are coded in longer groups once their size is known, dense ones are not",
          "[agent]") {
  constexpr std::uint32_t kSide = 128;
  const bool dense = GENERATE(false, true);
  const auto scene = [&](std::uint64_t frame) {
    std::vector<std::uint16_t> pixels(kSide * kSide);
    std::uint32_t noise = static_cast<std::uint32_t>(frame) * 2654435761u + 1;
    for (std::uint16_t& pixel : pixels) {
      noise = noise * 1664525u + 1013904223u;
      pixel = static_cast<std::uint16_t>(dense ? noise >> 16 : noise >> 24 == 0 ? 1 : 0);
    }
    return pixels;
  };
  SeriesIngestOptions options;
  options.limits.window_frames = 64;
  options.limits.group_pixels_max =
      16 * kSide * kSide;  // a dense group of 64 frames would be a block of 2 MB
  SpoolBench bench(std::make_shared<TempDir>(), options);
  bench.send(start_of(7, 640, kSide, kSide));
  for (std::uint64_t frame = 0; frame < 640; ++frame)
    bench.send(image_message(7, frame, kSide, kSide, scene(frame)));
  bench.send(end_of(7));
  bench.finish();
  const Decoded decoded = decode(bench.spooled());
  REQUIRE(decoded.frames.size() == 640);
  for (std::uint64_t frame = 0; frame < 640; ++frame) REQUIRE(decoded.frames.at(frame) == scene(frame));
  CHECK(decoded.windows.at(0).groups_per_tile(0) == 4);
  CHECK(decoded.windows.at(9).groups_per_tile(0) == (dense ? 4 : 1));
}

TEST_CASE("with dynamic windowing a new scene begins with a key group, inside its window",
          "[agent][windowing]") {
  constexpr std::uint32_t kSide = 96;
  const auto scene =
      [](std::uint64_t frame) {  // dark up to frame 23, then a bright gradient; both with noise
        std::vector<std::uint16_t> pixels = pixels_of(frame, kSide * kSide);
        std::uint32_t noise = static_cast<std::uint32_t>(frame) * 2654435761u + 1;
        for (std::size_t i = 0; i < pixels.size(); ++i) {
          noise = noise * 1664525u + 1013904223u;
          const std::uint32_t row = static_cast<std::uint32_t>(i / kSide);
          pixels[i] =
              static_cast<std::uint16_t>((noise >> 30) + (frame < 24 ? 0 : 20 * row + (noise >> 25 & 15)));
        }
        return pixels;
      };
  SeriesIngestOptions options;
  options.limits.group_frames = 4;
  SpoolBench bench(std::make_shared<TempDir>(), options, 2, parse_windowing("dynamic:1.5").value());
  bench.send(start_of(7, 32, kSide, kSide));
  for (std::uint64_t frame = 0; frame < 32; ++frame)
    bench.send(image_message(7, frame, kSide, kSide, scene(frame)));
  bench.send(end_of(7));
  bench.finish();
  std::vector<std::uint64_t> keys;
  for (const Payload& record : bench.spooled()) {
    const auto envelope = wire::parse_envelope(record.bytes());
    REQUIRE(envelope.ok());
    if (!envelope->header.has_block() || !envelope->header.block().key()) continue;
    CHECK(kernels::inspect_block(envelope->payload)->place.key);
    keys.push_back(envelope->header.block().window() * 16 + envelope->header.block().first_frame());
  }
  std::sort(keys.begin(), keys.end());
  CHECK(keys == std::vector<std::uint64_t>{0, 16, 24});
  const Decoded decoded = decode(bench.spooled());
  for (std::uint64_t frame = 0; frame < 32; ++frame) CHECK(decoded.frames.at(frame) == scene(frame));
}

TEST_CASE("a bound that the pixels can't have costs no frame: they are coded exactly, and it is counted",
          "[agent][lossy]") {
  const bool possible = GENERATE(false, true);  // a pedestal that is no value of uint16, and one that is
  const std::string declared = possible ? "photon:2.5,100" : "photon:2.5,70000";
  SpoolBench bench(std::make_shared<TempDir>(), {}, 2, {}, kernels::parse_loss_bound(declared).value());
  bench.send(start_of(7, 20, 30, 40));
  for (std::uint64_t frame = 0; frame < 20; ++frame) bench.send(image_of(7, frame, 30, 40));
  bench.send(end_of(7));
  bench.finish();
  CHECK(bench.metrics.count(Fault::bound_impossible) == (possible ? 0 : 1));
  CHECK(bench.metrics.count(Fault::encode_failed) == 0);
  std::size_t blocks = 0;
  for (const Payload& record : bench.spooled()) {
    const auto envelope = wire::parse_envelope(record.bytes());
    REQUIRE(envelope.ok());
    if (!envelope->header.has_block()) continue;
    CHECK(envelope->header.block().bound() == (possible ? declared : ""));
    ++blocks;
  }
  CHECK(blocks == 2);
  const Decoded decoded = decode(bench.spooled());
  REQUIRE(decoded.frames.size() == 20);
  std::size_t exact = 0;
  for (std::uint64_t frame = 0; frame < 20; ++frame)
    exact += decoded.frames.at(frame) == pixels_of(frame, 1200) ? 1 : 0;
  CHECK(exact == (possible ? 0 : 20));
}

TEST_CASE("each fault of a stream shows in the windows at its very frame and nowhere else", "[agent]") {
  SpoolBench bench(std::make_shared<TempDir>());
  bench.send(start_of(7, 60, 16, 16));
  std::vector<std::uint64_t> order;
  for (std::uint64_t frame = 0; frame < 50; ++frame)
    if (frame != 11 && frame != 12) order.push_back(frame);  // dropped
  std::swap(order[20], order[23]);                           // reordered
  for (const std::uint64_t frame : order) {
    auto message = image_of(7, frame, 16, 16);
    if (frame == 33) message.resize(message.size() - 9);  // truncated
    bench.send(message);
    if (frame == 40) bench.send(message);  // doubled
  }
  bench.send(end_of(7));
  bench.finish();
  const Decoded decoded = decode(bench.spooled());
  REQUIRE(decoded.states.size() == 60);
  for (const auto& [frame, state] : decoded.states) {
    INFO("frame " << frame);
    const int wanted = frame == 11 || frame == 12 ? LOST
                       : frame == 33              ? DAMAGED
                       : frame >= 50              ? NOT_ACQUIRED
                                                  : SENT;
    CHECK(state == wanted);
    CHECK(decoded.frames.contains(frame) == (wanted == SENT));
    if (wanted == SENT) CHECK(decoded.frames.at(frame) == pixels_of(frame, 256));
  }
  CHECK(decoded.end.frames_expected() == 60);
  CHECK(decoded.end.frames_duplicated() == 1);
  CHECK(bench.metrics.count(Fault::frame_missing) == 2);
}

TEST_CASE("a window's record follows its blocks and counts them per tile", "[agent]") {
  SeriesIngestOptions options;
  options.limits.tile_rows = options.limits.tile_cols = 8;
  SpoolBench bench(std::make_shared<TempDir>(), options, 2);
  for (std::uint64_t frame = 0; frame < 32; ++frame) bench.send(image_of(7, frame, 16, 16));
  bench.finish();
  std::map<std::uint64_t, std::map<std::uint32_t, std::uint32_t>> blocks;
  int windows = 0;
  for (const Payload& record : bench.spooled()) {
    const auto envelope = wire::parse_envelope(record.bytes());
    REQUIRE(envelope.ok());
    if (envelope->header.has_block()) {
      const auto& block = envelope->header.block();
      CHECK(block.group() == blocks[block.window()][block.tile()]);
      ++blocks[block.window()][block.tile()];
    }
    if (!envelope->header.has_window()) continue;
    ++windows;
    const auto& window = envelope->header.window();
    REQUIRE(window.groups_per_tile_size() == 4);
    for (int tile = 0; tile < 4; ++tile)
      CHECK(window.groups_per_tile(tile) == blocks[window.window()][static_cast<std::uint32_t>(tile)]);
    CHECK(window.payload_sha256().size() == 32);
    CHECK(window.raw_bytes() == 16u * 512u);
    CHECK(window.received_utc_ns_size() == 16);
  }
  CHECK(windows == 2);
}

TEST_CASE("after a crash the series goes on in the window that was not recorded, under a new epoch",
          "[agent]") {
  auto folder = std::make_shared<TempDir>();
  std::string uid;
  {
    SpoolBench first(folder);
    first.send(start_of(7, 64, 16, 16));
    for (std::uint64_t frame = 0; frame < 20; ++frame) first.send(image_of(7, frame, 16, 16));
    first.finish(true);
    uid = wire::parse_envelope(first.spooled().at(0).bytes())->header.series_uid();
  }
  {
    SpoolBench second(folder);
    for (std::uint64_t frame = 20; frame < 64; ++frame) second.send(image_of(7, frame, 16, 16));
    second.send(end_of(7));
    second.finish();
    const Decoded decoded = decode(second.spooled());
    for (const auto& record : second.spooled())
      CHECK(wire::parse_envelope(record.bytes())->header.series_uid() == uid);
    REQUIRE(decoded.states.size() == 64);
    for (const auto& [frame, state] : decoded.states)
      CHECK(state ==
            (frame >= 16 && frame < 20 ? LOST : SENT));  // they were in the killed agent's open group
    CHECK(decoded.end.frames_expected() == 64);
  }
}
