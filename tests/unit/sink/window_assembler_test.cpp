// SPDX-License-Identifier: Apache-2.0
#include "hpc_sink/decode/window_assembler.hpp"

#include <algorithm>
#include <random>

#include <catch2/catch.hpp>

#include "common/base/crc32c.hpp"
#include "hpc_sink/decode/done_windows.hpp"
#include "tests/support/coded_series.hpp"

namespace {

using namespace ff;
using namespace ff::sink;
using ff::test::CodedRecord;
using ff::test::CodedSeries;

namespace pb = foreframe::wire;

struct Bench {
  WindowBudget budget{1u << 30};
  FrameChunkEncoder chunks{Compression::none};
  std::int64_t offset = 0;

  WindowAssembler assembler(const wire::EnvelopeHeader& first) {
    return {first, 0, kernels::Device::reference, *budget.take(1000, std::chrono::seconds(1))};
  }
  WindowRecord parse(const CodedRecord& record) {
    auto parsed = wire::parse_envelope(record.envelope.bytes());
    REQUIRE(parsed.ok());
    const auto at = static_cast<std::size_t>(parsed->payload.data() - record.envelope.bytes().data());
    return {parsed->header, record.envelope.part(at, parsed->payload.size()), {.first_offset = offset++}};
  }
};

std::vector<CodedRecord> records_of_window(const CodedSeries& series, std::uint64_t window) {
  std::vector<CodedRecord> found;
  for (const auto& record : series.records)
    if ((record.header.has_block() && record.header.block().window() == window) ||
        (record.header.has_window() && record.header.window().window() == window))
      found.push_back(record);
  return found;
}

void check_pixels(const CodedSeries& series, const FinishedWindow& finished) {
  for (const DecodedFrame& frame : finished.frames) {
    const auto number = finished.key.window * finished.window_frames + frame.position;
    CHECK(frame.chunk == series.frames.at(number));
    CHECK(frame.pixel_crc == crc32c(series.frames.at(number)));
  }
}

}  // namespace

TEST_CASE("a window's records in any order, and twice, give the same frames", "[sink][decode]") {
  const CodedSeries series = test::make_coded_series({.frames = 8, .lost = {4}});
  Bench bench;
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    auto records = records_of_window(series, 0);
    const auto twice = records;
    records.insert(records.end(), twice.begin(), twice.end());
    std::shuffle(records.begin(), records.end(), std::mt19937(seed));
    INFO("order of seed " << seed);
    WindowAssembler assembler = bench.assembler(records.front().header);
    std::size_t duplicates = 0;
    for (const auto& record : records) {
      const auto intake = assembler.add(bench.parse(record));
      REQUIRE(intake.ok());
      duplicates += *intake == Intake::duplicate;
    }
    CHECK(duplicates == twice.size());
    CHECK(assembler.complete());
    const FinishedWindow finished = assembler.finish(bench.chunks);
    CHECK(finished.complete);
    CHECK(finished.tickets.size() == twice.size());
    REQUIRE(finished.frames.size() == 7);
    check_pixels(series, finished);
    CHECK(finished.fates[4] == make_fate(pb::LOST, pb::STAGE_RECEIVE));
    CHECK(finished.frames[0].user_data == "\x18\x2a");
    CHECK(finished.frames[1].times.detector_ns - finished.frames[0].times.detector_ns == 1'000'000);
  }
}

TEST_CASE("a window without one of its blocks is not complete, and says which frames did not come",
          "[sink][decode]") {
  const CodedSeries series = test::make_coded_series({.frames = 8});
  Bench bench;
  auto records = records_of_window(series, 0);
  const auto missing = std::find_if(records.begin(), records.end(), [](const CodedRecord& r) {
    return r.header.has_block() && r.header.block().tile() == 1 && r.header.block().group() == 1;
  });
  records.erase(missing);
  WindowAssembler assembler = bench.assembler(records.front().header);
  for (const auto& record : records) REQUIRE(assembler.add(bench.parse(record)).ok());
  CHECK_FALSE(assembler.complete());
  const FinishedWindow finished = assembler.finish(bench.chunks);
  CHECK_FALSE(finished.complete);
  CHECK(finished.frames.size() == 3);
  check_pixels(series, finished);
  for (std::uint32_t i = 3; i < 8; ++i) CHECK(finished.fates[i] == make_fate(pb::LOST, pb::STAGE_LOG));
}

TEST_CASE("a block with a flipped bit damages its frames and those that need it, no others",
          "[sink][decode]") {
  const CodedSeries series = test::make_coded_series({.frames = 8});
  Bench bench;
  auto records = records_of_window(series, 0);
  for (auto& record : records) {
    if (!record.header.has_block() || record.header.block().tile() != 2 || record.header.block().group() != 1)
      continue;
    const auto parsed = wire::parse_envelope(record.envelope.bytes());
    std::vector<std::byte> block(parsed->payload.begin(), parsed->payload.end());
    block[block.size() - 5] ^= std::byte{0x10};
    record = test::reseal(record, record.header, block);
  }
  WindowAssembler assembler = bench.assembler(records.front().header);
  for (const auto& record : records) REQUIRE(assembler.add(bench.parse(record)).ok());
  CHECK(assembler.complete());
  const auto failures = assembler.take_failures();
  REQUIRE(failures.size() == 2);
  CHECK(failures[0].why.code == Errc::crc_mismatch);
  CHECK(failures[0].identity.find("tile 2 group 1") != std::string::npos);
  CHECK(failures[1].why.code == Errc::state_mismatch);
  const FinishedWindow finished = assembler.finish(bench.chunks);
  CHECK(finished.frames.size() == 3);
  check_pixels(series, finished);
  for (std::uint32_t i = 3; i < 8; ++i) CHECK(finished.fates[i] == make_fate(pb::DAMAGED, pb::STAGE_DECODE));
}

TEST_CASE("blocks of two epochs of one agent make one window", "[sink][decode]") {
  const CodedSeries before = test::make_coded_series({.frames = 8, .epoch = 1});
  auto options = before.options;
  options.epoch = 2;
  const CodedSeries after = test::make_coded_series(options);
  Bench bench;
  WindowAssembler assembler = bench.assembler(before.records[1].header);
  // The first agent got one tile and no window record out; its successor sends the whole window again.
  for (const auto& record : records_of_window(before, 0))
    if (record.header.has_block() && record.header.block().tile() == 0)
      REQUIRE(assembler.add(bench.parse(record)).ok());
  CHECK_FALSE(assembler.complete());
  for (const auto& record : records_of_window(after, 0)) REQUIRE(assembler.add(bench.parse(record)).ok());
  CHECK(assembler.complete());
  const FinishedWindow finished = assembler.finish(bench.chunks);
  CHECK(finished.epoch == 2);
  CHECK(finished.frames.size() == 8);
  check_pixels(before, finished);
}

TEST_CASE("a window is complete when the blocks of earlier runs, which its record counts, are here too",
          "[sink][decode]") {
  const CodedSeries before = test::make_coded_series({.frames = 8, .epoch = 1});
  auto options = before.options;
  options.epoch = 2;
  const CodedSeries after = test::make_coded_series(options);
  const auto earlier = records_of_window(before, 0), later = records_of_window(after, 0);
  // The first run left tile 0 and 1 in its spool; the second sent the other tiles and the window's record.
  WindowRecord record;
  Bench bench;
  for (const auto& sealed : later)
    if (sealed.header.has_window()) record = bench.parse(sealed);
  auto& window = *record.header.mutable_window();
  const std::uint32_t groups = window.groups_per_tile(0);
  auto& run = *window.add_earlier();
  run.set_epoch(1);
  for (int tile = 0; tile < window.groups_per_tile_size(); ++tile) {
    run.add_groups_per_tile(tile < 2 ? groups : 0);
    if (tile < 2) window.set_groups_per_tile(tile, 0);
  }
  WindowAssembler assembler = bench.assembler(later.front().header);
  REQUIRE(assembler.add(record).ok());
  for (const auto& sealed : later)
    if (sealed.header.has_block() && sealed.header.block().tile() >= 2)
      REQUIRE(assembler.add(bench.parse(sealed)).ok());
  for (const auto& sealed : earlier) {
    CHECK_FALSE(assembler.complete());
    if (sealed.header.has_block() && sealed.header.block().tile() < 2)
      REQUIRE(assembler.add(bench.parse(sealed)).ok());
    if (sealed.header.has_block() && sealed.header.block().tile() == 1 &&
        sealed.header.block().group() + 1 == groups)
      break;
  }
  CHECK(assembler.complete());
  const FinishedWindow finished = assembler.finish(bench.chunks);
  CHECK(finished.complete);
  CHECK(finished.frames.size() == 8);
  check_pixels(before, finished);
}

TEST_CASE("records that contradict their window are refused", "[sink][decode]") {
  const CodedSeries series = test::make_coded_series({.frames = 8});
  Bench bench;
  const auto records = records_of_window(series, 0);
  WindowAssembler assembler = bench.assembler(records.front().header);

  WindowRecord other_shape = bench.parse(records[0]);
  other_shape.header.mutable_block()->mutable_geometry()->set_rows(23);
  CHECK(assembler.add(other_shape).error().code == Errc::shape_mismatch);

  WindowRecord far_group = bench.parse(records[0]);
  far_group.header.mutable_block()->set_group(64);
  CHECK(assembler.add(far_group).error().code == Errc::malformed);

  WindowRecord boast = bench.parse(records.back());
  boast.header.mutable_window()->set_states(0, pb::STORED_EXACT);
  CHECK(assembler.add(boast).error().code == Errc::malformed);
}

TEST_CASE("the memory of waiting windows is bounded, and a stuck budget is noticed", "[sink][decode]") {
  WindowBudget budget(100);
  CHECK_FALSE(budget.fits(101));
  auto first = budget.take(60, std::chrono::milliseconds(1));
  REQUIRE(first);
  CHECK(budget.stuck_for().count() == 0);
  CHECK_FALSE(budget.take(60, std::chrono::milliseconds(5)));
  CHECK(budget.stuck_for() >= std::chrono::milliseconds(5));
  first->mark_finished();
  CHECK(budget.stuck_for().count() == 0);  // the store will give it back
  first.reset();
  CHECK(budget.used() == 0);
  CHECK(budget.take(100, std::chrono::milliseconds(1)));
}

TEST_CASE("done windows are kept as ranges and can be taken back", "[sink][decode]") {
  DoneWindows done;
  const StreamKey stream{Uuid::mint(), 0};
  for (const std::uint64_t window : {5, 3, 4, 0}) done.insert({stream, window});
  CHECK(done.count(stream) == 4);
  CHECK(done.contains({stream, 4}));
  CHECK_FALSE(done.contains({stream, 1}));
  done.erase({stream, 4});
  CHECK_FALSE(done.contains({stream, 4}));
  CHECK(done.contains({stream, 3}));
  CHECK(done.contains({stream, 5}));
  CHECK(done.count(stream) == 3);
  CHECK_FALSE(done.contains({{stream.series, 1}, 3}));
}
