// SPDX-License-Identifier: Apache-2.0
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
#include "tests/unit/transport/temporary_folder.hpp"

namespace ff::transport {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

LogOptions options_for(const TemporaryFolder& folder) {
  LogOptions options;
  options.url = "log://" + folder.path().string();
  return options;
}

std::unique_ptr<LogWriter> open_writer(const LogOptions& options) {
  auto writer = open_log_writer(options, {Topic::blocks, Topic::series});
  if (!writer.ok()) FAIL(writer.error().message);
  return std::move(writer).value();
}

std::unique_ptr<LogReader> open_reader(const LogOptions& options, const std::string& group = "sink") {
  auto reader = open_log_reader(options, group, {Topic::blocks, Topic::series});
  if (!reader.ok()) FAIL(reader.error().message);
  return std::move(reader).value();
}

Payload text(const std::string& words) { return Payload::copy(as_bytes(words)); }

std::vector<LogRecord> read_all(LogReader& reader) {
  std::vector<LogRecord> records;
  for (;;) {
    auto record = reader.poll(milliseconds(0));
    if (!record.ok()) FAIL(record.error().message);
    if (!record->has_value()) return records;
    records.push_back(**record);
  }
}

}  // namespace

TEST_CASE("a log URL that is neither kafka nor an absolute path is refused with an example", "[log]") {
  for (const char* url : {"", "kafka://", "log://relative", "http://host", "log:/x"}) {
    LogOptions options;
    options.url = url;
    const auto writer = open_log_writer(options, {Topic::blocks});
    REQUIRE_FALSE(writer.ok());
    CHECK(writer.error().code == Errc::invalid_argument);
    CHECK_THAT(writer.error().message, Catch::Contains("log:///absolute/path"));
  }
  const TemporaryFolder folder;
  LogOptions options = options_for(folder);
  options.topic_prefix = "../up";
  CHECK(open_log_writer(options, {Topic::blocks}).error().code == Errc::invalid_argument);
}

TEST_CASE("records are delivered once durable, and read in order with their keys", "[log]") {
  const TemporaryFolder folder;
  const auto options = options_for(folder);
  const auto writer = open_writer(options);
  std::vector<std::int64_t> delivered;
  for (int i = 0; i < 10; ++i)
    REQUIRE(writer
                ->produce(Topic::blocks, 0, "k", text("block " + std::to_string(i)),
                          [&](const auto& position) {
                            REQUIRE(position.ok());
                            delivered.push_back(position->offset);
                          })
                .ok());
  CHECK(delivered.empty());
  REQUIRE(writer->flush(seconds(5)).ok());
  CHECK(delivered == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  const auto reader = open_reader(options);
  const auto records = read_all(*reader);
  REQUIRE(records.size() == 10);
  CHECK(as_text(records[3].value.bytes()) == "block 3");
  CHECK(records[3].key == "k");
  CHECK(records[3].first_offset == 3);
  CHECK(reader->caught_up());
  CHECK(*writer->partition_count(Topic::blocks) == 1);
  CHECK(writer->produce(Topic::blocks, 1, "", text("x"), {}).error().code == Errc::out_of_range);
  CHECK(writer->produce(Topic::receipts, 0, "", text("x"), {}).error().code == Errc::invalid_argument);
}

TEST_CASE("poll() delivers within the fsync delay without being told to flush", "[log]") {
  const TemporaryFolder folder;
  const auto writer = open_writer(options_for(folder));
  int delivered = 0;
  REQUIRE(writer->produce(Topic::blocks, 0, "", text("x"), [&](const auto&) { ++delivered; }).ok());
  for (int i = 0; i < 100 && delivered == 0; ++i) writer->poll(milliseconds(20));
  CHECK(delivered == 1);
}

TEST_CASE("a delivery callback may produce again", "[log]") {
  const TemporaryFolder folder;
  const auto writer = open_writer(options_for(folder));
  int delivered = 0;
  REQUIRE(writer
              ->produce(Topic::blocks, 0, "", text("first"),
                        [&](const auto&) {
                          ++delivered;
                          REQUIRE(writer
                                      ->produce(Topic::series, 0, "s", text("second"),
                                                [&](const auto&) { ++delivered; })
                                      .ok());
                        })
              .ok());
  REQUIRE(writer->flush(seconds(5)).ok());
  CHECK(delivered == 2);
}

TEST_CASE("a reader waits for a log that isn't there yet and is told when it has it", "[log]") {
  const TemporaryFolder folder;
  const auto options = options_for(folder);
  const auto reader = open_reader(options);
  std::vector<Topic> assigned;
  reader->on_assigned = [&](Topic topic, std::int32_t partition) {
    CHECK(partition == 0);
    assigned.push_back(topic);
  };
  CHECK(read_all(*reader).empty());
  CHECK(assigned.empty());
  const auto writer = open_writer(options);
  REQUIRE(writer->produce(Topic::blocks, 0, "k", text("x"), [](const auto&) {}).ok());
  auto record = reader->poll(seconds(5));
  REQUIRE(record.ok());
  REQUIRE(record->has_value());
  CHECK(read_all(*reader).empty());
  CHECK(assigned.size() == 2);
}

TEST_CASE("each group has its own cursor, and one reader at a time", "[log]") {
  const TemporaryFolder folder;
  const auto options = options_for(folder);
  const auto writer = open_writer(options);
  for (int i = 0; i < 6; ++i)
    REQUIRE(writer->produce(Topic::blocks, 0, "k", text("x"), [](const auto&) {}).ok());
  {
    const auto reader = open_reader(options, "store");
    CHECK(open_log_reader(options, "store", {Topic::blocks}).error().code == Errc::refused);
    CHECK(read_all(*reader).size() == 6);
    REQUIRE(reader->commit(Topic::blocks, 0, 4).ok());
    CHECK(reader->commit(Topic::blocks, 1, 4).error().code == Errc::refused);
    CHECK(reader->commit(Topic::ledger, 0, 4).error().code == Errc::refused);
  }
  CHECK(read_all(*open_reader(options, "store")).size() == 2);
  CHECK(read_all(*open_reader(options, "preview")).size() == 6);
}

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

TEST_CASE("a second collector on the same log:// is refused", "[log]") {
  const TemporaryFolder folder;
  const auto writer = open_writer(options_for(folder));
  CHECK(open_log_writer(options_for(folder), {Topic::blocks}).error().code == Errc::refused);
}

TEST_CASE("a follower reads all from the oldest record, holds nothing back, and any number may follow",
          "[log]") {
  const TemporaryFolder folder;
  const auto options = options_for(folder);
  auto follower = open_log_follower(options, "collector", {Topic::receipts, Topic::ledger});
  REQUIRE(follower.ok());
  CHECK(read_all(**follower).empty());  // nothing is there yet
  const auto writer = open_log_writer(options, {Topic::receipts, Topic::ledger, Topic::dead});
  REQUIRE(writer.ok());
  for (int i = 0; i < 5; ++i) {
    REQUIRE((*writer)->produce(Topic::receipts, 0, "r", text(std::to_string(i)), {}).ok());
    REQUIRE((*writer)->produce(Topic::ledger, 0, "l" + std::to_string(i), text("x"), {}).ok());
  }
  auto first = (*follower)->poll(seconds(5));
  REQUIRE(first.ok());
  REQUIRE(first->has_value());
  CHECK(read_all(**follower).size() == 9);
  CHECK((*follower)->caught_up());
  CHECK((*follower)->commit(Topic::receipts, 0, 1).error().code == Errc::refused);
  const auto another = open_log_follower(options, "collector", {Topic::receipts});
  REQUIRE(another.ok());
  CHECK(read_all(**another).size() == 5);
  CHECK(std::filesystem::is_empty(folder.path() / "site.beamline.receipts" / "cursors"));
}

TEST_CASE("collector and sink each write their own topics of one log folder", "[log]") {
  const TemporaryFolder folder;
  const auto options = options_for(folder);
  const auto collector = open_writer(options);
  const auto sink = open_log_writer(options, {Topic::receipts, Topic::ledger, Topic::dead});
  REQUIRE(sink.ok());
  CHECK(open_log_writer(options, {Topic::dead}).error().code == Errc::refused);
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

TEST_CASE("a log:// whose disk lags behind says queue_full and goes on when the disk has caught up",
          "[log]") {
  const TemporaryFolder folder;
  const auto writer = open_writer(options_for(folder));
  const Payload block = Payload::own(std::vector<std::byte>(8 << 20));
  int delivered = 0, taken = 0;
  Status status;
  while (status.ok() && taken < 100) {
    status = writer->produce(Topic::blocks, 0, "k", block, [&](const auto& p) { delivered += p.ok(); });
    taken += status.ok();
  }
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().code == Errc::queue_full);
  CHECK(taken == 8);
  CHECK(delivered == 0);
  REQUIRE(writer->flush(seconds(30)).ok());
  CHECK(delivered == taken);
  CHECK(writer->produce(Topic::blocks, 0, "k", block, {}).ok());
}

TEST_CASE("records written while others become durable wait for their own fsync", "[log]") {
  const TemporaryFolder folder;
  const auto writer = open_writer(options_for(folder));
  std::vector<std::int64_t> delivered;
  for (int i = 0; i < 2000; ++i) {
    REQUIRE(writer
                ->produce(i % 3 == 0 ? Topic::series : Topic::blocks, 0, std::to_string(i),
                          text(std::string(2000, 'x')),
                          [&delivered, i](const auto& position) {
                            REQUIRE(position.ok());
                            delivered.push_back(i);
                          })
                .ok());
    if (i % 7 == 0) writer->poll(milliseconds(i % 70 == 0 ? 15 : 0));
  }
  REQUIRE(writer->flush(seconds(30)).ok());
  CHECK(delivered.size() == 2000);
  CHECK(std::set<std::int64_t>(delivered.begin(), delivered.end()).size() == 2000);
}

}  // namespace ff::transport
