// SPDX-License-Identifier: Apache-2.0
//
// Receipts, replay requests and dead letters, through the whole sink: what the agent hears, and when.
#include <algorithm>
#include <atomic>
#include <map>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "hpc_sink/store/file_names.hpp"
#include "tests/support/coded_series.hpp"
#include "tests/support/sink_run.hpp"

namespace {

using namespace ff;
using namespace ff::test;
namespace pb = foreframe::wire;
using transport::Topic;

// What the receipts of a destination say, as an agent would read them.
struct Heard {
  std::map<std::uint64_t, std::vector<pb::Receipt::Outcome>> windows;
  int starts = 0, ends = 0, requests = 0, abilities = 0;
  std::map<std::uint64_t, int> asked;
  std::map<std::uint64_t, std::string> reasons;
};

Heard hear(const FakeLog& log) {
  Heard heard;
  for (const auto& record : log.written_receipts()) {
    heard.abilities += record.has_ability();
    for (const auto& range : record.receipt().records().windows())
      for (std::uint64_t w = range.first(); w < range.first() + range.count(); ++w)
        heard.windows[w].push_back(record.receipt().outcome());
    heard.starts += record.receipt().records().series_start();
    heard.ends += record.receipt().records().series_end();
    heard.requests += record.has_replay();
    for (const auto& range : record.replay().records().windows())
      for (std::uint64_t w = range.first(); w < range.first() + range.count(); ++w) {
        ++heard.asked[w];
        heard.reasons[w] = record.replay().reason();
      }
  }
  return heard;
}

std::vector<CodedRecord> records_of(const CodedSeries& series, std::uint64_t window) {
  std::vector<CodedRecord> found;
  for (const CodedRecord& r : series.records)
    if ((r.header.has_block() && r.header.block().window() == window) ||
        (r.header.has_window() && r.header.window().window() == window))
      found.push_back(r);
  return found;
}

// An agent that still has everything: it answers each request with the windows asked for.
void answer_from(const std::shared_ptr<FakeLog>& log, const CodedSeries& series) {
  log->on_receipt_record = [log = log.get(), &series](const wire::ReceiptRecord& record) {
    for (const CodedRecord& r : series.records)
      if ((r.header.has_series_start() && record.replay().records().series_start()) ||
          (r.header.has_series_end() && record.replay().records().series_end()))
        append_to(*log, series, {r});
    for (const auto& range : record.replay().records().windows())
      for (std::uint64_t w = range.first(); w < range.first() + range.count(); ++w)
        append_to(*log, series, records_of(series, w));
  };
}

bool is_block(const CodedRecord& r, std::uint64_t window, std::uint32_t tile, std::uint32_t group) {
  return r.header.has_block() && r.header.block().window() == window && r.header.block().tile() == tile &&
         r.header.block().group() == group;
}

CodedRecord with_flipped_envelope(const CodedRecord& record) {
  std::vector<std::byte> bytes(record.envelope.bytes().begin(), record.envelope.bytes().end());
  bytes[bytes.size() - 3] ^= std::byte{1};
  return {record.topic, record.header, Payload::own(std::move(bytes))};
}

CodedRecord with_flipped_block(const CodedRecord& record) {
  const auto parsed = wire::parse_envelope(record.envelope.bytes());
  std::vector<std::byte> payload(parsed->payload.begin(), parsed->payload.end());
  payload[payload.size() - 3] ^= std::byte{1};
  return reseal(record, record.header, payload);
}

std::int64_t committed(const FakeLog& log) {
  return log.committed(Topic::blocks, 0) + log.committed(Topic::blocks, 1) + log.committed(Topic::series, 0);
}

void check_whole(const CodedSeries& series, const std::filesystem::path& store) {
  const auto master = store / sink::master_file_name(series.options.uid, series.options.detector);
  CHECK((read_master(master, series.options.shape).frames == series.frames));
  const sink::SeriesLedger ledger = only_ledger(store);
  CHECK(ledger.closes());
  CHECK(ledger.streams.at(0).count(pb::STORED_EXACT) == series.options.frames);
}

std::size_t frames_in_files(const std::filesystem::path& store) {
  std::size_t frames = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(store)) {
    const std::string name = entry.path().string();
    if (name.ends_with(".h5") && !name.ends_with("_master.h5"))
      frames += sink::read_data_file(entry.path(), true).value().index.frame_numbers.size();
  }
  return frames;
}

}  // namespace

TEST_CASE("every window, start and end gets its receipt, and the sink says what it can decode",
          "[sink][receipt]") {
  const CodedSeries series = make_coded_series({.frames = 37, .lost = {8, 9, 10, 11, 12, 13, 14, 15}});
  const TemporaryFolder store;
  const auto log = log_of(series, series.records);
  REQUIRE(run_over(log, quick_config(store.path())).summary.ok());
  const Heard heard = hear(*log);
  CHECK(heard.windows.size() == 5);  // window 1 too, of which nothing was stored
  for (const auto& [window, outcomes] : heard.windows)
    CHECK(outcomes == std::vector<pb::Receipt::Outcome>{pb::Receipt::STORED});
  CHECK(heard.starts == 1);
  CHECK(heard.ends == 1);
  CHECK(heard.requests == 0);
  CHECK(heard.abilities == 1);
  for (const auto& record : log->written_receipts()) {
    if (record.has_receipt()) CHECK(record.receipt().destination() == "foreframe-sink");
    if (record.has_ability()) CHECK(record.ability().block_minor() + record.ability().block_major() > 0);
  }
  CHECK(committed(*log) == static_cast<std::int64_t>(log->size()));
}

TEST_CASE("while the log takes no receipts nothing is committed; when it does again, everything is",
          "[sink][receipt]") {
  for (const Errc fault : {Errc::not_found, Errc::disk_full, Errc::timed_out}) {
    INFO("log writes fail with " << to_string(fault));
    const CodedSeries series = make_coded_series({.frames = 24});
    const TemporaryFolder store;
    const auto log = log_of(series, series.records);
    log->fail_writes(fault);
    std::int64_t committed_meanwhile = -1;
    std::size_t files_meanwhile = 0;
    std::thread operator_who_mends_it([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(700));
      committed_meanwhile = committed(*log);
      files_meanwhile = frames_in_files(store.path());
      log->fail_writes(std::nullopt);
    });
    const SinkOutcome outcome = run_over(log, quick_config(store.path()));
    operator_who_mends_it.join();
    REQUIRE(outcome.summary.ok());
    CHECK(committed_meanwhile == 0);
    CHECK(files_meanwhile == 24);  // storing did not wait
    CHECK(hear(*log).windows.size() == 3);
    CHECK(committed(*log) == static_cast<std::int64_t>(log->size()));
    check_whole(series, store.path());
  }
}

TEST_CASE("killed between any two steps and started again, the sink has written a receipt for every window",
          "[sink][receipt][patient]") {
  const CodedSeries series = make_coded_series({.frames = 40});
  using Step = sink::StoreStep;
  for (const Step step : {Step::window_written, Step::file_closed, Step::file_synced, Step::file_renamed,
                          Step::catalogued, Step::receipt_written, Step::committed, Step::master_renamed}) {
    for (const int time : {1, 2}) {
      INFO("killed at step " << static_cast<int>(step) << ", time " << time);
      const TemporaryFolder store;
      const auto log = log_of(series, series.records);
      log->keep_commits_in(store.path() / "commits");
      auto config = quick_config(store.path());
      config.file_max_bytes = 4000;  // several files
      const pid_t child = ::fork();
      if (child == 0) {
        std::atomic<int> seen{0};
        static_cast<void>(run_over(log, config, [&](Step now) {
          if (now == step && ++seen == time) ::_exit(9);
        }));
        ::_exit(0);
      }
      int status = 0;
      REQUIRE(::waitpid(child, &status, 0) == child);
      const bool may_be_the_only_one = step == Step::master_renamed || step == Step::receipt_written;
      if (!may_be_the_only_one || time == 1) CHECK(WEXITSTATUS(status) == 9);
      const std::int64_t committed_by_the_dead = committed(*log);
      const Heard before = hear(*log);
      // What was committed had its receipt: each window is ten blocks and more in one partition.
      if (committed_by_the_dead > 0) CHECK(before.windows.size() + before.starts + before.ends > 0);

      REQUIRE(run_over(log, config).summary.ok());
      const Heard heard = hear(*log);
      CHECK(heard.windows.size() == 5);
      CHECK(heard.starts >= 1);
      CHECK(heard.ends >= 1);
      for (const auto& [window, outcomes] : heard.windows)
        for (const auto outcome : outcomes) CHECK(outcome == pb::Receipt::STORED);
      CHECK(committed(*log) == static_cast<std::int64_t>(log->size()));
      CHECK(frames_in_files(store.path()) == 40);
      check_whole(series, store.path());
    }
  }
}

TEST_CASE("windows that come again though they are done get their receipt again", "[sink][receipt]") {
  const CodedSeries series = make_coded_series({.frames = 24});
  const TemporaryFolder store;
  const auto log = log_of(series, series.records);
  REQUIRE(run_over(log, quick_config(store.path())).summary.ok());
  append_to(*log, series, records_of(series, 1));  // the agent did not hear it
  append_to(*log, series, {series.records.front(), series.records.back()});
  const std::size_t masters = static_cast<std::size_t>(
      std::ranges::count_if(std::filesystem::recursive_directory_iterator(store.path()),
                            [](const auto& entry) { return entry.path().string().ends_with("_master.h5"); }));
  REQUIRE(run_over(log, quick_config(store.path())).summary.ok());
  const Heard heard = hear(*log);
  CHECK(heard.windows.at(0).size() == 1);
  CHECK(heard.windows.at(1).size() == 2);
  CHECK(heard.starts == 2);
  CHECK(heard.ends == 2);
  CHECK(masters == 1);
  CHECK(frames_in_files(store.path()) == 24);
  CHECK(committed(*log) == static_cast<std::int64_t>(log->size()));
}

TEST_CASE("a window that misses a block is asked for again, and is whole when it comes; nothing is doubled",
          "[sink][receipt]") {
  const CodedSeries series = make_coded_series({.frames = 24});
  std::vector<CodedRecord> records = series.records;
  std::erase_if(records, [](const CodedRecord& r) { return is_block(r, 1, 1, 1); });
  const TemporaryFolder store;
  const auto log = log_of(series, records);
  answer_from(log, series);
  REQUIRE(run_over(log, quick_config(store.path())).summary.ok());
  const Heard heard = hear(*log);
  CHECK(heard.asked == std::map<std::uint64_t, int>{{1, 1}});
  CHECK(heard.reasons.at(1) == "window incomplete");
  CHECK(heard.windows.size() == 3);
  CHECK(heard.windows.at(1) == std::vector<pb::Receipt::Outcome>{pb::Receipt::STORED});
  CHECK(frames_in_files(store.path()) == 24);
  check_whole(series, store.path());
  CHECK(only_ledger(store.path()).series.close_reason == "complete");
}

TEST_CASE("windows of which nothing came are asked for when the series' end says that they exist",
          "[sink][receipt]") {
  const CodedSeries series = make_coded_series({.frames = 48});
  std::vector<CodedRecord> records;
  for (const CodedRecord& r : series.records) {
    const std::uint64_t window = r.header.has_block()    ? r.header.block().window()
                                 : r.header.has_window() ? r.header.window().window()
                                                         : 0;
    if (window < 2 || window == 4) records.push_back(r);
  }
  const TemporaryFolder store;
  const auto log = log_of(series, records);
  answer_from(log, series);
  REQUIRE(run_over(log, quick_config(store.path())).summary.ok());
  const Heard heard = hear(*log);
  CHECK(heard.asked == std::map<std::uint64_t, int>{{2, 1}, {3, 1}, {5, 1}});
  CHECK(heard.requests == 1);  // in ranges
  CHECK(heard.reasons.at(2) == "window never came");
  CHECK(heard.windows.size() == 6);
  check_whole(series, store.path());
}

TEST_CASE("a start or an end of a series that did not come is asked for", "[sink][receipt]") {
  for (const bool start : {true, false}) {
    INFO((start ? "the start is missing" : "the end is missing"));
    const CodedSeries series = make_coded_series({.frames = 24});
    std::vector<CodedRecord> records = series.records;
    std::erase_if(records, [&](const CodedRecord& r) {
      return start ? r.header.has_series_start() : r.header.has_series_end();
    });
    const TemporaryFolder store;
    const auto log = log_of(series, records);
    answer_from(log, series);
    REQUIRE(run_over(log, quick_config(store.path())).summary.ok());
    const Heard heard = hear(*log);
    CHECK(heard.requests >= 1);
    CHECK(heard.asked.empty());  // no windows
    CHECK(heard.starts >= 1);    // asked for twice where the answer is slow
    CHECK(heard.ends >= 1);
    CHECK(only_ledger(store.path()).series.close_reason == "complete");
    check_whole(series, store.path());
  }
}

TEST_CASE(
    "nobody who answers: the same windows are asked for with a growing pause, then the series is closed",
    "[sink][receipt]") {
  const CodedSeries series = make_coded_series({.frames = 24});
  std::vector<CodedRecord> records = series.records;
  std::erase_if(records, [](const CodedRecord& r) { return is_block(r, 1, 1, 1); });
  const TemporaryFolder store;
  const auto log = log_of(series, records);
  auto config = quick_config(store.path());
  config.replay_timeout = std::chrono::milliseconds(1000);
  REQUIRE(run_over(log, config).summary.ok());
  const Heard heard = hear(*log);
  CHECK(heard.asked.at(1) >= 3);  // at 0, 100, 300, 700 ms
  CHECK(heard.asked.at(1) <= 5);
  CHECK_FALSE(heard.windows.contains(1));
  const sink::SeriesLedger ledger = only_ledger(store.path());
  CHECK(ledger.series.close_reason == "grace over");
  CHECK(ledger.streams.at(0).ranges().contains({pb::LOST, pb::STAGE_LOG}));
  CHECK(committed(*log) == static_cast<std::int64_t>(log->size()));

  // Much later the agent sends it after all.
  append_to(*log, series, records_of(series, 1));
  REQUIRE(run_over(log, config).summary.ok());
  CHECK(hear(*log).windows.at(1) == std::vector<pb::Receipt::Outcome>{pb::Receipt::STORED});
  check_whole(series, store.path());
}

TEST_CASE("a block damaged on its way is asked for again and stored when it comes whole", "[sink][receipt]") {
  const CodedSeries series = make_coded_series({.frames = 24});
  std::vector<CodedRecord> records = series.records;
  for (CodedRecord& r : records)
    if (is_block(r, 1, 0, 1)) r = with_flipped_envelope(r);
  const TemporaryFolder store;
  const auto log = log_of(series, records);
  answer_from(log, series);
  REQUIRE(run_over(log, quick_config(store.path())).summary.ok());
  const Heard heard = hear(*log);
  CHECK(heard.asked == std::map<std::uint64_t, int>{{1, 1}});
  CHECK(heard.reasons.at(1).starts_with("not decodable: crc_mismatch"));
  CHECK(heard.windows.at(1) == std::vector<pb::Receipt::Outcome>{pb::Receipt::STORED});
  CHECK(frames_in_files(store.path()) == 24);
  check_whole(series, store.path());
}

TEST_CASE("a window that can't be decoded, also not when it came again, goes to the dead letters",
          "[sink][receipt]") {
  for (const bool on_the_way : {false, true}) {
    INFO((on_the_way ? "damaged on the way each time" : "coded badly"));
    CodedSeries series = make_coded_series({.frames = 24});
    for (CodedRecord& r : series.records)
      if (is_block(r, 1, 1, 1)) r = on_the_way ? with_flipped_envelope(r) : with_flipped_block(r);
    const TemporaryFolder store;
    const auto log = log_of(series, series.records);
    answer_from(log, series);
    REQUIRE(run_over(log, quick_config(store.path())).summary.ok());
    const Heard heard = hear(*log);
    CHECK(heard.asked == std::map<std::uint64_t, int>{{1, 1}});
    CHECK(heard.windows.at(1) == std::vector<pb::Receipt::Outcome>{pb::Receipt::DEAD_LETTERED});
    CHECK(heard.windows.at(0) == std::vector<pb::Receipt::Outcome>{pb::Receipt::STORED});
    std::multiset<std::string> dead, sent;
    bool receipt_came_last = false;
    for (const auto& record : log->written()) {
      if (record.topic == Topic::dead) {
        CHECK(record.key.find("\ncrc_mismatch: ") != std::string::npos);
        dead.emplace(as_text(record.value.bytes()));
      } else if (record.topic == Topic::receipts) {
        const auto said = wire::parse_receipt_record(record.value.bytes());
        receipt_came_last |= said->receipt().outcome() == pb::Receipt::DEAD_LETTERED && dead.size() == 13;
      }
    }
    for (const CodedRecord& r : records_of(series, 1)) sent.emplace(as_text(r.envelope.bytes()));
    CHECK(dead == sent);  // every record of the window, byte for byte
    CHECK(receipt_came_last);
    const auto ranges = only_ledger(store.path()).streams.at(0).ranges();
    const auto stage = on_the_way ? pb::STAGE_LOG : pb::STAGE_DECODE;
    CHECK(ranges.at({pb::DAMAGED, stage}) == std::vector<sink::FrameRange>{{11, 15}});
    CHECK(ranges.at({pb::STORED_EXACT, pb::STAGE_NONE}) == std::vector<sink::FrameRange>{{0, 10}, {16, 23}});
    CHECK(only_ledger(store.path()).series.close_reason == "complete");

    // It comes once more, to a new process: the same answer, and no request.
    append_to(*log, series, records_of(series, 1));
    REQUIRE(run_over(log, quick_config(store.path())).summary.ok());
    CHECK(hear(*log).windows.at(1).size() == 2);
    CHECK(hear(*log).windows.at(1).back() == pb::Receipt::DEAD_LETTERED);
    CHECK(hear(*log).asked.at(1) == 1);
  }
}

TEST_CASE("a window of which the agent's spool lost a record ends as dead letters, and the agent is told",
          "[sink][receipt]") {
  for (const bool record_lost : {false, true}) {
    INFO((record_lost ? "its window record is lost" : "a block is lost"));
    CodedSeries series = make_coded_series({.frames = 24});
    std::erase_if(series.records, [&](const CodedRecord& r) {
      return record_lost ? r.header.has_window() && r.header.window().window() == 1 : is_block(r, 1, 1, 1);
    });
    const TemporaryFolder store;
    const auto log = log_of(series, series.records);
    answer_from(log, series);
    REQUIRE(run_over(log, quick_config(store.path())).summary.ok());
    const Heard heard = hear(*log);
    CHECK(heard.asked.size() == 1);  // perhaps more than once: the pauses here are shorter than the patience
    CHECK(heard.asked.at(1) <= 4);
    CHECK(heard.windows.at(1) == std::vector<pb::Receipt::Outcome>{pb::Receipt::DEAD_LETTERED});
    CHECK(heard.windows.size() == 3);
    CHECK(committed(*log) == static_cast<std::int64_t>(log->size()));
    std::multiset<std::string> dead, sent;
    for (const auto& record : log->written())
      if (record.topic == Topic::dead) {
        CHECK(record.key.find("\nnot_found: ") != std::string::npos);
        dead.emplace(as_text(record.value.bytes()));
      }
    for (const CodedRecord& r : records_of(series, 1)) sent.emplace(as_text(r.envelope.bytes()));
    CHECK(dead == sent);
    const sink::SeriesLedger ledger = only_ledger(store.path());
    CHECK(ledger.closes());
    CHECK(ledger.series.close_reason == "complete");
    const auto ranges = ledger.streams.at(0).ranges();
    if (record_lost) {  // its frames came whole
      CHECK(ledger.streams.at(0).count(pb::STORED_EXACT) == 24);
      continue;
    }
    CHECK(ranges.at({pb::LOST, pb::STAGE_SPOOL}) == std::vector<sink::FrameRange>{{11, 15}});
    CHECK(ranges.at({pb::STORED_EXACT, pb::STAGE_NONE}) == std::vector<sink::FrameRange>{{0, 10}, {16, 23}});

    // It comes once more, to a new process: the same answer, and no request.
    append_to(*log, series, records_of(series, 1));
    REQUIRE(run_over(log, quick_config(store.path())).summary.ok());
    CHECK(hear(*log).windows.at(1) == std::vector(2, pb::Receipt::DEAD_LETTERED));
    CHECK(hear(*log).asked == heard.asked);
  }
}

TEST_CASE("a window that came again in two halves is not taken for one that its agent lost",
          "[sink][receipt]") {
  CodedSeries series = make_coded_series({.frames = 24});
  std::vector<CodedRecord> records = series.records;
  std::erase_if(records, [](const CodedRecord& r) { return is_block(r, 1, 1, 1); });
  const TemporaryFolder store;
  const auto log = log_of(series, records);
  auto config = quick_config(store.path());
  REQUIRE(run_over(log, config).summary.ok());  // closed without it
  const std::vector<CodedRecord> again = records_of(series, 1);
  for (const auto& [from, to] : {std::pair<std::size_t, std::size_t>{0, 7}, {7, again.size()}}) {
    append_to(
        *log, series,
        {again.begin() + static_cast<std::ptrdiff_t>(from), again.begin() + static_cast<std::ptrdiff_t>(to)});
    REQUIRE(run_over(log, config).summary.ok());
    CHECK_FALSE(hear(*log).windows.contains(1));
  }
  append_to(*log, series, again);
  REQUIRE(run_over(log, config).summary.ok());
  CHECK(hear(*log).windows.at(1) == std::vector<pb::Receipt::Outcome>{pb::Receipt::STORED});
  check_whole(series, store.path());
}

TEST_CASE("a window that this sink can't take is refused with the reason, its frames are lost in the store",
          "[sink][receipt]") {
  for (const bool too_large : {false, true}) {
    INFO((too_large ? "too large for memory.max" : "of another shape than its stream"));
    CodedSeries series = make_coded_series({.frames = 24});
    const CodedSeries other =
        make_coded_series({.shape = {Dtype::u16, 24, 36}, .frames = 24, .uid = series.options.uid});
    if (!too_large) {
      std::erase_if(series.records, [](const CodedRecord& r) {
        return (r.header.has_block() && r.header.block().window() == 1) ||
               (r.header.has_window() && r.header.window().window() == 1);
      });
      const std::vector<CodedRecord> strange = records_of(other, 1);
      series.records.insert(series.records.end() - 1, strange.begin(), strange.end());
    }
    const TemporaryFolder store;
    const auto log = log_of(series, series.records);
    answer_from(log, series);
    auto config = quick_config(store.path());
    if (too_large) config.memory_max_bytes = 10'000;
    REQUIRE(run_over(log, config).summary.ok());
    const Heard heard = hear(*log);
    CHECK(heard.asked.empty());
    CHECK(committed(*log) == static_cast<std::int64_t>(log->size()));
    REQUIRE(heard.windows.contains(1));
    CHECK(heard.windows.at(1).back() == pb::Receipt::REFUSED);
    bool reason_is_said = false;
    for (const auto& record : log->written_receipts())
      reason_is_said |=
          record.receipt().reason().find(too_large ? "memory.max" : "shape") != std::string::npos;
    CHECK(reason_is_said);
    const sink::SeriesLedger ledger = only_ledger(store.path());
    CHECK(ledger.closes());
    const auto ranges = ledger.streams.at(0).ranges();
    CHECK(ranges.at({pb::LOST, pb::STAGE_STORE}) ==
          (too_large ? std::vector<sink::FrameRange>{{0, 23}} : std::vector<sink::FrameRange>{{8, 15}}));
    if (!too_large) continue;

    // The operator gives it more, and the records come once more.
    append_to(*log, series, series.records);
    REQUIRE(run_over(log, quick_config(store.path())).summary.ok());
    CHECK(hear(*log).windows.at(1).back() == pb::Receipt::STORED);
    check_whole(series, store.path());
  }
}

TEST_CASE("what is only read again after a crash is not taken for records that came again",
          "[sink][receipt]") {
  CodedSeries good = make_coded_series({.frames = 24}), bad = good;
  for (CodedRecord& r : bad.records)
    if (is_block(r, 1, 1, 1)) r = with_flipped_block(r);
  const TemporaryFolder store;
  const auto log = log_of(bad, bad.records);
  log->keep_commits_in(store.path() / "commits");
  const pid_t child = ::fork();
  if (child == 0) {
    // The failure is in the catalogue, and nothing is committed yet.
    static_cast<void>(run_over(log, quick_config(store.path()), [](sink::StoreStep now) {
      if (now == sink::StoreStep::catalogued) ::_exit(9);
    }));
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WEXITSTATUS(status) == 9);
  answer_from(log, good);  // the agent's own records are good
  REQUIRE(run_over(log, quick_config(store.path())).summary.ok());
  CHECK(hear(*log).windows.at(1).back() == pb::Receipt::STORED);
  check_whole(good, store.path());
}

TEST_CASE("a record whose header can't be read goes to the dead letters at once", "[sink][receipt]") {
  const CodedSeries series = make_coded_series({.frames = 8});
  const TemporaryFolder store;
  const auto log = log_of(series, series.records);
  const std::vector<std::byte> garbage(100, std::byte{0x5a});
  log->append(Topic::blocks, 0, "some/key", Payload::copy(garbage));
  REQUIRE(run_over(log, quick_config(store.path())).summary.ok());
  std::vector<transport::LogRecord> dead;
  for (auto& record : log->written())
    if (record.topic == Topic::dead) dead.push_back(std::move(record));
  REQUIRE(dead.size() == 1);
  CHECK(dead[0].key.starts_with("some/key\nbad_magic: "));
  CHECK(as_text(dead[0].value.bytes()) == as_text(garbage));
  CHECK(committed(*log) == static_cast<std::int64_t>(log->size()));
}

TEST_CASE("what the log freed before it was read is lost to retention, or comes again from the agent",
          "[sink][receipt]") {
  const CodedSeries series = make_coded_series({.frames = 48});  // windows 0, 2, 4 in partition 0
  for (const bool agent_has_it : {false, true}) {
    INFO((agent_has_it ? "the agent still has the records" : "the agent has freed the records"));
    const TemporaryFolder store;
    const auto log = log_of(series, series.records);
    log->free_below(Topic::blocks, 0, 20);  // window 0, and window 2 but for its last blocks and its record
    if (agent_has_it) answer_from(log, series);
    auto config = quick_config(store.path());
    const SinkOutcome outcome = run_over(log, config);
    REQUIRE(outcome.summary.ok());
    CHECK(committed(*log) == static_cast<std::int64_t>(log->size()));
    const Heard heard = hear(*log);
    CHECK(heard.asked.contains(0));
    CHECK(heard.asked.contains(2));
    CHECK_FALSE(heard.asked.contains(4));
    CHECK(heard.reasons.at(0) == "freed by the log before it was read");
    CHECK(heard.reasons.at(2) == "freed by the log before it was read");
    if (agent_has_it) {
      check_whole(series, store.path());
      CHECK(heard.windows.size() == 6);
      continue;
    }
    CHECK(heard.windows.size() == 4);
    const auto ranges = only_ledger(store.path()).streams.at(0).ranges();
    CHECK(ranges.at({pb::LOST, pb::STAGE_RETENTION}) == std::vector<sink::FrameRange>{{0, 7}, {16, 23}});
    CHECK(only_ledger(store.path()).closes());
    // The agent had quarantined copies after all.
    append_to(*log, series, records_of(series, 0));
    append_to(*log, series, records_of(series, 2));
    REQUIRE(run_over(log, config).summary.ok());
    check_whole(series, store.path());
    CHECK(hear(*log).windows.size() == 6);
  }
}

TEST_CASE("windows that had to make room are asked for again and stored", "[sink][receipt][patient]") {
  const CodedSeries series = make_coded_series({.frames = 24});
  // The blocks of all windows mixed: with room for one window only, the others' first blocks are given up.
  std::vector<CodedRecord> records = series.records;
  std::stable_sort(records.begin() + 1, records.end() - 1, [](const CodedRecord& a, const CodedRecord& b) {
    const auto place = [](const CodedRecord& r) {
      return r.header.has_block() ? r.header.block().tile() : 99;
    };
    return place(a) < place(b);
  });
  const TemporaryFolder store;
  const auto log = log_of(series, records);
  answer_from(log, series);
  auto config = quick_config(store.path());
  config.memory_max_bytes = 100'000;  // a window takes 83 kB
  const SinkOutcome outcome = run_over(log, config);
  REQUIRE(outcome.summary.ok());
  CHECK(hear(*log).requests > 0);
  CHECK(hear(*log).windows.size() == 3);
  CHECK(frames_in_files(store.path()) == 24);
  check_whole(series, store.path());
}
