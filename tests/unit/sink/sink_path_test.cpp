// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <fstream>
#include <random>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "hpc_sink/store/file_names.hpp"
#include "tests/support/coded_series.hpp"
#include "tests/support/sink_run.hpp"

namespace {

using namespace ff;
using namespace ff::test;
namespace pb = foreframe::wire;

std::shared_ptr<FakeLog> log_of(const CodedSeries& series) { return log_of(series, series.records); }

std::filesystem::path master_of(const CodedSeries& series, const std::filesystem::path& store) {
  return store / sink::master_file_name(series.options.uid, series.options.detector);
}

std::vector<std::byte> filled(const FrameShape& shape, std::uint16_t value) {
  std::vector<std::byte> pixels(shape.bytes());
  for (std::size_t i = 0; i < pixels.size(); i += 2) store_le(pixels.data() + i, value);
  return pixels;
}

void check_all_frames(const CodedSeries& series, const std::filesystem::path& store) {
  const MasterContent master = read_master(master_of(series, store), series.options.shape);
  REQUIRE(master.frames.size() == series.options.frames);
  for (std::uint32_t frame = 0; frame < series.options.frames; ++frame) {
    INFO("frame " << frame);
    const bool lost = series.options.lost.contains(frame);
    CHECK(master.states[frame] == (lost ? pb::LOST : pb::STORED_EXACT));
    CHECK(master.frames[frame] == (lost ? filled(series.options.shape, 65535) : series.frames[frame]));
  }
}

std::size_t count_files(const std::filesystem::path& store, const std::string& ending) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(store))
    count += entry.path().string().ends_with(ending);
  return count;
}

std::size_t frames_in_data_files(const std::filesystem::path& store) {
  std::size_t frames = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(store)) {
    const std::string name = entry.path().string();
    if (!name.ends_with(".h5") || name.ends_with("_master.h5")) continue;
    const auto content = sink::read_data_file(entry.path(), true);
    REQUIRE(content.ok());
    frames += content->index.frame_numbers.size();
  }
  return frames;
}

std::size_t seal_count(const CodedSeries& series, const std::filesystem::path& store) {
  const auto catalogue = sink::Catalogue::open_read_only(catalogue_of(store));
  REQUIRE(catalogue.ok());
  const auto seals = (*catalogue)->seals(series.options.uid);
  REQUIRE(seals.ok());
  return seals->size();
}

double metric(const std::string& text, const std::string& name) {
  double sum = 0;
  std::size_t at = 0;
  while ((at = text.find("\nforeframe_sink_" + name, at)) != std::string::npos) {
    const std::size_t end = text.find('\n', at + 1), space = text.rfind(' ', end);
    sum += std::stod(text.substr(space, end - space));
    at = end;
  }
  return sum;
}

}  // namespace

TEST_CASE("a series comes out of the log as files that hold every pixel, and its ledger closes",
          "[sink][path]") {
  const CodedSeries series = make_coded_series({.frames = 37, .lost = {5, 9, 10, 11}});
  const TemporaryFolder store;
  const auto log = log_of(series);
  const SinkOutcome outcome = run_over(log, quick_config(store.path()));
  REQUIRE(outcome.summary.ok());
  check_all_frames(series, store.path());
  const sink::SeriesLedger ledger = only_ledger(store.path());
  CHECK(ledger.closes());
  REQUIRE(ledger.streams.size() == 1);
  CHECK(ledger.streams[0].expected == 37);
  CHECK(ledger.streams[0].count(pb::STORED_EXACT) == 33);
  const auto ranges = ledger.streams[0].ranges();
  const auto lost = ranges.find({pb::LOST, pb::STAGE_RECEIVE});
  REQUIRE(lost != ranges.end());
  CHECK(lost->second == std::vector<sink::FrameRange>{{5, 5}, {9, 11}});
  CHECK(log->committed(transport::Topic::blocks, 0) + log->committed(transport::Topic::blocks, 1) +
            log->committed(transport::Topic::series, 0) ==
        static_cast<std::int64_t>(log->size()));
  CHECK(count_files(store.path(), ".part") == 0);
}

TEST_CASE("the order and the number of times in which envelopes come change nothing in the store",
          "[sink][path]") {
  const CodedSeries series = make_coded_series({.frames = 30, .lost = {3}});
  std::string first_ledger;
  for (std::uint32_t seed = 1; seed <= 4; ++seed) {
    INFO("order of seed " << seed);
    std::vector<CodedRecord> records = series.records;
    records.insert(records.end(), series.records.begin(), series.records.end());
    std::shuffle(records.begin(), records.end(), std::mt19937(seed));
    const TemporaryFolder store;
    REQUIRE(run_over(log_of(series, records), quick_config(store.path())).summary.ok());
    check_all_frames(series, store.path());
    CHECK(frames_in_data_files(store.path()) == 29);
    sink::SeriesLedger ledger = only_ledger(store.path());
    const std::string text = sink::ledger_json(ledger, 0);
    if (first_ledger.empty()) first_ledger = text;
    CHECK(text == first_ledger);
  }
}

TEST_CASE("what is read again after everything was stored is dropped", "[sink][path]") {
  const CodedSeries series = make_coded_series({.frames = 20});
  const TemporaryFolder store;
  REQUIRE(run_over(log_of(series), quick_config(store.path())).summary.ok());
  REQUIRE(run_over(log_of(series), quick_config(store.path())).summary.ok());  // commits were forgotten
  CHECK(frames_in_data_files(store.path()) == 20);
  check_all_frames(series, store.path());
}

TEST_CASE("killed between any two steps and started again, the sink neither loses nor doubles a frame",
          "[sink][path][patient]") {
  const CodedSeries series = make_coded_series({.frames = 40});
  using Step = sink::StoreStep;
  for (const Step step : {Step::window_written, Step::file_closed, Step::file_synced, Step::file_renamed,
                          Step::catalogued, Step::sealed, Step::committed, Step::master_renamed}) {
    for (const int time : {1, 2}) {
      INFO("killed at step " << static_cast<int>(step) << ", time " << time);
      const TemporaryFolder store;
      const auto log = log_of(series);
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
      REQUIRE(WIFEXITED(status));
      if ((step != Step::master_renamed && step != Step::sealed) || time == 1)
        CHECK(WEXITSTATUS(status) == 9);

      REQUIRE(run_over(log, config).summary.ok());
      CHECK(frames_in_data_files(store.path()) == 40);
      CHECK(count_files(store.path(), ".part") == 0);
      check_all_frames(series, store.path());
      CHECK(only_ledger(store.path()).closes());
      CHECK(seal_count(series, store.path()) == 1);
    }
  }
}

TEST_CASE("corrupted envelopes and blocks are counted, and their frames are accounted for", "[sink][path]") {
  const CodedSeries series = make_coded_series({.frames = 24});
  std::vector<CodedRecord> records = series.records;
  int spoiled = 0;
  for (CodedRecord& record : records) {
    if (!record.header.has_block()) continue;
    const pb::Block& block = record.header.block();
    std::vector<std::byte> bytes(record.envelope.bytes().begin(), record.envelope.bytes().end());
    if (block.window() == 0 && block.tile() == 0 && block.group() == 2) {  // the envelope itself
      bytes[bytes.size() / 2] ^= std::byte{1};
      record.envelope = Payload::own(std::move(bytes));
      ++spoiled;
    } else if (block.window() == 1 && block.tile() == 1 &&
               block.group() == 1) {  // the block in a good envelope
      const auto parsed = wire::parse_envelope(record.envelope.bytes());
      std::vector<std::byte> payload(parsed->payload.begin(), parsed->payload.end());
      payload.back() ^= std::byte{1};
      record = reseal(record, record.header, payload);
      ++spoiled;
    }
  }
  REQUIRE(spoiled == 2);
  const std::vector<std::byte> garbage(100, std::byte{0x5a});
  const TemporaryFolder store;
  const auto log = log_of(series, records);
  log->append(transport::Topic::blocks, 0, "", Payload::copy(garbage));
  log->append(transport::Topic::series, 0, "", Payload());
  const SinkOutcome outcome = run_over(log, quick_config(store.path()));
  REQUIRE(outcome.summary.ok());
  CHECK(metric(outcome.metrics, "records_refused_total") == 2);
  CHECK(metric(outcome.metrics, "blocks_failed_total") == 3);
  CHECK(metric(outcome.metrics, "dead_letters_total") == 2);
  const sink::SeriesLedger ledger = only_ledger(store.path());
  CHECK(ledger.closes());
  const auto ranges = ledger.streams.at(0).ranges();
  CHECK(ranges.at({pb::DAMAGED, pb::STAGE_LOG}) == std::vector<sink::FrameRange>{{6, 7}});
  CHECK(ranges.at({pb::DAMAGED, pb::STAGE_DECODE}) == std::vector<sink::FrameRange>{{11, 15}});
  const MasterContent master = read_master(master_of(series, store.path()), series.options.shape);
  CHECK(master.frames[6] == filled(series.options.shape, 65535));
  CHECK(master.frames[16] == series.frames[16]);
}

TEST_CASE("blocks that come after their series was closed are stored and the master is written again",
          "[sink][path]") {
  const CodedSeries series = make_coded_series({.frames = 24});
  std::vector<CodedRecord> without;
  for (const CodedRecord& record : series.records)
    if (!(record.header.has_block() && record.header.block().window() == 1)) without.push_back(record);
  const TemporaryFolder store;
  const auto log = log_of(series, without);
  REQUIRE(run_over(log, quick_config(store.path())).summary.ok());
  CHECK(only_ledger(store.path()).streams.at(0).count(pb::LOST) == 8);

  append_to(*log, series, series.records);  // the agent sends all of it again
  const SinkOutcome again = run_over(log, quick_config(store.path()));
  REQUIRE(again.summary.ok());
  CHECK(metric(again.metrics, "frames_late_total") == 8);
  CHECK(frames_in_data_files(store.path()) == 24);
  check_all_frames(series, store.path());
}

TEST_CASE("two channels of one detector come together in one master file", "[sink][path]") {
  CodedSeriesOptions options{.frames = 16, .channel = "threshold_1", .streams = {0, 1}};
  const CodedSeries low = make_coded_series(options);
  options.stream = options.channel_index = 1;
  options.channel = "threshold_2";
  options.seed = 2;
  const CodedSeries high = make_coded_series(options);
  const TemporaryFolder store;
  const auto log = log_of(low);
  append_to(*log, high, high.records);
  REQUIRE(run_over(log, quick_config(store.path())).summary.ok());
  CHECK((read_master(master_of(low, store.path()), options.shape).frames == low.frames));
  CHECK((read_master(master_of(low, store.path()), options.shape, "data_threshold_2").frames == high.frames));
}

TEST_CASE("every pixel type and compression reads back as it was", "[sink][path]") {
  for (const Dtype dtype :
       {Dtype::u8, Dtype::u16, Dtype::u32, Dtype::i16, Dtype::i32, Dtype::f16, Dtype::f32}) {
    for (const char* compression : {"bslz4", "deflate", "none"}) {
      INFO(dtype_name(dtype) << " " << compression);
      const CodedSeries series = make_coded_series({.shape = {dtype, 7, 13}, .frames = 9, .sentinels = {}});
      const TemporaryFolder store;
      auto config = quick_config(store.path());
      config.store_compression = compression;
      REQUIRE(run_over(log_of(series), config).summary.ok());
      CHECK((read_master(master_of(series, store.path()), series.options.shape).frames == series.frames));
    }
  }
}

TEST_CASE("with little memory the sink waits instead of growing, and stores everything", "[sink][path]") {
  const CodedSeries series = make_coded_series({.frames = 200});
  const TemporaryFolder store;
  auto config = quick_config(store.path());
  config.memory_max_bytes = 200'000;  // two windows: each 31 kB of frames and 52 kB of its tiles' states
  REQUIRE(run_over(log_of(series), config).summary.ok());
  check_all_frames(series, store.path());
}
