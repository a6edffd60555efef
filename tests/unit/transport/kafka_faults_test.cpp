// SPDX-License-Identifier: Apache-2.0
// Broker faults on librdkafka's mock cluster, in this process. A mock loses data past 5 MiB a partition, so
// these tests stay small; the real broker's tests are in kafka/.
#include <chrono>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <map>
#include <optional>
#include <string>

#include <catch2/catch.hpp>

#include "common/transport/kafka_handle.hpp"
#include "common/transport/log.hpp"

namespace ff::transport {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::int16_t kProduceRequest = 0;

using MockCluster = KafkaOwned<rd_kafka_mock_cluster_t, rd_kafka_mock_cluster_destroy>;

struct Mock {
  KafkaClient owner;
  MockCluster cluster;
  LogOptions options;

  explicit Mock(int brokers = 1) {
    owner = std::move(*make_client(RD_KAFKA_PRODUCER, std::move(*make_conf({}, {}))));
    cluster.reset(rd_kafka_mock_cluster_new(owner.get(), brokers));
    options.url = std::string("kafka://") + rd_kafka_mock_cluster_bootstraps(cluster.get());
    options.topic_prefix = "mock";
    rd_kafka_mock_topic_create(cluster.get(), "mock.blocks", 2, 1);
  }

  std::unique_ptr<LogWriter> open_writer() {
    auto writer = open_log_writer(options, {Topic::blocks});
    if (!writer.ok()) FAIL(writer.error().message);
    return std::move(writer).value();
  }
};

/// Produces as the collector does: what fails is handed over again.
struct Stubborn {
  LogWriter& writer;
  int delivered = 0, failed = 0;

  void produce(int number, std::size_t bytes = 1000) {
    REQUIRE(writer
                .produce(Topic::blocks, static_cast<std::uint32_t>(number % 2), std::to_string(number),
                         Payload::own(std::vector<std::byte>(bytes)),
                         [this, number, bytes](const auto& position) {
                           if (position.ok()) {
                             ++delivered;
                           } else {
                             ++failed;
                             produce(number, bytes);
                           }
                         })
                .ok());
  }
};

/// Keys read until `count` different ones are there; 30 s at most.
std::map<std::string, int> read_keys(LogReader& reader, std::size_t count) {
  std::map<std::string, int> keys;
  const auto deadline = std::chrono::steady_clock::now() + seconds(30);
  while (keys.size() < count && std::chrono::steady_clock::now() < deadline) {
    const auto record = reader.poll(milliseconds(100));
    if (record.ok() && record->has_value()) ++keys[(*record)->key];
  }
  return keys;
}

}  // namespace

TEST_CASE("a broker that is away for a while costs time, no record", "[kafka][faults]") {
  Mock mock;
  const auto writer = mock.open_writer();
  auto reader = open_log_reader(mock.options, "sink", {Topic::blocks});
  REQUIRE(reader.ok());
  Stubborn stubborn{*writer};
  for (int i = 0; i < 10; ++i) stubborn.produce(i);
  REQUIRE(writer->flush(seconds(20)).ok());
  CHECK(read_keys(**reader, 10).size() == 10);
  rd_kafka_mock_broker_set_down(mock.cluster.get(), 1);
  for (int i = 10; i < 20; ++i) stubborn.produce(i);
  CHECK(writer->flush(milliseconds(300)).error().code == Errc::timed_out);
  static_cast<void>((*reader)->poll(milliseconds(300)));
  CHECK_FALSE(writer->trouble().empty());
  CHECK_FALSE((*reader)->trouble().empty());
  rd_kafka_mock_broker_set_up(mock.cluster.get(), 1);
  CHECK(writer->flush(seconds(20)).ok());
  CHECK(stubborn.delivered == 20);
  CHECK(read_keys(**reader, 10).size() == 10);
  CHECK(writer->trouble().empty());
  CHECK((*reader)->trouble().empty());
}

TEST_CASE("partitions whose leaders change are written and read on", "[kafka][faults]") {
  Mock mock(3);
  const auto writer = mock.open_writer();
  auto reader = open_log_reader(mock.options, "sink", {Topic::blocks});
  REQUIRE(reader.ok());
  Stubborn stubborn{*writer};
  for (int round = 0; round < 3; ++round) {
    for (int partition = 0; partition < 2; ++partition)
      rd_kafka_mock_partition_set_leader(mock.cluster.get(), "mock.blocks", partition,
                                         1 + (round + partition) % 3);
    for (int i = 0; i < 10; ++i) stubborn.produce(10 * round + i);
    REQUIRE(writer->flush(seconds(20)).ok());
    CHECK(read_keys(**reader, 10).size() == 10);
  }
  CHECK(stubborn.delivered == 30);
}

TEST_CASE("a frozen broker's records are reported late and go out again", "[kafka][faults]") {
  Mock mock;
  mock.options.delivery_timeout = milliseconds(1000);
  mock.options.kafka["socket.timeout.ms"] = "1000";
  const auto writer = mock.open_writer();
  Stubborn stubborn{*writer};
  for (int i = 0; i < 4; ++i) stubborn.produce(i);
  REQUIRE(writer->flush(seconds(20)).ok());
  rd_kafka_mock_broker_set_rtt(mock.cluster.get(), 1, 10'000);  // answers come much too late
  for (int i = 4; i < 10; ++i) stubborn.produce(i);
  for (int i = 0; i < 100 && stubborn.failed == 0; ++i) writer->poll(milliseconds(50));
  CHECK(stubborn.failed > 0);
  rd_kafka_mock_broker_set_rtt(mock.cluster.get(), 1, 0);
  CHECK(writer->flush(seconds(30)).ok());
  CHECK(stubborn.delivered == 10);
  auto reader = open_log_reader(mock.options, "sink", {Topic::blocks});
  REQUIRE(reader.ok());
  CHECK(read_keys(**reader, 10).size() == 10);
}

TEST_CASE("a topic without leader or gone for a moment delays records, and none is lost", "[kafka][faults]") {
  const auto error =
      GENERATE(RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
               RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
  Mock mock;
  const auto writer = mock.open_writer();
  rd_kafka_mock_push_request_errors(mock.cluster.get(), kProduceRequest, 2, error, error);
  Stubborn stubborn{*writer};
  for (int i = 0; i < 10; ++i) stubborn.produce(i);
  CHECK(writer->flush(seconds(20)).ok());
  CHECK(stubborn.delivered == 10);
}

TEST_CASE("a broker that refuses a record's size gets smaller ones", "[kafka][faults]") {
  Mock mock;
  const auto writer = mock.open_writer();
  rd_kafka_mock_push_request_errors(mock.cluster.get(), kProduceRequest, 2,
                                    RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                                    RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
  Stubborn stubborn{*writer};
  stubborn.produce(0, 700'000);
  CHECK(writer->flush(seconds(20)).ok());
  CHECK(stubborn.delivered == 1);
  CHECK(stubborn.failed == 0);
  auto reader = open_log_reader(mock.options, "sink", {Topic::blocks});
  REQUIRE(reader.ok());
  const auto deadline = std::chrono::steady_clock::now() + seconds(20);
  std::optional<LogRecord> record;
  while (!record && std::chrono::steady_clock::now() < deadline) {
    auto polled = (*reader)->poll(milliseconds(100));
    REQUIRE(polled.ok());
    record = std::move(*polled);
  }
  REQUIRE(record.has_value());
  CHECK(record->value.size() == 700'000);
  CHECK(record->position.offset > record->first_offset);  // it came as a chunk set
}

TEST_CASE("a dead idempotent producer is replaced and its records are produced again", "[kafka][faults]") {
  Mock mock;
  const auto writer = mock.open_writer();
  int delivered = 0, failed = 0;
  rd_kafka_mock_push_request_errors(mock.cluster.get(), kProduceRequest, 1,
                                    RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
  for (int i = 0; i < 20; ++i)
    REQUIRE(writer
                ->produce(Topic::blocks, static_cast<std::uint32_t>(i % 2), "k",
                          Payload::own(std::vector<std::byte>(1000)),
                          [&](const auto& position) { position.ok() ? ++delivered : ++failed; })
                .ok());
  CHECK(writer->flush(seconds(20)).ok());
  CHECK(delivered == 20);
  CHECK(failed == 0);
  CHECK(writer->trouble().empty());
}

TEST_CASE("a record that Kafka does not take in time is reported, not forgotten", "[kafka][faults]") {
  Mock mock;
  mock.options.delivery_timeout = milliseconds(500);
  const auto writer = mock.open_writer();
  rd_kafka_mock_broker_set_down(mock.cluster.get(), 1);
  Errc outcome = Errc::stopped;
  REQUIRE(writer
              ->produce(Topic::blocks, 0, "k", Payload::own(std::vector<std::byte>(1000)),
                        [&](const auto& p) {
                          if (!p.ok()) outcome = p.error().code;
                        })
              .ok());
  CHECK(writer->flush(milliseconds(1)).error().code == Errc::timed_out);
  CHECK(writer->flush(seconds(10)).ok());
  CHECK(outcome == Errc::timed_out);
  CHECK_FALSE(writer->trouble().empty());
  rd_kafka_mock_broker_set_up(mock.cluster.get(), 1);
  bool delivered = false;
  for (int i = 0; i < 20 && !delivered; ++i) {
    REQUIRE(writer
                ->produce(Topic::blocks, 0, "k", Payload::own(std::vector<std::byte>(1000)),
                          [&](const auto& p) { delivered = p.ok(); })
                .ok());
    CHECK(writer->flush(seconds(10)).ok());
  }
  CHECK(delivered);
  CHECK(writer->trouble().empty());
}

TEST_CASE("a missing broker and a wrong setting are told apart", "[kafka][faults]") {
  LogOptions options;
  options.url = "kafka://127.0.0.1:1";
  options.delivery_timeout = milliseconds(300);
  const auto none = open_log_writer(options, {Topic::blocks});
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().code == Errc::timed_out);
  CHECK_THAT(none.error().message, Catch::Contains("no broker answers at 127.0.0.1:1"));
  options.kafka["no.such.setting"] = "1";
  const auto wrong = open_log_writer(options, {Topic::blocks});
  REQUIRE_FALSE(wrong.ok());
  CHECK(wrong.error().code == Errc::config_error);
  CHECK_THAT(wrong.error().message, Catch::Contains("no.such.setting"));
}

TEST_CASE("a follower reads all partitions of a topic without a group", "[kafka][faults]") {
  Mock mock;
  const auto writer = mock.open_writer();
  for (int i = 0; i < 20; ++i)
    REQUIRE(writer
                ->produce(Topic::blocks, static_cast<std::uint32_t>(i % 2), std::to_string(i),
                          Payload::own(std::vector<std::byte>(1000)), {})
                .ok());
  REQUIRE(writer->flush(seconds(20)).ok());
  for (int round = 0; round < 2; ++round) {
    const auto follower = open_log_follower(mock.options, "watcher", {Topic::blocks});
    REQUIRE(follower.ok());
    std::size_t read = 0;
    for (int i = 0; i < 200 && (read < 20 || !(*follower)->caught_up()); ++i) {
      const auto record = (*follower)->poll(milliseconds(100));
      REQUIRE(record.ok());
      read += record->has_value();
    }
    CHECK(read == 20);
    CHECK((*follower)->caught_up());
    CHECK((*follower)->commit(Topic::blocks, 0, 1).error().code == Errc::refused);
  }
}

TEST_CASE("a follower opens without a broker and says what it waits for", "[kafka][faults]") {
  LogOptions options;
  options.url = "kafka://127.0.0.1:1";
  const auto follower = open_log_follower(options, "watcher", {Topic::receipts});
  REQUIRE(follower.ok());
  CHECK_FALSE((*(*follower)->poll(milliseconds(10))).has_value());
  CHECK_FALSE((*follower)->caught_up());
  CHECK_THAT((*follower)->trouble(), Catch::Contains("no broker answers at 127.0.0.1:1"));
}

TEST_CASE("a commit that fails for a passing reason is made good later", "[kafka][faults]") {
  constexpr std::int16_t kOffsetCommitRequest = 8;
  Mock mock;
  const auto writer = mock.open_writer();
  Stubborn stubborn{*writer};
  for (int i = 0; i < 10; ++i) stubborn.produce(i);
  REQUIRE(writer->flush(seconds(20)).ok());
  const bool broker_goes = GENERATE(false, true);
  {
    auto reader = open_log_reader(mock.options, "sink", {Topic::blocks});
    REQUIRE(reader.ok());
    CHECK(read_keys(**reader, 10).size() == 10);
    if (broker_goes) {
      rd_kafka_mock_broker_set_down(mock.cluster.get(), 1);
    } else {
      rd_kafka_mock_push_request_errors(mock.cluster.get(), kOffsetCommitRequest, 2,
                                        RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
                                        RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE);
    }
    CHECK((*reader)->commit(Topic::blocks, 0, 5).ok());
    CHECK((*reader)->commit(Topic::blocks, 1, 3).ok());
    CHECK_FALSE((*reader)->trouble().empty());
    if (broker_goes) rd_kafka_mock_broker_set_up(mock.cluster.get(), 1);
    for (int i = 0; i < 200 && !(*reader)->trouble().empty(); ++i)
      static_cast<void>((*reader)->poll(milliseconds(100)));
    CHECK((*reader)->trouble().empty());
  }
  auto again = open_log_reader(mock.options, "sink", {Topic::blocks});
  REQUIRE(again.ok());
  CHECK(read_keys(**again, 2).size() == 2);
  CHECK_FALSE((*(*again)->poll(milliseconds(300))).has_value());
}

}  // namespace ff::transport
