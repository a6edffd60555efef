// SPDX-License-Identifier: Apache-2.0
//
// A detector of two modules, each sent by an agent of its own: one series, one master file, one seal.
#include <algorithm>

#include <catch2/catch.hpp>

#include "hpc_sink/seal/ledger_check.hpp"
#include "hpc_sink/store/file_names.hpp"
#include "tests/support/coded_series.hpp"
#include "tests/support/sink_run.hpp"

namespace {

using namespace ff;
using namespace ff::test;
namespace pb = foreframe::wire;

const FrameShape kModule{Dtype::u16, 24, 40}, kDetector{Dtype::u16, 48, 40};

CodedSeries module_of(const Uuid& uid, std::uint32_t stream, std::vector<std::uint32_t> named) {
  return make_coded_series({.shape = kModule,
                            .frames = 20,
                            .stream = stream,
                            .streams = std::move(named),
                            .seed = stream + 1,
                            .uid = uid,
                            .agent = "agent-" + std::to_string(stream),
                            .origin_row = stream * kModule.rows,
                            .detector_rows = kDetector.rows});
}

struct TwoModules {
  explicit TwoModules(std::vector<std::uint32_t> named_by_first = {0})
      : upper(module_of(uid, 0, std::move(named_by_first))), lower(module_of(uid, 1, {1})) {}
  void run(const std::vector<CodedRecord>& of_lower) {
    const auto log = std::make_shared<FakeLog>();
    append_to(*log, upper, upper.records);
    append_to(*log, lower, of_lower);
    REQUIRE(run_over(log, quick_config(folder.path())).summary.ok());
  }
  [[nodiscard]] std::filesystem::path master() const {
    return folder.path() / sink::master_file_name(uid, "eiger");
  }

  Uuid uid = Uuid::mint();
  CodedSeries upper, lower;
  TemporaryFolder folder;
};

std::vector<std::byte> stacked(const std::vector<std::byte>& above, const std::vector<std::byte>& below) {
  std::vector<std::byte> both = above;
  both.insert(both.end(), below.begin(), below.end());
  return both;
}

std::vector<std::byte> sentinels() { return std::vector(kModule.bytes(), std::byte{0xff}); }

}  // namespace

TEST_CASE("two modules of two agents become one master file, each in its place, under one seal",
          "[sink][modules]") {
  TwoModules modules;
  modules.run(modules.lower.records);
  const MasterContent content = read_master(modules.master(), kDetector);
  REQUIRE(content.frames.size() == 20);
  for (std::size_t frame = 0; frame < 20; ++frame) {
    CHECK(content.frames[frame] == stacked(modules.upper.frames[frame], modules.lower.frames[frame]));
    CHECK(content.states[frame] == pb::STORED_EXACT);
  }
  const auto check = sink::check_master(modules.master(), {.key = {}, .deep = true});
  REQUIRE(check.ok());
  CHECK(check->holds());
  CHECK(check->body->reason() == "complete");
  CHECK(check->body->streams_size() == 2);
  CHECK(check->body->leaves() == 6);
  CHECK(check->frames == 40);
}

TEST_CASE("a module that never ended is lost from there on, for its stream only", "[sink][modules]") {
  TwoModules modules;
  std::vector<CodedRecord> first_window;
  for (const CodedRecord& record : modules.lower.records)
    if (record.header.has_series_start() ||
        (record.header.has_block() && record.header.block().window() == 0) ||
        (record.header.has_window() && record.header.window().window() == 0))
      first_window.push_back(record);
  modules.run(first_window);
  const sink::SeriesLedger ledger = only_ledger(modules.folder.path());
  CHECK(ledger.closes());
  REQUIRE(ledger.streams.size() == 2);
  CHECK(ledger.streams[0].count(pb::STORED_EXACT) == 20);
  CHECK(ledger.streams[1].expected == 20);
  CHECK_FALSE(ledger.streams[1].end_known);
  CHECK(ledger.streams[1].count(pb::STORED_EXACT) == 8);
  CHECK(ledger.streams[1].ranges().at({pb::LOST, pb::STAGE_LOG}) == std::vector<sink::FrameRange>{{8, 19}});

  const MasterContent content = read_master(modules.master(), kDetector);
  CHECK(content.frames[7] == stacked(modules.upper.frames[7], modules.lower.frames[7]));
  CHECK(content.frames[8] == stacked(modules.upper.frames[8], sentinels()));
  CHECK(content.states[7] == pb::STORED_EXACT);
  CHECK(content.states[8] == pb::LOST);
  const auto check = sink::check_master(modules.master(), {.key = {}, .deep = true});
  REQUIRE(check.ok());
  CHECK(check->holds());
  CHECK(check->body->reason() == "idle");
  CHECK(check->body->streams(1).open() == 12);
}

TEST_CASE("a stream that was announced and of which nothing came is lost as a whole", "[sink][modules]") {
  TwoModules modules({0, 1});
  modules.run({});
  const sink::SeriesLedger ledger = only_ledger(modules.folder.path());
  REQUIRE(ledger.streams.size() == 2);
  CHECK(ledger.streams[0].count(pb::STORED_EXACT) == 20);
  CHECK(ledger.streams[1].count(pb::LOST) == 20);
  CHECK(ledger.closes());
  const auto check = sink::check_master(modules.master(), {.key = {}, .deep = true});
  REQUIRE(check.ok());
  CHECK(check->holds());
  CHECK(check->body->leaves() == 6);
}
