// SPDX-License-Identifier: Apache-2.0
#include "collector/admit/admission.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/collector/envelope_samples.hpp"

namespace ff::collector {
namespace {

struct AdmissionFixture {
  service::Metrics registry{"collector"};
  CollectorMetrics metrics{registry};
  Admission admission{{.blocks = 4, .series = 1}, metrics};

  Result<Admitted> admit(const wire::EnvelopeHeader& header, const std::string& agent = "agent-1") {
    return admission.admit(agent, id_of(header), sealed(header));
  }
};

}  // namespace

TEST_CASE("blocks go to the blocks topic by window, series records to the series topic by key", "[admit]") {
  AdmissionFixture f;
  const auto block = f.admit(block_header("agent-1", 5, 2, 7));
  REQUIRE(block.ok());
  CHECK(block->topic == transport::Topic::blocks);
  CHECK(block->partition == 7 % 4);
  CHECK_THAT(block->key, Catch::EndsWith("/0/7"));
  const auto start = f.admit(start_header("agent-1", 5, 1));
  REQUIRE(start.ok());
  CHECK(start->topic == transport::Topic::series);
  CHECK(start->partition == 0);  // the topic has one, whatever the series was told of the blocks
  CHECK_THAT(start->key, Catch::EndsWith("/0/start"));
}

TEST_CASE("the partition count fixed in the series holds, unless the log has fewer", "[admit]") {
  AdmissionFixture f;
  auto header = block_header("agent-1", 5, 1, 7);
  header.set_partition_count(2);
  CHECK(f.admit(header)->partition == 1);
  header.set_partition_count(100);
  CHECK(f.admit(header)->partition == 3);
}

TEST_CASE("garbage, a damaged header and a wrong identity are refused", "[admit]") {
  AdmissionFixture f;
  const auto header = block_header("agent-1", 5, 1, 0);
  CHECK_FALSE(
      f.admission.admit("agent-1", id_of(header), Payload::copy(as_bytes("no envelope at all"))).ok());
  CHECK_FALSE(f.admission.admit("agent-1", id_of(header), Payload{}).ok());
  const Payload whole = sealed(header);
  for (const std::size_t at : {std::size_t{0}, std::size_t{5}, std::size_t{30}}) {
    std::vector<std::byte> bytes(whole.bytes().begin(), whole.bytes().end());
    bytes[at] ^= std::byte{0x41};
    CHECK_FALSE(f.admission.admit("agent-1", id_of(header), Payload::own(bytes)).ok());
  }
  CHECK(f.admission.admit("agent-2", id_of(header), whole).error().code == Errc::malformed);
  auto other = id_of(header);
  other.set_sequence(2);
  CHECK(f.admission.admit("agent-1", other, whole).error().code == Errc::malformed);
  CHECK(f.admission.admit("agent-1", id_of(header), whole).ok());
}

TEST_CASE("a lower epoch is refused from another agent and taken from the same one", "[admit]") {
  AdmissionFixture f;
  REQUIRE(f.admit(block_header("agent-1", 100, 1, 0)).ok());
  CHECK(f.admit(block_header("agent-1", 90, 1, 0)).ok());  // its spool still held an earlier run
  const auto zombie = f.admit(block_header("agent-2", 99, 1, 0), "agent-2");
  REQUIRE_FALSE(zombie.ok());
  CHECK(zombie.error().code == Errc::refused);
  CHECK_THAT(zombie.error().message, Catch::Contains("belongs to agent agent-1 since epoch 100"));
  CHECK(f.admit(block_header("agent-2", 101, 1, 0), "agent-2").ok());  // taken over
  CHECK(f.admit(block_header("agent-1", 100, 2, 0)).error().code == Errc::refused);
}

TEST_CASE("gaps and duplicates are counted per agent, stream and epoch", "[admit]") {
  AdmissionFixture f;
  foreframe::wire::Hello hello;
  hello.set_agent("agent-1");
  auto& position = *hello.add_positions();
  position.set_detector("eiger");
  position.set_epoch(5);
  position.set_first_unacknowledged_sequence(10);
  f.admission.greet(hello);
  REQUIRE(f.admit(block_header("agent-1", 5, 10, 0)).ok());
  REQUIRE(f.admit(block_header("agent-1", 5, 14, 0)).ok());
  REQUIRE(f.admit(block_header("agent-1", 5, 12, 0)).ok());
  REQUIRE(f.admit(block_header("agent-1", 5, 12, 0)).ok());
  REQUIRE(f.admit(block_header("agent-1", 6, 1, 0)).ok());
  CHECK(f.metrics.gaps.value() == 1);
  CHECK(f.metrics.gap_records.value() == 3);
  CHECK(f.metrics.gap_records_filled.value() == 1);
  CHECK(f.metrics.duplicates.value() == 1);
  CHECK(f.admission.streams().at({"agent-1", "eiger", 0, 5}).missing() == 2);
  CHECK(f.admission.streams().at({"agent-1", "eiger", 0, 6}).missing() == 0);
}

}  // namespace ff::collector
