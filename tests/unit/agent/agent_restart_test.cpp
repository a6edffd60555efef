// SPDX-License-Identifier: Apache-2.0
//
// An agent killed with SIGKILL: what was in its frame pool is coded by the next run, what was in its spool is
// counted, and nothing is coded twice or forgotten. The killed run is a process of its own.
#include <csignal>
#include <fstream>
#include <functional>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/agent/agent_fixture.hpp"
#include "tests/unit/agent/spool_decode.hpp"

using namespace ff;
using namespace ff::test;
using foreframe::wire::LOST;
using foreframe::wire::SENT;

namespace {

constexpr std::uint32_t kSide = 32;

/// Runs `work` in a child process, kills the child when `work` has returned, without giving it a chance to tidy up.
void run_and_kill(const std::function<void()>& work) {
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    work();
    const char byte = 1;
    while (write(ready[1], &byte, 1) != 1) {
    }
    for (;;) pause();
  }
  char byte = 0;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  REQUIRE(kill(child, SIGKILL) == 0);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  close(ready[0]);
  close(ready[1]);
}

SeriesIngestOptions wide_windows(std::uint64_t group_frames) {
  SeriesIngestOptions options;
  options.limits.window_frames = 64;
  options.limits.group_frames = group_frames;
  options.limits.tile_rows = options.limits.tile_cols = 16;
  return options;
}

void send_frames(SpoolBench& bench, std::uint64_t first, std::uint64_t end) {
  for (std::uint64_t frame = first; frame < end; ++frame) bench.send(image_of(7, frame, kSide, kSide));
}

void wait_for_records(SpoolBench& bench, double records) {
  while (bench.metrics.records_spooled.value() < records)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

/// Flips a bit in a block's payload.
void flip_bit_of_block(const std::filesystem::path& spool, std::uint32_t tile, std::uint32_t group) {
  auto reader = std::move(transport::SegmentReader::follow(spool).value());
  std::vector<std::byte> wanted;
  while (true) {
    const auto record = reader->next();
    REQUIRE((record.ok() && record->has_value()));
    const ByteSpan bytes = (*record)->value.bytes();
    const auto header = wire::parse_envelope(bytes).value().header;
    if (!header.has_block() || header.block().tile() != tile || header.block().group() != group) continue;
    wanted.assign(bytes.begin(), bytes.end());
    break;
  }
  for (const auto& entry : std::filesystem::directory_iterator(spool)) {
    if (!entry.is_regular_file()) continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    std::string all((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    const std::size_t at = all.find(std::string(as_text(wanted)));
    if (at == std::string::npos) continue;
    const std::size_t place = at + wanted.size() - 3;
    file.clear();
    file.seekp(static_cast<std::streamoff>(place));
    file.put(static_cast<char>(all[place] ^ 1));
    return;
  }
  FAIL("the record is in no segment");
}

void check_all_there(const Decoded& decoded, std::uint64_t frames) {
  REQUIRE(decoded.frames.size() == frames);
  for (std::uint64_t frame = 0; frame < frames; ++frame) {
    INFO("frame " << frame);
    CHECK(decoded.frames.at(frame) == pixels_of(frame, kSide * kSide));
    CHECK(decoded.states.at(frame) == SENT);
  }
}

}  // namespace

TEST_CASE("frames that wait for their group when the agent is killed are coded by the next run",
          "[agent][restart]") {
  auto folder = std::make_shared<TempDir>();
  run_and_kill([&] {
    auto* killed = new SpoolBench(folder, wide_windows(64));
    killed->send(start_of(7, 64, kSide, kSide));
    send_frames(*killed, 0, 40);
    wait_for_records(*killed, 1);
  });
  SpoolBench second(folder, wide_windows(64));
  send_frames(second, 40, 64);
  second.send(end_of(7));
  second.finish();
  CHECK(second.metrics.frames_recovered.value() == 40);
  CHECK(second.forsaken == 0);
  const Decoded decoded = decode(second.spooled());
  check_all_there(decoded, 64);
  CHECK(std::count(decoded.order.begin(), decoded.order.end(), "start") == 1);
  CHECK(decoded.windows.at(0).earlier_size() == 0);
  CHECK(decoded.end.frames_expected() == 64);
  // The times of a recovered frame are those at which it came.
  CHECK(decoded.windows.at(0).received_utc_ns(0) == 1'700'000'000'000'000'000 + 2);
}

TEST_CASE("frames that are coded but not in the spool when the agent is killed are coded again",
          "[agent][restart]") {
  auto folder = std::make_shared<TempDir>();
  run_and_kill([&] {
    auto* killed = new SpoolBench(folder, wide_windows(64), 1, {}, {}, true);  // nobody writes the spool
    killed->send(start_of(7, 100, kSide, kSide));
    send_frames(*killed, 0, 70);  // window 0 is coded: 4 blocks and its record wait in the queue
    while (killed->queue.size() < 6) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  SpoolBench second(folder, wide_windows(64));
  send_frames(second, 70, 100);
  second.send(end_of(7));
  second.finish();
  CHECK(second.metrics.frames_recovered.value() == 70);
  const Decoded decoded = decode(second.spooled());
  check_all_there(decoded, 100);
  CHECK(decoded.order.front() == "start");  // it never reached the spool: the next run writes one
}

TEST_CASE("blocks of an open window that the killed agent spooled are counted by the next run's record",
          "[agent][restart]") {
  auto folder = std::make_shared<TempDir>();
  run_and_kill([&] {
    auto* killed = new SpoolBench(folder, wide_windows(8), 2);
    killed->send(start_of(7, 64, kSide, kSide));
    send_frames(*killed, 0, 20);
    wait_for_records(*killed, 1 + 2 * 4);  // the start, two groups of four tiles
  });
  run_and_kill([&] {
    auto* killed_again = new SpoolBench(folder, wide_windows(8), 2);
    send_frames(*killed_again, 20, 36);
    wait_for_records(*killed_again, 2 * 4);  // frames 16 to 31, the first four of them from the pool
  });
  SpoolBench third(folder, wide_windows(8));
  send_frames(third, 36, 64);
  third.send(end_of(7));
  third.finish();
  CHECK(third.metrics.frames_recovered.value() == 4);
  const Decoded decoded = decode(third.spooled());
  check_all_there(decoded, 64);
  const auto& window = decoded.windows.at(0);
  REQUIRE(window.earlier_size() == 2);
  for (int tile = 0; tile < 4; ++tile) {
    CHECK(window.earlier(0).groups_per_tile(tile) == 2);
    CHECK(window.earlier(1).groups_per_tile(tile) == 2);
    CHECK(window.groups_per_tile(tile) == 4);
  }
  CHECK(window.earlier(0).epoch() < window.earlier(1).epoch());
}

TEST_CASE("a frame of which only some tiles are in the spool is coded again whole", "[agent][restart]") {
  auto folder = std::make_shared<TempDir>();
  run_and_kill([&] {
    // A queue of 8 that nobody empties: the worker stands still in the middle of the second group.
    auto* killed = new SpoolBench(folder, wide_windows(8), 1, {}, {}, true);
    killed->send(start_of(7, 64, kSide, kSide));
    send_frames(*killed, 0, 16);
    while (killed->queue.size() < 8) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    // The start, the first group's four blocks and two of the second's reach the spool, then the agent dies.
    for (int records = 0; records < 7; ++records) {
      SpoolQueue one(1);
      REQUIRE(one.push(*killed->queue.pop_for(std::chrono::seconds(1))));
      one.close();
      REQUIRE(killed->spool->run(one, killed->give_up).ok());
    }
  });
  SpoolBench second(folder, wide_windows(8));
  send_frames(second, 16, 64);
  second.send(end_of(7));
  second.finish();
  CHECK(second.metrics.frames_recovered.value() == 8);  // the second group's
  const Decoded decoded = decode(second.spooled());
  check_all_there(decoded, 64);
  REQUIRE(decoded.windows.at(0).earlier_size() == 1);
  const auto& earlier = decoded.windows.at(0).earlier(0);
  CHECK(earlier.epoch() < second.journal->epoch());
  CHECK(earlier.groups_per_tile(0) == 2);
  CHECK(earlier.groups_per_tile(1) == 2);
  CHECK(earlier.groups_per_tile(2) == 1);
  CHECK(earlier.groups_per_tile(3) == 1);
  CHECK(decoded.windows.at(0).groups_per_tile(0) == 7);
}

TEST_CASE("a block of an open window that the disk has changed is lost by the next run's own record",
          "[agent][restart]") {
  auto folder = std::make_shared<TempDir>();
  run_and_kill([&] {
    auto* killed = new SpoolBench(folder, wide_windows(8), 2);
    killed->send(start_of(7, 64, kSide, kSide));
    send_frames(*killed, 0, 24);
    wait_for_records(*killed, 1 + 3 * 4);  // the start, three groups of four tiles
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    send_frames(*killed, 24, 32);
    wait_for_records(*killed, 1 + 4 * 4);  // these say that the ones before are durable: no torn tail
  });
  flip_bit_of_block(folder->path() / "spool", 2, 1);
  SpoolBench second(folder, wide_windows(8));
  send_frames(second, 32, 64);
  second.send(end_of(7));
  second.finish();
  std::vector<Payload> records = second.spooled();
  std::erase_if(records, [](const Payload& record) {
    return wire::parse_envelope(record.bytes()).value().header.has_block();
  });
  const Decoded decoded = decode(records);
  REQUIRE(decoded.windows.at(0).earlier_size() == 1);
  for (int tile = 0; tile < 4; ++tile)
    CHECK(decoded.windows.at(0).earlier(0).groups_per_tile(tile) == (tile == 2 ? 1 : 4));
  for (int frame = 0; frame < 64; ++frame) {
    INFO("frame " << frame);
    const bool gone = frame >= 8 && frame < 32;  // the damaged group, and those that build on it
    CHECK(decoded.windows.at(0).states(frame) == (gone ? LOST : SENT));
    CHECK(decoded.windows.at(0).stages(frame) ==
          (gone ? foreframe::wire::STAGE_SPOOL : foreframe::wire::STAGE_NONE));
  }
}
