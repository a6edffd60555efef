// SPDX-License-Identifier: Apache-2.0
// Offsets that the log no longer has.
#include <array>
#include <chrono>
#include <librdkafka/rdkafka.h>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/transport/kafka/kafka_topics.hpp"

namespace ff::transport {

using namespace kafka_test;

TEST_CASE("records freed by retention before they were read are a named gap", "[kafka]") {
  const LogOptions options = fresh_options();
  const auto writer = open_writer(options);
  write(*writer, 0, 40, 100);  // ten in each partition
  {
    const auto reader = open_reader(options);
    for (const LogRecord& record : read(*reader, 40))
      if (record.position.offset == 1)
        REQUIRE(reader->commit(Topic::blocks, record.position.partition, 2).ok());
  }
  free_below(options, Topic::blocks, 3, 7);

  const auto reader = open_reader(options);
  std::vector<LogGap> gaps;
  reader->on_gap = [&](const LogGap& gap) { gaps.push_back(gap); };
  std::vector<Error> errors;
  const auto records = read(*reader, 3 * 8 + 3, &errors);
  REQUIRE(gaps.size() == 1);
  CHECK(gaps[0].topic == Topic::blocks);
  CHECK(gaps[0].partition == 3);
  CHECK(gaps[0].first_offset == 2);
  CHECK(gaps[0].next_offset == 7);
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].code == Errc::out_of_range);
  CHECK_THAT(errors[0].message, Catch::Contains("partition 3: records 2 to 7"));
  for (const LogRecord& record : records)
    CHECK(record.position.offset >= (record.position.partition == 3 ? 7 : 2));
}

TEST_CASE("a group that has committed nothing is told what was freed before it came", "[kafka]") {
  const LogOptions options = fresh_options();
  const auto writer = open_writer(options);
  write(*writer, 0, 40, 100);  // ten in each partition
  free_below(options, Topic::blocks, 1, 4);
  free_below(options, Topic::blocks, 2, 10);  // nothing is left of it
  const auto reader = open_reader(options, "new");
  std::map<std::int32_t, LogGap> gaps;
  reader->on_gap = [&](const LogGap& gap) { gaps[gap.partition] = gap; };
  std::vector<Error> errors;
  const auto records = read(*reader, 10 + 6 + 10, &errors);
  for (int i = 0; i < 200 && gaps.size() < 2; ++i)
    if (auto more = reader->poll(milliseconds(50)); !more.ok()) errors.push_back(more.error());
  REQUIRE(gaps.size() == 2);
  for (const auto& [partition, end] : std::map<std::int32_t, std::int64_t>{{1, 4}, {2, 10}}) {
    CHECK(gaps[partition].cause == LogGap::Cause::freed);
    CHECK(gaps[partition].first_offset == 0);
    CHECK(gaps[partition].next_offset == end);
  }
  REQUIRE(errors.size() == 2);
  for (const Error& error : errors) CHECK(error.code == Errc::out_of_range);
  const auto follower = open_log_follower(options, "collector", {Topic::blocks});  // it is owed nothing
  REQUIRE(follower.ok());
  CHECK(read(**follower, 26).size() == 26);
}

TEST_CASE("a log shorter than what was committed is read from its oldest record, and this is said",
          "[kafka]") {
  const LogOptions options = fresh_options();
  write(*open_writer(options), 0, 8, 100);
  {  // as an unclean leader election leaves it
    auto conf = make_conf({{"bootstrap.servers", options.url.substr(8)}, {"group.id", "sink"}}, {});
    const KafkaClient member = std::move(*make_client(RD_KAFKA_CONSUMER, std::move(conf).value()));
    const KafkaPartitions list(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(list.get(), (options.topic_prefix + ".blocks").c_str(), 1)->offset =
        1000;
    REQUIRE(rd_kafka_commit(member.get(), list.get(), 0) == RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  const auto reader = open_reader(options);
  int gaps = 0;
  reader->on_gap = [&](const LogGap&) { ++gaps; };
  std::vector<Error> errors;
  CHECK(read(*reader, 8, &errors).size() == 8);
  CHECK(gaps == 0);  // nothing is lost that this group had not read
  REQUIRE(errors.size() == 1);
  CHECK_THAT(errors[0].message, Catch::Contains("partition 1: the log ends before offset 1000"));
}

}  // namespace ff::transport
