// SPDX-License-Identifier: Apache-2.0
// Broker faults on librdkafka's mock cluster, in this process. A mock loses data past 5 MiB a partition, so
// these tests stay small; the real broker's tests are in kafka/.
#include <chrono>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
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

  Mock() {
    owner = std::move(*make_client(RD_KAFKA_PRODUCER, std::move(*make_conf({}, {}))));
    cluster.reset(rd_kafka_mock_cluster_new(owner.get(), 1));
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

}  // namespace

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

}  // namespace ff::transport
