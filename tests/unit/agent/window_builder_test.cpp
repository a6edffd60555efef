// SPDX-License-Identifier: Apache-2.0
//
// WindowBuilder: each fault of order has exactly the effect on states and groups that the format promises.
#include "agent/window/window_builder.hpp"

#include <algorithm>
#include <random>

#include <catch2/catch.hpp>

#include "agent/window/tick_pace.hpp"

using namespace ff;
using namespace ff::agent;
using namespace std::chrono_literals;
using foreframe::wire::DAMAGED;
using foreframe::wire::LOST;
using foreframe::wire::NOT_ACQUIRED;
using foreframe::wire::SENT;

namespace {

constexpr std::int64_t kMs = 1'000'000;

/// A builder whose output is collected.
struct Grid {
  explicit Grid(const WindowBuilderOptions& options) : builder(options) {}

  void frame(std::uint64_t number, std::int64_t at_ns = 0) { note(number, SENT, at_ns); }
  void note(std::uint64_t number, foreframe::wire::FrameState state, std::int64_t at_ns = 0) {
    FrameNote note;
    note.frame = number;
    note.state = state;
    note.stage = state == SENT ? foreframe::wire::STAGE_NONE : foreframe::wire::STAGE_INGEST;
    note.received_monotonic_ns = at_ns;
    if (state == SENT) note.pixels = std::make_shared<const HeldFrame>();
    builder.add(std::move(note), sink());
  }
  void tick(std::int64_t now_ns) { builder.tick(now_ns, sink()); }
  void finish(std::uint64_t expected) { builder.finish(expected, sink()); }

  WindowSink sink() {
    return [this](WindowOutput output) {
      if (auto* group = std::get_if<FrameGroup>(&output))
        groups.push_back(std::move(*group));
      else
        windows.push_back(std::move(std::get<FinishedWindow>(output)));
    };
  }
  [[nodiscard]] std::vector<int> states() const {
    std::vector<int> all;
    for (const auto& window : windows)
      for (const auto& note : window.frames) all.push_back(note.state);
    return all;
  }

  WindowBuilder builder;
  std::vector<FrameGroup> groups;
  std::vector<FinishedWindow> windows;
};

WindowBuilderOptions options_of(std::uint32_t window, std::uint32_t group, std::uint32_t reorder) {
  WindowBuilderOptions options;
  options.window_frames = window;
  options.group_frames = group;
  options.reorder_frames = reorder;
  options.group_latency_ns = 200 * kMs;
  options.reorder_time_ns = 1000 * kMs;
  return options;
}

}  // namespace

TEST_CASE("an agent that is late makes full groups of what waits, and looks at time-outs all the same",
          "[agent]") {
  Grid grid(options_of(16, 16, 4));
  TickPace pace(200ms);
  std::int64_t now_ns = 5000 * kMs;
  int looks = 0;
  for (std::uint64_t frame = 0; frame < 320; ++frame, now_ns += 2 * kMs) {  // each of them came a second ago
    grid.frame(frame, now_ns - 1000 * kMs);
    if (!pace.due(now_ns, frame + 1 < 320)) continue;
    grid.tick(now_ns);
    ++looks;
  }
  CHECK(looks == 5);
  CHECK(grid.groups.size() <= 20 + 5);
  CHECK(grid.windows.size() == 20);
}

TEST_CASE("frames in order fill groups and windows by count", "[agent]") {
  Grid grid(options_of(8, 4, 4));
  for (std::uint64_t frame = 0; frame < 16; ++frame) grid.frame(frame);
  REQUIRE(grid.groups.size() == 4);
  REQUIRE(grid.windows.size() == 2);
  CHECK(grid.groups[0].key);
  CHECK_FALSE(grid.groups[1].key);
  CHECK(grid.groups[2].key);
  CHECK(grid.groups[1].first_frame == 4);
  CHECK(grid.groups[1].group == 1);
  CHECK(grid.groups[3].window == 1);
  CHECK(grid.groups[3].present == 0xf);
  CHECK(grid.windows[1].groups == 2);
  CHECK(grid.states() == std::vector<int>(16, SENT));
}

TEST_CASE("another size of groups begins with a window, never inside one", "[agent]") {
  Grid grid(options_of(8, 2, 0));
  for (std::uint64_t frame = 0; frame < 3; ++frame) grid.frame(frame);
  grid.builder.set_group_frames(8);
  for (std::uint64_t frame = 3; frame < 16; ++frame) grid.frame(frame);
  grid.builder.set_group_frames(4);
  for (std::uint64_t frame = 16; frame < 24; ++frame) grid.frame(frame);
  std::vector<std::uint32_t> counts;
  for (const FrameGroup& group : grid.groups) counts.push_back(group.frame_count);
  CHECK(counts == std::vector<std::uint32_t>{2, 2, 2, 2, 8, 4, 4});
  CHECK(grid.windows.size() == 3);
}

TEST_CASE("a slow detector's frame is released by the latency limit and still predicted from its window",
          "[agent]") {
  Grid grid(options_of(8, 8, 4));
  grid.frame(0, 0);
  grid.tick(199 * kMs);
  CHECK(grid.groups.empty());
  grid.tick(200 * kMs);
  REQUIRE(grid.groups.size() == 1);
  CHECK(grid.groups[0].frame_count == 1);
  grid.frame(1, 1000 * kMs);
  grid.tick(1200 * kMs);
  REQUIRE(grid.groups.size() == 2);
  CHECK_FALSE(grid.groups[1].key);
  CHECK(grid.groups[1].first_frame == 1);
  CHECK(grid.windows.empty());
}

TEST_CASE("frames out of order within the horizon are put in order and nothing is lost", "[agent]") {
  Grid grid(options_of(8, 8, 8));
  for (const std::uint64_t frame : {3u, 0u, 1u, 2u, 7u, 6u, 5u, 4u}) grid.frame(frame);
  REQUIRE(grid.windows.size() == 1);
  CHECK(grid.states() == std::vector<int>(8, SENT));
  CHECK(grid.builder.frames_missing() == 0);
}

TEST_CASE("any order within the horizon gives the same windows", "[agent]") {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::pair<double, std::uint64_t>> order;
    std::uniform_real_distribution<double> delay(0, 6);
    for (std::uint64_t frame = 0; frame < 64; ++frame)
      order.emplace_back(static_cast<double>(frame) + delay(random), frame);
    std::sort(order.begin(), order.end());
    Grid grid(options_of(16, 5, 8));
    for (const auto& [time, frame] : order) grid.frame(frame);
    grid.finish(64);
    CHECK(grid.states() == std::vector<int>(64, SENT));
    CHECK(grid.builder.frames_late() == 0);
  }
}

TEST_CASE("a missing number is lost(receive) once the horizon has passed, and only that number", "[agent]") {
  Grid grid(options_of(8, 8, 3));
  for (const std::uint64_t frame : {0u, 1u, 3u, 4u, 5u, 6u, 7u}) grid.frame(frame);
  REQUIRE(grid.windows.size() == 1);
  CHECK(grid.windows[0].frames[2].state == LOST);
  CHECK(grid.windows[0].frames[2].stage == foreframe::wire::STAGE_RECEIVE);
  CHECK(grid.groups.at(0).present == 0xfb);
  CHECK(grid.groups.at(0).frame_count == 8);
  CHECK(grid.builder.frames_missing() == 1);
}

TEST_CASE("at low rates a gap is given up after the reorder time", "[agent]") {
  Grid grid(options_of(8, 8, 8));
  grid.frame(0, 0);
  grid.frame(2, 100 * kMs);
  grid.tick(300 * kMs);
  REQUIRE(grid.groups.size() == 1);  // frame 0 by latency; the gap at 1 is still waited for
  CHECK(grid.groups[0].frame_count == 1);
  grid.tick(1100 * kMs);
  REQUIRE(grid.groups.size() == 2);
  CHECK(grid.groups[1].first_frame == 1);
  CHECK(grid.groups[1].frame_count == 2);
  CHECK(grid.groups[1].present == 2);
}

TEST_CASE("a frame too late for its group is lost(ingest) in its window's record", "[agent]") {
  Grid grid(options_of(8, 2, 2));
  for (const std::uint64_t frame : {0u, 2u, 3u, 4u, 1u, 5u, 6u, 7u}) grid.frame(frame);
  REQUIRE(grid.windows.size() == 1);
  CHECK(grid.windows[0].frames[1].state == LOST);
  CHECK(grid.windows[0].frames[1].stage == foreframe::wire::STAGE_INGEST);
  CHECK(grid.builder.frames_late() == 1);
}

TEST_CASE("a damaged frame is recorded, and a good copy before its group closes replaces it", "[agent]") {
  Grid grid(options_of(4, 4, 4));
  grid.frame(0);
  grid.note(1, DAMAGED);
  grid.note(2, DAMAGED);
  grid.frame(2);
  grid.note(2, DAMAGED);  // and a bad copy does not replace a good one
  grid.frame(3);
  REQUIRE(grid.windows.size() == 1);
  CHECK(grid.states() == std::vector<int>{SENT, DAMAGED, SENT, SENT});
  CHECK(grid.windows[0].frames[1].stage == foreframe::wire::STAGE_INGEST);
  CHECK(grid.groups.at(0).present == 0b1101);
  CHECK(grid.groups.at(0).frames.size() == 3);
}

TEST_CASE("what was announced but never seen is not acquired; windows without any frame are recorded too",
          "[agent]") {
  Grid grid(options_of(4, 4, 4));
  grid.frame(0);
  grid.frame(2);
  grid.finish(10);
  REQUIRE(grid.windows.size() == 3);
  CHECK(grid.states() == std::vector<int>{SENT, LOST, SENT, NOT_ACQUIRED, NOT_ACQUIRED, NOT_ACQUIRED,
                                          NOT_ACQUIRED, NOT_ACQUIRED, NOT_ACQUIRED, NOT_ACQUIRED});
  CHECK(grid.windows[1].groups == 0);
  CHECK(grid.windows[2].frames.size() == 2);
  CHECK(grid.groups.size() == 1);
}

TEST_CASE("a first frame far into the series leaves whole windows lost, each with a record", "[agent]") {
  Grid grid(options_of(16, 16, 16));
  grid.frame(1000);
  grid.finish(0);
  CHECK(grid.windows.size() == 63);
  CHECK(grid.states() == [] {
    std::vector<int> states(1001, LOST);
    states.back() = SENT;
    return states;
  }());
}

TEST_CASE("a series continued from an earlier run begins at its window with a key group", "[agent]") {
  auto options = options_of(4, 4, 4);
  options.first_window = 3;
  Grid grid(options);
  grid.frame(14);
  grid.frame(5);  // belongs to the run before
  grid.finish(0);
  REQUIRE(grid.windows.size() == 1);
  CHECK(grid.windows[0].window == 3);
  CHECK(grid.groups.at(0).key);
  CHECK(grid.states() == std::vector<int>{LOST, LOST, SENT});
  CHECK(grid.builder.frames_late() == 1);
}

TEST_CASE("a series without any frame has no windows", "[agent]") {
  Grid grid(options_of(4, 4, 4));
  grid.finish(0);
  CHECK(grid.windows.empty());
}
