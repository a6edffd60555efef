// SPDX-License-Identifier: Apache-2.0
// Bits that flip in the broker's own files, under records that are not read yet.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/transport/kafka/kafka_topics.hpp"

namespace ff::transport {

using namespace kafka_test;

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBatchHeaderBytes = 61;

/// The file of a partition's records; nothing where the broker's disk is not ours.
std::optional<fs::path> partition_file(const LogOptions& options, std::int32_t partition) {
  const fs::path folder = broker_setting(options, "log.dirs");
  const fs::path file =
      folder / (options.topic_prefix + ".blocks-" + std::to_string(partition)) / "00000000000000000000.log";
  if (fs::exists(file)) return file;
  WARN("the broker's files are not on this host; nothing can be damaged");
  return std::nullopt;
}

/// A flipped bit, and the way back.
void flip_bit(const fs::path& path, std::uint64_t position, int bit = 4) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<long>(position));
  const int old = file.get();
  file.seekp(static_cast<long>(position));
  file.put(static_cast<char>(old ^ bit));
}

/// Where each batch of the file begins, and its end.
std::vector<std::uint64_t> batch_places(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  std::vector<std::uint64_t> places{0};
  while (places.back() + kBatchHeaderBytes <= bytes.size()) {
    std::uint64_t length = 0;
    for (std::size_t i = 8; i < 12; ++i)
      length = length << 8 | static_cast<unsigned char>(bytes[places.back() + i]);
    if (length == 0) break;
    places.push_back(places.back() + 12 + length);
  }
  return places;
}

/// `count` batches of `records` records each in partition 0; record n has key "n".
void write_batches(const LogOptions& options, std::uint64_t count, std::uint64_t records,
                   std::size_t bytes = 3000) {
  LogOptions batched = options;
  batched.kafka["linger.ms"] = "1000";
  batched.kafka["batch.num.messages"] = std::to_string(records);
  const auto writer = open_writer(batched);
  for (std::uint64_t n = 0; n < count * records; ++n) {
    REQUIRE(writer->produce(Topic::blocks, 0, std::to_string(n), value_of(n, bytes), {}).ok());
    if ((n + 1) % records == 0) REQUIRE(writer->flush(seconds(20)).ok());
  }
}

struct Reading {
  std::vector<std::uint64_t> numbers;
  std::vector<LogGap> gaps;
  std::vector<Error> errors;
};

/// Reads until `count` records have come.
Reading read_past_damage(LogReader& reader, std::size_t count, std::size_t bytes = 3000) {
  Reading reading;
  reader.on_gap = [&](const LogGap& gap) { reading.gaps.push_back(gap); };
  for (const LogRecord& record : read(reader, count, &reading.errors)) {
    reading.numbers.push_back(std::stoull(record.key));
    CHECK(same(record.value, value_of(reading.numbers.back(), bytes)));
    CHECK(record.position.offset == static_cast<std::int64_t>(reading.numbers.back()));
  }
  return reading;
}

std::vector<std::uint64_t> numbers_without(std::uint64_t end, std::uint64_t first_lost,
                                           std::uint64_t end_lost) {
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t n = 0; n < end; ++n)
    if (n < first_lost || n >= end_lost) numbers.push_back(n);
  return numbers;
}

}  // namespace

TEST_CASE("a damaged batch on the broker's disk is skipped, told, and the rest is read", "[kafka][damage]") {
  LogOptions options = fresh_options();
  options.damage_patience = milliseconds(300);
  write_batches(options, 6, 10);
  const auto file = partition_file(options, 0);
  if (!file) return;
  const auto places = batch_places(*file);
  REQUIRE(places.size() == 7);
  // In the header: the format version, a CRC, an attribute, a time; behind it: a record's length, a value. Another
  // last offset makes the broker answer for the records behind with the same batch.
  const std::vector<std::pair<std::uint64_t, std::uint64_t>> places_and_ends{
      {16, 30}, {18, 30}, {22, 30}, {30, 30}, {61, 30}, {5000, 30}, {26, 34}};
  for (const auto& [inside, end] : places_and_ends) {
    INFO("byte " << inside << " of the third batch");
    flip_bit(*file, places[2] + inside);
    const auto reader = open_reader(options, "sink-" + std::to_string(inside));
    const Reading reading = read_past_damage(*reader, 80 - end);
    CHECK(reading.numbers == numbers_without(60, 20, end));
    REQUIRE(reading.gaps.size() == 1);
    CHECK(reading.gaps[0].cause == LogGap::Cause::damaged);
    CHECK(reading.gaps[0].first_offset == 20);
    CHECK(reading.gaps[0].next_offset == static_cast<std::int64_t>(end));
    REQUIRE(reading.errors.size() == 1);
    CHECK(reading.errors[0].code == Errc::crc_mismatch);
    CHECK_THAT(reading.errors[0].message, Catch::Contains("records 20 to " + std::to_string(end)));
    CHECK(reader->commit(Topic::blocks, 0, 60).ok());
    flip_bit(*file, places[2] + inside);
  }
}

TEST_CASE("a batch that says it begins later leaves offsets that nothing answers for", "[kafka][damage]") {
  LogOptions options = fresh_options();
  options.damage_patience = milliseconds(300);
  write_batches(options, 6, 10);
  const auto file = partition_file(options, 0);
  if (!file) return;
  flip_bit(*file, batch_places(*file)[2] + 7, 1);  // no CRC covers it: 20 becomes 21
  const auto reader = open_reader(options);
  std::vector<LogGap> gaps;
  reader->on_gap = [&](const LogGap& gap) { gaps.push_back(gap); };
  std::vector<Error> errors;
  std::set<std::string> keys;
  for (const LogRecord& record : read(*reader, 60, &errors)) keys.insert(record.key);
  CHECK(keys.size() == 60);
  REQUIRE(gaps.size() == 1);
  CHECK(gaps[0].first_offset == 20);
  CHECK(gaps[0].next_offset == 21);
}

TEST_CASE("damage at the log's beginning and at its end is skipped too", "[kafka][damage]") {
  LogOptions options = fresh_options();
  options.damage_patience = milliseconds(300);
  write_batches(options, 4, 5);
  const auto file = partition_file(options, 0);
  if (!file) return;
  const auto places = batch_places(*file);
  flip_bit(*file, places[0] + 100);
  flip_bit(*file, places[3] + 100);
  const auto reader = open_reader(options);
  Reading reading = read_past_damage(*reader, 10);
  for (int i = 0; i < 200 && reading.gaps.size() < 2; ++i)
    if (auto more = reader->poll(milliseconds(100)); !more.ok()) reading.errors.push_back(more.error());
  CHECK(reading.numbers == std::vector<std::uint64_t>{5, 6, 7, 8, 9, 10, 11, 12, 13, 14});
  REQUIRE(reading.gaps.size() == 2);
  CHECK(reading.gaps[0].first_offset == 0);
  CHECK(reading.gaps[0].next_offset == 5);
  CHECK(reading.gaps[1].first_offset == 15);
  CHECK(reading.gaps[1].next_offset == 20);
  for (int i = 0; i < 100 && !reader->caught_up(); ++i) CHECK(reader->poll(milliseconds(50)).ok());
  CHECK(reader->caught_up());
  write(*open_writer(options), 20, 24, 100);  // one of them goes to partition 0
  CHECK(read(*reader, 4).size() == 4);
}

TEST_CASE("answers that hold one batch each lead past damage as well", "[kafka][damage]") {
  LogOptions options = fresh_options();
  write_batches(options, 5, 20);
  const auto file = partition_file(options, 0);
  if (!file) return;
  flip_bit(*file, batch_places(*file)[1] + 200);
  options.kafka["fetch.message.max.bytes"] = "1000";
  options.kafka["fetch.max.bytes"] = "1000000";
  const Reading reading = read_past_damage(*open_reader(options), 80);
  CHECK(reading.numbers == numbers_without(100, 20, 40));
  REQUIRE(reading.gaps.size() == 1);
  CHECK(reading.gaps[0].next_offset == 40);
}

TEST_CASE("damage that passes costs time and no record", "[kafka][damage]") {
  LogOptions options = fresh_options();
  options.damage_patience = seconds(30);
  write_batches(options, 4, 5);
  const auto file = partition_file(options, 0);
  if (!file) return;
  const auto place = batch_places(*file)[1] + 100;
  flip_bit(*file, place);
  const auto reader = open_reader(options);
  CHECK(read_past_damage(*reader, 5).gaps.empty());
  for (int i = 0; i < 10; ++i) CHECK_FALSE((*reader->poll(milliseconds(100))).has_value());
  CHECK_FALSE(reader->caught_up());
  flip_bit(*file, place);
  const Reading reading = read_past_damage(*reader, 15);
  CHECK(reading.numbers.front() == 5);
  CHECK(reading.gaps.empty());
  CHECK(reading.errors.empty());
}

TEST_CASE("a batch whose length is wrong is silence on the wire, and is skipped all the same",
          "[kafka][damage]") {
  LogOptions options = fresh_options();
  options.damage_patience = milliseconds(300);
  write_batches(options, 6, 5);
  const auto file = partition_file(options, 0);
  if (!file) return;
  flip_bit(*file, batch_places(*file)[2] + 8);
  const auto reader = open_reader(options);
  Reading reading;
  reader->on_gap = [&](const LogGap& gap) { reading.gaps.push_back(gap); };
  std::set<std::uint64_t> numbers;
  const auto deadline = std::chrono::steady_clock::now() + seconds(100);
  while (!numbers.contains(29) && std::chrono::steady_clock::now() < deadline) {
    const auto record = reader->poll(milliseconds(100));
    if (record.ok() && record->has_value()) numbers.insert(std::stoull((*record)->key));
  }
  REQUIRE_FALSE(reading.gaps.empty());
  CHECK(reading.gaps[0].first_offset == 10);
  // The broker finds later records only from its index: those that no entry leads to go with the batch.
  CHECK(reading.gaps[0].next_offset >= 15);
  CHECK(reading.gaps[0].next_offset <= 20);
  CHECK(numbers.size() == static_cast<std::size_t>(40 - reading.gaps[0].next_offset));
}

}  // namespace ff::transport
