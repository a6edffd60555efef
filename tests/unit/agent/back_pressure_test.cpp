// SPDX-License-Identifier: Apache-2.0
//
// What a nearly full spool makes the agent do: each action does what it says, says that it does, and ends when
// there is room again. The spool is real and small.
#include "agent/spool/back_pressure.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/agent/agent_fixture.hpp"

using namespace ff;
using namespace ff::test;
using foreframe::wire::SENT;
using foreframe::wire::VETOED;

namespace {

constexpr std::uint32_t kFrameSide = 64;
constexpr std::uint64_t kSpoolBytes = 1 << 20;

/// Noise that does not shrink: 8 KiB a frame.
std::vector<std::byte> noise(std::uint64_t frame) {
  std::vector<std::uint16_t> pixels(kFrameSide * kFrameSide);
  std::uint32_t state = static_cast<std::uint32_t>(frame) * 2654435761u + 12345;
  for (auto& pixel : pixels) {
    state = state * 1664525u + 1013904223u;
    pixel = static_cast<std::uint16_t>(state >> 16) % 65000;
  }
  return image_message(7, frame, kFrameSide, kFrameSide, pixels);
}

bool wait_until(const std::function<bool()>& done) {
  for (int i = 0; i < 5000; ++i) {
    if (done()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

/// A bench whose spool nobody frees until free_all().
struct PressureBench : SpoolBench {
  explicit PressureBench(BackPressureOptions options, std::uint64_t bytes_max = kSpoolBytes)
      : SpoolBench(std::make_shared<TempDir>(), short_windows(), 1, {}, {}, false, std::move(options),
                   bytes_max) {}
  static SeriesIngestOptions short_windows() {
    SeriesIngestOptions options;
    options.limits.window_frames = 4;
    return options;
  }
  void send_frames(std::uint64_t first, std::uint64_t end) {
    for (std::uint64_t frame = first; frame < end; ++frame) send(noise(frame));
  }
  void free_all() {
    auto reader = std::move(transport::SegmentReader::open(folder_->path() / "spool", "restart").value());
    REQUIRE(reader->commit(reader->end_offset()).ok());
  }
  /// State of every frame and bound of every window, as the spool has them.
  void read_back() {
    for (const Payload& record : spooled()) {
      const auto envelope = wire::parse_envelope(record.bytes());
      REQUIRE(envelope.ok());
      const auto& header = envelope->header;
      if (header.has_block()) bounds[header.block().window()] = header.block().bound();
      if (!header.has_window()) continue;
      for (int i = 0; i < header.window().states_size(); ++i)
        states[header.window().window() * 4 + static_cast<unsigned>(i)] = header.window().states(i);
    }
  }
  std::map<std::uint64_t, std::string> bounds;
  std::map<std::uint64_t, int> states;
};

constexpr std::uint64_t kNearlyFull = 118;  // frames: 0.92 MiB

}  // namespace

TEST_CASE("rules like 1/10 are read, and nothing else", "[agent][pressure]") {
  const KeepRule rule = parse_keep_rule("3/10").value();
  std::uint64_t kept = 0;
  for (std::uint64_t frame = 0; frame < 1000; ++frame) kept += rule.keeps(frame) ? 1 : 0;
  CHECK(kept == 300);
  for (const char* text : {"", "1", "1/", "/10", "0/10", "10/10", "11/10", "1/10 ", "-1/10", "1/1000001"})
    CHECK_FALSE(parse_keep_rule(text).ok());
  CHECK_FALSE(parse_on_full("drop").ok());
}

TEST_CASE(
    "veto keeps the frames of its rule while the spool is nearly full, and all of them before and after",
    "[agent][pressure]") {
  PressureBench bench({OnFull::veto, {1, 5}, {}, false});
  bench.send(start_of(7, 400, kFrameSide, kFrameSide));
  bench.send_frames(0, kNearlyFull);
  REQUIRE(wait_until([&] { return bench.pressure.active(); }));
  bench.send_frames(kNearlyFull, kNearlyFull + 20);
  CHECK(bench.metrics.frames_vetoed.value() == 16);
  bench.free_all();
  REQUIRE(wait_until([&] { return !bench.pressure.active(); }));
  bench.send_frames(kNearlyFull + 20, kNearlyFull + 40);
  bench.finish();
  bench.read_back();
  for (const auto& [frame, state] : bench.states) {
    INFO("frame " << frame);
    const bool under_pressure = frame >= kNearlyFull && frame < kNearlyFull + 20;
    if (frame >= kNearlyFull && frame < kNearlyFull + 40)
      CHECK(state == (under_pressure && frame % 5 != 0 ? VETOED : SENT));
  }
  CHECK(bench.metrics.pressure_episodes.value() == 1);
}

TEST_CASE("degrade codes later windows within the declared bound, and exactly again when there is room",
          "[agent][pressure]") {
  PressureBench bench({OnFull::degrade, {}, {}, false});
  bench.send(start_of(7, 400, kFrameSide, kFrameSide));
  bench.send_frames(0, 116);
  REQUIRE(wait_until([&] { return bench.pressure.active(); }));
  bench.send_frames(116, 120);
  REQUIRE(wait_until([&] { return bench.metrics.frames_degraded.value() == 4; }));
  bench.free_all();
  REQUIRE(wait_until([&] { return !bench.pressure.active(); }));
  bench.send_frames(120, 128);
  bench.finish();
  bench.read_back();
  // Segments before the freed ones are gone; what is left shows the last windows.
  CHECK(bench.bounds.at(30).empty());
  CHECK(bench.bounds.at(31).empty());
  if (bench.bounds.contains(29)) CHECK(bench.bounds.at(29) == "abs:2");
  CHECK(bench.metrics.frames_degraded.value() == 4);
  for (const auto& [frame, state] : bench.states) CHECK((state == SENT || frame >= 128));
}

TEST_CASE("stop runs the site's program once, without a shell, and then blocks", "[agent][pressure]") {
  TempDir folder;
  const std::string mark = (folder.path() / "a file; with $(odd) words").string();
  PressureBench bench({OnFull::stop, {}, {"touch", mark}, false});
  bench.send(start_of(7, 400, kFrameSide, kFrameSide));
  bench.send_frames(0, kNearlyFull);
  REQUIRE(wait_until([&] { return std::filesystem::exists(mark); }));
  CHECK(bench.metrics.stop_hooks.value() == 1);
  bench.free_all();
  bench.finish();
}

TEST_CASE("an agent that only observes vetoes nothing", "[agent][pressure]") {
  PressureBench bench({OnFull::veto, {1, 5}, {}, true});
  bench.send(start_of(7, 400, kFrameSide, kFrameSide));
  bench.send_frames(0, kNearlyFull);
  REQUIRE(wait_until([&] { return bench.pressure.active(); }));
  bench.send_frames(kNearlyFull, kNearlyFull + 4);
  CHECK(bench.metrics.frames_vetoed.value() == 0);
  bench.free_all();
  bench.finish();
}

TEST_CASE("a full spool is told in readiness with what it waits for, until there is room",
          "[agent][pressure]") {
  PressureBench bench({}, 256 << 10);
  bench.waits.unreceipted.store(7);
  bench.send(start_of(7, 400, kFrameSide, kFrameSide));
  bench.send_frames(0, 40);
  REQUIRE(wait_until([&] { return bench.health.troubles().find("spool") != std::string::npos; }));
  CHECK(bench.health.troubles().find("7 windows wait for receipts") != std::string::npos);
  CHECK(bench.metrics.count(Fault::spool_blocked) >= 1);
  bench.free_all();
  REQUIRE(wait_until([&] { return bench.health.troubles().find("spool") == std::string::npos; }));
  bench.free_all();
  bench.finish();
  CHECK(bench.spool_ok);
}
