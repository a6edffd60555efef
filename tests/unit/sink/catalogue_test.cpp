// SPDX-License-Identifier: Apache-2.0
//
// The catalogue: how two reports of a window are joined, and the way from version 1.
#include "hpc_sink/store/catalogue.hpp"

#include <algorithm>
#include <sqlite3.h>

#include <catch2/catch.hpp>

#include "hpc_sink/decode/window_facts.hpp"
#include "hpc_sink/store/series_store.hpp"
#include "tests/support/coded_series.hpp"
#include "tests/support/sink_run.hpp"

namespace ff::sink {
namespace {

namespace pb = foreframe::wire;
using test::TemporaryFolder;

const FrameFate kExact = make_fate(pb::STORED_EXACT), kBounded = make_fate(pb::STORED_BOUNDED),
                kLost = make_fate(pb::LOST, pb::STAGE_LOG), kUnknown{};

WindowFates report(std::vector<FrameFate> fates, std::vector<std::uint32_t> crcs, bool complete = false) {
  return {.window = 3, .complete = complete, .fates = std::move(fates), .pixel_crcs = std::move(crcs)};
}

std::string facts_of(std::uint64_t epoch, std::uint32_t group, std::int64_t offset) {
  WindowFacts facts = no_facts();
  wire::EnvelopeHeader block;
  block.set_epoch(epoch);
  block.set_agent("agent-" + std::to_string(epoch));
  block.mutable_block()->set_group(group);
  block.mutable_block()->set_frame_count(4);
  note_record(facts, block, 100, {.partition = 1, .first_offset = offset});
  wire::EnvelopeHeader window;
  window.set_epoch(epoch);
  window.mutable_window()->set_boot_id("boot-" + std::to_string(epoch));
  note_record(facts, window, 0, {.partition = 1, .first_offset = offset + 1});
  return facts.SerializeAsString();
}

void run_sql(const std::filesystem::path& path, const std::string& sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
  char* why = nullptr;
  const int done = sqlite3_exec(database, sql.c_str(), nullptr, nullptr, &why);
  INFO((why == nullptr ? "" : why));
  sqlite3_free(why);
  sqlite3_close(database);
  REQUIRE(done == SQLITE_OK);
}

}  // namespace

TEST_CASE("a frame that is stored stays as it is stored, whatever is reported later", "[sink][catalogue]") {
  const WindowFates merged =
      merge_fates(report({kBounded, kLost}, {11, 0}), report({kExact, kExact}, {77, 22}));
  CHECK(merged.fates == std::vector{kBounded, kExact});
  CHECK(merged.pixel_crcs == std::vector<std::uint32_t>{11, 22});
}

TEST_CASE("what was presumed lost before the agent's report gives way to it, in either order",
          "[sink][catalogue]") {
  const FrameFate never_taken = make_fate(foreframe::wire::NOT_ACQUIRED);
  WindowFates told = report({kLost, never_taken}, {}), guessed = report({kExact, kLost}, {7, 0});
  told.reported = true;
  CHECK(merge_fates(guessed, told).fates == std::vector{kExact, never_taken});
  CHECK(merge_fates(told, guessed).fates == std::vector{kExact, never_taken});
  guessed.reported = true;  // by another epoch, which knows that it was sent
  CHECK(merge_fates(told, guessed).fates == std::vector{kExact, kLost});
}

TEST_CASE("a window is complete only when each of its frames has a fate, from whichever report",
          "[sink][catalogue]") {
  const WindowFates half = report({kExact, kUnknown}, {1, 0}, true);
  CHECK_FALSE(merge_fates(report({}, {}), half).complete);
  CHECK_FALSE(merge_fates(report({kUnknown, kLost}, {}), half).complete);
  CHECK(merge_fates(report({kUnknown, kExact}, {0, 2}), half).complete);
  CHECK(merge_fates(half, report({kUnknown, kExact}, {0, 2})).complete);
}

TEST_CASE("joined facts have both epochs' groups and the widest range of offsets, in either order",
          "[sink][catalogue]") {
  const std::string first = facts_of(10, 0, 40), second = facts_of(20, 1, 7);
  WindowFacts joined, reversed;
  REQUIRE(joined.ParseFromString(merge_facts(first, second)));
  REQUIRE(reversed.ParseFromString(merge_facts(second, first)));
  for (const WindowFacts& facts : {joined, reversed}) {
    CHECK(facts.groups_size() == 2);
    CHECK(facts.agents_size() == 2);
    CHECK(facts.first_offset() == 7);
    CHECK(facts.last_offset() == 41);
    CHECK(facts.boot_id() == "boot-20");
  }
  CHECK(merge_facts(first, first) == first);
}

TEST_CASE("a catalogue of version 1 is brought up, and takes its pixel CRCs from the data files",
          "[sink][catalogue]") {
  const test::CodedSeries series = test::make_coded_series({.frames = 20, .lost = {3}});
  const TemporaryFolder store;
  auto log = std::make_shared<test::FakeLog>();
  append_to(*log, series, series.records);
  REQUIRE(test::run_over(log, test::quick_config(store.path())).summary.ok());
  const StreamKey stream{series.options.uid, 0};
  const auto crcs_there = [&] {
    const auto catalogue = Catalogue::open_read_only(test::catalogue_of(store.path()));
    REQUIRE(catalogue.ok());
    const auto windows = (*catalogue)->windows(stream);
    REQUIRE(windows.ok());
    std::vector<std::uint32_t> crcs;
    for (const WindowFates& window : *windows)
      crcs.insert(crcs.end(), window.pixel_crcs.begin(), window.pixel_crcs.end());
    return crcs;
  };
  const std::vector<std::uint32_t> before = crcs_there();
  REQUIRE(before.size() == 20);
  CHECK(std::count(before.begin(), before.end(), 0u) == 1);

  run_sql(test::catalogue_of(store.path()),
          "CREATE TABLE old (uid TEXT NOT NULL, stream INTEGER NOT NULL, window INTEGER NOT NULL, complete "
          "INTEGER NOT "
          "NULL, fates BLOB NOT NULL, PRIMARY KEY (uid, stream, window)) WITHOUT ROWID;"
          "INSERT INTO old SELECT uid, stream, window, complete, fates FROM windows; DROP TABLE windows;"
          "ALTER TABLE old RENAME TO windows; DROP TABLE seals; PRAGMA user_version = 1;");
  CHECK(Catalogue::open_read_only(test::catalogue_of(store.path())).error().code ==
        Errc::unsupported_version);
  REQUIRE(test::run_over(log, test::quick_config(store.path())).summary.ok());
  CHECK(crcs_there() == before);
  const auto catalogue = Catalogue::open(test::catalogue_of(store.path()));
  REQUIRE(catalogue.ok());
  CHECK_FALSE((*catalogue)->lacks_pixel_crcs());
}

TEST_CASE("a catalogue of a later version is refused by its number", "[sink][catalogue]") {
  const TemporaryFolder store;
  REQUIRE(Catalogue::open(test::catalogue_of(store.path())).ok());
  run_sql(test::catalogue_of(store.path()), "PRAGMA user_version = 3;");
  for (const auto& opened : {Catalogue::open(test::catalogue_of(store.path())).error(),
                             Catalogue::open_read_only(test::catalogue_of(store.path())).error()}) {
    CHECK(opened.code == Errc::unsupported_version);
    CHECK(opened.message.find("schema 3") != std::string::npos);
  }
}

}  // namespace ff::sink
