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
#include "tests/unit/transport/local_topics.hpp"
#include "tests/unit/transport/temporary_folder.hpp"

namespace ff::transport {

using namespace local_test;

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
