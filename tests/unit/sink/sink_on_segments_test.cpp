// SPDX-License-Identifier: Apache-2.0
//
// The sink on a real log://: segments of 4 KiB that are freed before they are read; receipts as a follower sees them.
#include <catch2/catch.hpp>

#include "common/transport/segment_log.hpp"
#include "tests/support/coded_series.hpp"
#include "tests/support/sink_run.hpp"

namespace {

using namespace ff;
using namespace ff::test;
using transport::Topic;
namespace pb = foreframe::wire;

constexpr const char* kSegmentsGroup = "foreframe-sink";

struct RealLog {
  TemporaryFolder folder;
  transport::LogOptions options;

  RealLog() {
    options.url = "log://" + folder.path().string();
    options.topic_prefix = "site.beamline";
  }
  std::filesystem::path topic(const char* word) const {
    return folder.path() / ("site.beamline." + std::string(word));
  }

  // What a collector would write, in segments that hold a few blocks each.
  std::unique_ptr<transport::SegmentLog> write(const char* word, Topic topic_of,
                                               const CodedSeries& series) const {
    transport::SegmentLogOptions small;
    small.folder = topic(word);
    small.segment_bytes = 4096;
    auto log = transport::SegmentLog::open(small).value();
    for (const CodedRecord& record : series.records)
      if (record.topic == topic_of) {
        const std::string key =
            record.header.series_uid() + (record.header.has_series_end() ? "/end" : "/start");
        REQUIRE(log->append(key, record.envelope.bytes()).ok());
      }
    REQUIRE(log->sync().ok());
    return log;
  }

  Result<std::string> run(const sink::SinkConfig& config) const {
    service::StopSignal stop;
    service::Metrics metrics("sink");
    service::Health health;
    return sink::run_sink(
        config,
        {.stop = stop,
         .metrics = metrics,
         .health = health,
         .open_log =
             [&](Error&) {
               return std::move(
                   transport::open_log_reader(options, kSegmentsGroup, {Topic::blocks, Topic::series})
                       .value());
             },
         .open_ledger =
             [&](Error&) { return std::move(transport::open_log_writer(options, {Topic::ledger}).value()); },
         .open_ledger_reader =
             [&](Error&) {
               return std::move(transport::open_log_reader(options, std::string(kSegmentsGroup) + ".ledger",
                                                           {Topic::ledger})
                                    .value());
             },
         .open_series_follower =
             [&](Error&) {
               return std::move(
                   transport::open_log_follower(options, kSegmentsGroup, {Topic::series}).value());
             },
         .open_receipts =
             [&](Error&) {
               return std::move(transport::open_log_writer(options, {Topic::receipts, Topic::dead}).value());
             },
         .progress = [] {},
         .ready = [] {}});
  }

  std::vector<wire::ReceiptRecord> receipts() const {
    const auto follower = transport::open_log_follower(options, "test", {Topic::receipts}).value();
    std::vector<wire::ReceiptRecord> found;
    while (!follower->caught_up() || found.empty()) {
      auto record = follower->poll(std::chrono::milliseconds(50));
      REQUIRE(record.ok());
      if (*record) found.push_back(wire::parse_receipt_record((*record)->value.bytes()).value());
    }
    return found;
  }
};

}  // namespace

TEST_CASE("segments that were freed before the sink read them end as lost(retention), and are asked for",
          "[sink][receipt]") {
  CodedSeriesOptions options{.frames = 48};
  options.partitions = 1;
  const CodedSeries series = make_coded_series(options);
  const RealLog log;
  const auto blocks = log.write("blocks", Topic::blocks, series);
  const auto starts = log.write("series", Topic::series, series);
  // The sink had read nothing but was known to the log when it went away.
  REQUIRE(transport::SegmentReader::open(log.topic("blocks"), kSegmentsGroup).value()->commit(0).ok());
  REQUIRE(blocks->free_below(20).ok());
  const std::uint64_t oldest = blocks->stats().first_offset;
  REQUIRE(oldest > 0);

  const TemporaryFolder store;
  REQUIRE(log.run(quick_config(store.path())).ok());
  // 13 records a window: those that begin before the oldest record are lost, wholly or in part.
  const std::uint64_t overtaken = (oldest + 12) / 13;
  const sink::SeriesLedger ledger = only_ledger(store.path());
  CHECK(ledger.closes());
  const auto ranges = ledger.streams.at(0).ranges();
  REQUIRE(ranges.contains({pb::LOST, pb::STAGE_RETENTION}));
  CHECK(ranges.at({pb::LOST, pb::STAGE_RETENTION}).front().first == 0);
  CHECK(ranges.at({pb::LOST, pb::STAGE_RETENTION}).back().last < overtaken * 8);
  CHECK_FALSE(ranges.contains({pb::LOST, pb::STAGE_LOG}));
  CHECK(ledger.streams.at(0).count(pb::STORED_EXACT) >= 48 - overtaken * 8);

  std::set<std::uint64_t> receipted, asked;
  for (const auto& record : log.receipts()) {
    for (const auto& range : record.receipt().records().windows())
      for (std::uint64_t i = 0; i < range.count(); ++i) receipted.insert(range.first() + i);
    for (const auto& range : record.replay().records().windows())
      for (std::uint64_t i = 0; i < range.count(); ++i) asked.insert(range.first() + i);
    if (record.has_replay()) CHECK(record.replay().reason() == "freed by the log before it was read");
  }
  for (std::uint64_t window = 0; window < 6; ++window) {
    INFO("window " << window);
    CHECK(asked.contains(window) == (window < overtaken));
    CHECK(receipted.contains(window) == (window >= overtaken));
  }
}
