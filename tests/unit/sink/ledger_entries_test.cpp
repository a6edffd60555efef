// SPDX-License-Identifier: Apache-2.0
//
// What two sinks say of one series, joined by a third in any order: the same leaves as one sink alone would seal.
#include "hpc_sink/seal/ledger_entries.hpp"

#include <algorithm>
#include <random>

#include <catch2/catch.hpp>

#include "hpc_sink/seal/sealer.hpp"
#include "hpc_sink/store/series_store.hpp"
#include "tests/support/coded_series.hpp"
#include "tests/support/sink_run.hpp"

namespace {

using namespace ff;
using namespace ff::test;
namespace pb = foreframe::wire;

std::unique_ptr<sink::Catalogue> catalogue_in(const std::filesystem::path& store) {
  auto opened = sink::Catalogue::open(catalogue_of(store));
  REQUIRE(opened.ok());
  return std::move(*opened);
}

// What a sink of this store would say in the topic.
std::vector<wire::LedgerRecord> records_of(const std::filesystem::path& store, const std::string& name,
                                           const Uuid& uid) {
  const auto catalogue = catalogue_in(store);
  const sink::LedgerSpeaker speaker{name, "hpc", 300};  // so small that a statement is more than one record
  const auto streams = catalogue->streams(uid);
  REQUIRE(streams.ok());
  const sink::LedgerSubject subject{
      {uid, 0}, "eiger", streams->front().window_frames, streams->front().geometry};
  const auto settled = [](const sink::WindowFates& window) { return window.complete; };
  std::vector<wire::LedgerRecord> records;
  const auto keep = [&](const Result<std::vector<sink::LedgerNote>>& notes) {
    REQUIRE(notes.ok());
    for (const sink::LedgerNote& note : *notes) {
      const auto parsed = wire::parse_ledger_record(as_bytes(note.value));
      INFO((parsed.ok() ? "" : parsed.error().message));
      REQUIRE(parsed.ok());
      records.push_back(*parsed);
    }
  };
  const auto files = catalogue->files(uid);
  REQUIRE(files.ok());
  for (const sink::FileRow& file : *files) {
    const auto content = sink::read_data_file(store / file.name, false);
    REQUIRE(content.ok());
    keep(sink::file_notes(speaker, subject, file, content->index.windows, settled, 1));
  }
  const auto windows = catalogue->windows({uid, 0});
  REQUIRE(windows.ok());
  keep(sink::window_notes(speaker, subject, *windows, settled, 2));
  return records;
}

std::string root_of(const sink::Catalogue& catalogue, const Uuid& uid) {
  const auto rows = catalogue.series();
  REQUIRE(rows.ok());
  for (sink::SeriesRow row : *rows) {
    if (row.uid != uid) continue;
    row.closed_utc_ns = 1;
    const auto body = sink::series_body(catalogue, sink::build_ledger(catalogue, row).value());
    REQUIRE(body.ok());
    return body->merkle_root();
  }
  FAIL("no such series");
  return {};
}

}  // namespace

TEST_CASE("what two sinks stored of a series gives the leaves of one sink alone, in any order and twice",
          "[seal][join]") {
  const CodedSeries series = make_coded_series({.frames = 37, .lost = {5, 9}});
  const Uuid uid = series.options.uid;
  const TemporaryFolder alone, first, second;
  const auto run = [&](const TemporaryFolder& store, auto wanted) {
    std::vector<CodedRecord> records;
    std::copy_if(series.records.begin(), series.records.end(), std::back_inserter(records),
                 [&](const CodedRecord& record) {
                   if (record.header.has_block()) return wanted(record.header.block().window());
                   return !record.header.has_window() || wanted(record.header.window().window());
                 });
    const auto log = std::make_shared<FakeLog>();
    append_to(*log, series, records);
    REQUIRE(run_over(log, quick_config(store.path())).summary.ok());
  };
  run(alone, [](std::uint64_t) { return true; });
  run(first, [](std::uint64_t window) { return window % 2 == 0; });
  run(second, [](std::uint64_t window) { return window % 2 == 1; });
  std::vector<wire::LedgerRecord> records = records_of(first.path(), "one", uid);
  for (const auto& record : records_of(second.path(), "two", uid)) records.push_back(record);
  const std::vector<wire::LedgerRecord> again(records.begin(), records.begin() + 2);
  records.insert(records.end(), again.begin(), again.end());

  for (std::uint32_t seed = 1; seed <= 3; ++seed) {
    std::shuffle(records.begin(), records.end(), std::mt19937(seed));
    const TemporaryFolder sealer;
    const auto catalogue = catalogue_in(sealer.path());
    for (const CodedRecord& record : series.records) {
      const auto header = record.header.SerializeAsString();
      if (record.header.has_series_start()) {
        REQUIRE(catalogue
                    ->add_stream({.key = {uid, 0},
                                  .window_frames = 8,
                                  .geometry = record.header.series_start().geometry()},
                                 "eiger", 1)
                    .ok());
        REQUIRE(catalogue->add_start({uid, 0}, header, "", 1000).ok());
      }
      if (record.header.has_series_end()) REQUIRE(catalogue->add_end({uid, 0}, header, 1000).ok());
    }
    const auto join_all = [&] {
      std::size_t news = 0;
      for (const wire::LedgerRecord& record : records) {
        const auto statement = sink::statement_of(record);
        REQUIRE(statement.ok());
        REQUIRE(statement->has_value());
        CHECK((*statement)->destination == "hpc");
        const auto joined = sink::join_statement(*catalogue, **statement, 1);
        REQUIRE(joined.ok());
        news += *joined ? 1 : 0;
      }
      return news;
    };
    CHECK(join_all() > 0);
    CHECK(join_all() == 0);
    CHECK(root_of(*catalogue, uid) == root_of(*catalogue_in(alone.path()), uid));
    CHECK(catalogue->files(uid)->size() ==
          catalogue_in(first.path())->files(uid)->size() + catalogue_in(second.path())->files(uid)->size());
  }
}

TEST_CASE("an entry that contradicts itself is refused", "[seal][join]") {
  pb::WindowEntry entry;
  entry.set_states(std::string("\x02\x07", 2));
  entry.set_stages(std::string("\x00\x06", 2));
  CHECK(sink::fates_of_entry(entry).error().code == Errc::malformed);  // stored, and no CRC
  entry.add_pixel_crc32c(17);
  CHECK(sink::fates_of_entry(entry).ok());
  entry.add_pixel_crc32c(18);
  CHECK(sink::fates_of_entry(entry).error().code == Errc::malformed);
  entry.set_states(std::string("\x01\x07", 2));  // "sent" is no end
  entry.clear_pixel_crc32c();
  CHECK(sink::fates_of_entry(entry).error().code == Errc::malformed);
}
