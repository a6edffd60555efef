// SPDX-License-Identifier: Apache-2.0
// What a log:// frees, folds, refuses and loses to damage.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <thread>

#include <catch2/catch.hpp>

#include "common/transport/log.hpp"
#include "common/transport/segment_log.hpp"
#include "tests/unit/transport/local_topics.hpp"
#include "tests/unit/transport/temporary_folder.hpp"

namespace ff::transport {

using namespace local_test;

TEST_CASE("a full log refuses until the slowest group has committed", "[log]") {
  const TemporaryFolder folder;
  auto options = options_for(folder);
  options.log_bytes_max = 64 << 10;
  const auto writer = open_writer(options);
  const auto reader = open_reader(options);
  const Payload block = Payload::own(std::vector<std::byte>(1000));
  const auto produce = [&] { return writer->produce(Topic::blocks, 0, "k", block, [](const auto&) {}); };
  Status status;
  for (int i = 0; i < 1000 && status.ok(); ++i) status = produce();
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().code == Errc::disk_full);
  CHECK_FALSE(writer->trouble().empty());
  const auto records = read_all(*reader);
  REQUIRE(reader->commit(Topic::blocks, 0, records.back().position.offset + 1).ok());
  CHECK(produce().ok());
  REQUIRE(writer->flush(seconds(5)).ok());
  CHECK(writer->trouble().empty());
}

TEST_CASE("a state topic folds to the last value of each key when it is opened", "[log]") {
  const TemporaryFolder folder;
  const auto options = options_for(folder);
  const Payload megabyte = Payload::own(std::vector<std::byte>(1 << 20));
  {
    const auto writer = open_writer(options);
    REQUIRE(writer->produce(Topic::series, 0, "gone", text("deleted below"), [](const auto&) {}).ok());
    REQUIRE(writer->produce(Topic::series, 0, "steady", text("written once"), [](const auto&) {}).ok());
    for (int i = 0; i < 40; ++i)
      REQUIRE(writer->produce(Topic::series, 0, "busy", megabyte, [](const auto&) {}).ok());
    REQUIRE(writer->produce(Topic::series, 0, "busy", text("newest"), [](const auto&) {}).ok());
    REQUIRE(writer->produce(Topic::series, 0, "gone", {}, [](const auto&) {}).ok());
  }
  const auto writer = open_writer(options);
  std::map<std::string, std::string> state;
  std::size_t count = 0;
  for (const LogRecord& record : read_all(*open_reader(options, "late"))) {
    state[record.key] = std::string(as_text(record.value.bytes()));
    ++count;
  }
  CHECK(state["steady"] == "written once");
  CHECK(state["busy"] == "newest");
  CHECK(state["gone"].empty());
  CHECK(count < 20);
}

TEST_CASE("receipts are freed by size, whoever has not read them, and a reader is told which it missed",
          "[log]") {
  const TemporaryFolder folder;
  auto options = options_for(folder);
  options.kept_bytes_max = 1 << 20;
  const auto reader = open_log_reader(options, "slow", {Topic::receipts});
  REQUIRE(reader.ok());
  const auto writer = open_log_writer(options, {Topic::receipts});
  REQUIRE(writer.ok());
  REQUIRE((*writer)->produce(Topic::receipts, 0, "r", text("first"), {}).ok());
  REQUIRE((*reader)->poll(seconds(5)).ok());  // now it has a cursor
  const std::string large(10'000, 'x');
  for (int i = 0; i < 400; ++i) {
    REQUIRE((*writer)->produce(Topic::receipts, 0, "r", text(large), {}).ok());
    if (i % 50 == 0) REQUIRE((*writer)->flush(seconds(5)).ok());
  }
  std::vector<LogGap> gaps;
  (*reader)->on_gap = [&](const LogGap& gap) { gaps.push_back(gap); };
  std::size_t read = 0, errors = 0;
  std::int64_t first_read = -1;
  for (;;) {
    auto record = (*reader)->poll(milliseconds(0));
    if (!record.ok()) {
      CHECK(record.error().code == Errc::out_of_range);
      ++errors;
      continue;
    }
    if (!record->has_value()) break;
    if (errors > 0 && first_read < 0) first_read = (*record)->position.offset;
    ++read;
  }
  REQUIRE(gaps.size() == 1);
  CHECK(errors == 1);
  CHECK(gaps[0].cause == LogGap::Cause::freed);
  CHECK(gaps[0].topic == Topic::receipts);
  CHECK(gaps[0].next_offset == first_read);
  CHECK(read + static_cast<std::size_t>(gaps[0].next_offset - gaps[0].first_offset) == 400);
}

TEST_CASE("a group that comes for the first time is told what was freed before it", "[log]") {
  const TemporaryFolder folder;
  LogOptions options = options_for(folder);
  options.log_bytes_max = 400'000;  // segments of 100 kB
  const auto writer = open_writer(options);
  auto first = open_reader(options, "first");
  for (int n = 0; n < 30; ++n) {  // 30 kB each
    REQUIRE(writer->produce(Topic::blocks, 0, "", Payload::own(std::vector<std::byte>(30'000)), {}).ok());
    REQUIRE(writer->flush(seconds(10)).ok());
    for (const LogRecord& record : read_all(*first))
      REQUIRE(first->commit(Topic::blocks, 0, record.position.offset + 1).ok());
    writer->poll(milliseconds(0));
  }
  const auto late = open_reader(options, "late");
  std::vector<LogGap> gaps;
  late->on_gap = [&](const LogGap& gap) { gaps.push_back(gap); };
  const auto told = late->poll(milliseconds(0));
  REQUIRE_FALSE(told.ok());
  CHECK(told.error().code == Errc::out_of_range);
  REQUIRE(gaps.size() == 1);
  CHECK(gaps[0].topic == Topic::blocks);
  CHECK(gaps[0].cause == LogGap::Cause::freed);
  CHECK(gaps[0].first_offset == 0);
  CHECK(gaps[0].next_offset > 0);
  const auto records = read_all(*late);
  REQUIRE_FALSE(records.empty());
  CHECK(records.front().position.offset == gaps[0].next_offset);
  CHECK(gaps.size() == 1);
  first.reset();
  const auto again = open_reader(options, "first");  // it was there from the beginning
  CHECK(read_all(*again).empty());
}

TEST_CASE("receipts are freed by age", "[log]") {
  const TemporaryFolder folder;
  auto options = options_for(folder);
  options.kept_bytes_max = 4 << 20;  // segments of 1 MiB
  options.kept_for = milliseconds(50);
  const auto writer = open_log_writer(options, {Topic::dead});
  REQUIRE(writer.ok());
  const std::string large(300'000, 'x');
  for (int i = 0; i < 8; ++i) REQUIRE((*writer)->produce(Topic::dead, 0, "d", text(large), {}).ok());
  REQUIRE((*writer)->flush(seconds(5)).ok());
  const auto segments = [&] {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path() / "site.beamline.dead"))
      count += entry.path().extension() == ".ffs";
    return count;
  };
  CHECK(segments() >= 2);
  for (int i = 0; i < 100 && segments() > 1; ++i) {
    std::this_thread::sleep_for(milliseconds(20));
    (*writer)->poll(milliseconds(0));
  }
  CHECK(segments() == 1);
}

TEST_CASE("damage in the log is told with the offsets it has cost", "[log]") {
  const TemporaryFolder folder;
  const auto options = options_for(folder);
  {
    const auto writer = open_writer(options);
    for (int i = 0; i < 6; ++i)
      REQUIRE(writer->produce(Topic::blocks, 0, "k", text(std::string(1000, 'a')), {}).ok());
    REQUIRE(writer->flush(seconds(5)).ok());
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder.path() / "site.beamline.blocks"))
    if (entry.path().extension() == ".ffs") {
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(64 + 3 * 1056 + 500);  // in the body of record 3
      file.put('b');
    }
  const auto reader = open_reader(options);
  std::vector<LogGap> gaps;
  reader->on_gap = [&](const LogGap& gap) { gaps.push_back(gap); };
  int read = 0, errors = 0;
  for (int i = 0; i < 10; ++i) {
    const auto record = reader->poll(milliseconds(0));
    read += record.ok() && record->has_value();
    errors += !record.ok();
  }
  CHECK(read == 5);
  CHECK(errors == 1);
  REQUIRE(gaps.size() == 1);
  CHECK(gaps[0].cause == LogGap::Cause::damaged);
  CHECK(gaps[0].first_offset == 3);
  CHECK(gaps[0].next_offset == 4);
}

TEST_CASE("a follower of a state topic does not take folding for a loss", "[log]") {
  const TemporaryFolder folder;
  auto options = options_for(folder);
  options.log_bytes_max = 4 << 20;  // segments of 1 MiB
  const auto write = [&](int count) {
    const auto writer = open_log_writer(options, {Topic::ledger});
    REQUIRE(writer.ok());
    for (int i = 0; i < count; ++i)
      REQUIRE(
          (*writer)
              ->produce(Topic::ledger, 0, "key" + std::to_string(i % 3), text(std::string(100'000, 'x')), {})
              .ok());
  };
  write(10);
  const auto follower = open_log_follower(options, "sealer", {Topic::ledger});
  REQUIRE(follower.ok());
  write(20);
  write(3);  // folds at opening
  std::map<std::string, int> last;
  for (const LogRecord& record : read_all(**follower)) ++last[record.key];
  CHECK(last.size() == 3);
}

}  // namespace ff::transport
