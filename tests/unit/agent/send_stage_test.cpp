// SPDX-License-Identifier: Apache-2.0
//
// SendStage: nothing leaves the spool before a collector has it; a lost collector and a restart lose nothing.
#include "agent/spool/send_stage.hpp"

#include <functional>
#include <set>
#include <thread>

#include <catch2/catch.hpp>

#include "common/base/clock.hpp"
#include "common/base/uuid.hpp"
#include "common/wire/envelope.hpp"
#include "tests/support/temp_dir.hpp"

using namespace ff;
using namespace ff::agent;
using namespace std::chrono_literals;

namespace {

/// A spool with `count` series-end records, sequences 1 ... count.
std::unique_ptr<transport::SegmentLog> fill_spool(const std::filesystem::path& folder, std::uint64_t count) {
  std::filesystem::create_directories(folder);
  transport::SegmentLogOptions options;
  options.folder = folder;
  auto log = std::move(transport::SegmentLog::open(options).value());
  wire::EnvelopeHeader header;
  header.set_series_uid(Uuid::mint().to_wire());
  header.set_detector("eiger");
  header.set_agent("agent");
  header.set_epoch(5);
  header.set_window_frames(16);
  auto& geometry = *header.mutable_series_end()->mutable_geometry();
  geometry.set_rows(4);
  geometry.set_cols(4);
  geometry.set_tile_rows(4);
  geometry.set_tile_cols(4);
  geometry.set_detector_rows(4);
  geometry.set_detector_cols(4);
  geometry.set_dtype(2);
  for (std::uint64_t sequence = 1; sequence <= count; ++sequence) {
    header.set_sequence(sequence);
    const auto envelope = wire::seal_envelope(header, {});
    REQUIRE(envelope.ok());
    REQUIRE(log->append("", envelope->bytes()).ok());
  }
  return log;
}

/// The sender's thread on a spool.
struct Sender {
  Sender(const std::filesystem::path& folder, const std::string& collector)
      : metrics(registry),
        stage(std::move(transport::SegmentReader::open(folder / "spool", "sender").value()),
              open_link(collector), Quarantine(folder / "quarantine", 1 << 20), partitions, health, metrics),
        thread([this] { ok = stage.run(spool_closed, deadline_ns).ok(); }) {}
  ~Sender() { stop(0ms); }

  void stop(std::chrono::nanoseconds patience) {
    spool_closed.store(true);
    deadline_ns.store(monotonic_now_ns() + patience.count() + 1);
    if (thread.joinable()) thread.join();
  }
  static std::unique_ptr<transport::LinkSender> open_link(const std::string& collector) {
    transport::LinkSenderOptions options{"agent", {collector}, 50ms, 500ms};
    return std::move(transport::LinkSender::open(options).value());
  }

  service::Metrics registry{"agent"};
  AgentMetrics metrics;
  service::Health health;
  std::atomic<std::uint32_t> partitions{0};
  std::atomic<bool> spool_closed{false};
  std::atomic<std::int64_t> deadline_ns{0};
  SendStage stage;
  bool ok = false;
  std::thread thread;
};

std::unique_ptr<transport::LinkReceiver> open_receiver(const std::string& listen) {
  transport::LinkReceiverOptions options;
  options.collector = "collector";
  options.listen = listen;
  options.heartbeat = 50ms;
  auto receiver = std::move(transport::LinkReceiver::open(options).value());
  receiver->set_partition_count(4);
  return receiver;
}

/// Polls until `done` or 20 s; `take` sees every envelope.
bool receive_until(transport::LinkReceiver& receiver,
                   const std::function<void(transport::ReceivedEnvelope&)>& take,
                   const std::function<bool()>& done) {
  const std::int64_t deadline = monotonic_now_ns() + 20'000'000'000;
  while (!done()) {
    if (monotonic_now_ns() > deadline) return false;
    if (auto received = receiver.poll(10ms)) take(*received);
  }
  return true;
}

}  // namespace

TEST_CASE("the spool is sent in order and its cursor moves behind what is acknowledged", "[agent]") {
  test::TempDir folder;
  auto log = fill_spool(folder.path() / "spool", 100);
  auto receiver = open_receiver("tcp://127.0.0.1:0");
  Sender sender(folder.path(), receiver->address());
  std::vector<std::uint64_t> sequences;
  REQUIRE(receive_until(
      *receiver,
      [&](transport::ReceivedEnvelope& record) {
        sequences.push_back(record.id.sequence());
        receiver->acknowledge(record.peer, record.id);
      },
      [&] { return sequences.size() >= 100; }));
  REQUIRE(receive_until(
      *receiver, [](auto&) {}, [&] { return sender.metrics.records_acknowledged.value() >= 100; }));
  sender.stop(5s);
  CHECK(sender.ok);
  CHECK(sender.stage.outstanding() == 0);
  CHECK(sender.partitions.load() == 4);
  for (std::size_t i = 0; i < sequences.size(); ++i) CHECK(sequences[i] == i + 1);
  CHECK(log->lowest_cursor() == 100u);
}

TEST_CASE("what a collector did not acknowledge goes to the next one; what it did is not freed in part",
          "[agent]") {
  test::TempDir folder;
  auto log = fill_spool(folder.path() / "spool", 20);
  auto receiver = open_receiver("tcp://127.0.0.1:0");
  const std::string address = receiver->address();
  Sender sender(folder.path(), address);
  std::set<std::uint64_t> first;
  REQUIRE(receive_until(
      *receiver,
      [&](transport::ReceivedEnvelope& record) {
        first.insert(record.id.sequence());
        if (record.id.sequence() % 2 == 0) receiver->acknowledge(record.peer, record.id);
      },
      [&] { return first.size() == 20; }));
  REQUIRE(receive_until(
      *receiver, [](auto&) {}, [&] { return sender.metrics.records_acknowledged.value() >= 10; }));
  CHECK(log->lowest_cursor().value_or(0) == 0u);  // record 1 is not done: nothing may be freed

  receiver.reset();  // the collector dies
  receiver = open_receiver(address);
  std::set<std::uint64_t> again;
  REQUIRE(receive_until(
      *receiver,
      [&](transport::ReceivedEnvelope& record) {
        again.insert(record.id.sequence());
        receiver->acknowledge(record.peer, record.id);
      },
      [&] { return again.size() == 10 && sender.metrics.records_acknowledged.value() >= 20; }));
  for (const std::uint64_t sequence : again) CHECK(sequence % 2 == 1);
  sender.stop(5s);
  CHECK(sender.stage.outstanding() == 0);
}

TEST_CASE("a restarted agent sends what the spool still holds", "[agent]") {
  test::TempDir folder;
  auto log = fill_spool(folder.path() / "spool", 10);
  auto receiver = open_receiver("tcp://127.0.0.1:0");
  {
    Sender first(folder.path(), receiver->address());
    int taken = 0;
    REQUIRE(receive_until(
        *receiver,
        [&](transport::ReceivedEnvelope& record) {
          if (++taken <= 4) receiver->acknowledge(record.peer, record.id);
        },
        [&] { return taken >= 10 && first.metrics.records_acknowledged.value() >= 4; }));
  }
  Sender second(folder.path(), receiver->address());
  std::set<std::uint64_t> left;
  REQUIRE(receive_until(
      *receiver,
      [&](transport::ReceivedEnvelope& record) {
        left.insert(record.id.sequence());
        receiver->acknowledge(record.peer, record.id);
      },
      [&] { return second.metrics.records_acknowledged.value() >= 6; }));
  CHECK(left == std::set<std::uint64_t>{5, 6, 7, 8, 9, 10});
}

TEST_CASE("a refused record is quarantined with its reason and does not stop the others", "[agent]") {
  test::TempDir folder;
  auto log = fill_spool(folder.path() / "spool", 3);
  auto receiver = open_receiver("tcp://127.0.0.1:0");
  Sender sender(folder.path(), receiver->address());
  REQUIRE(receive_until(
      *receiver,
      [&](transport::ReceivedEnvelope& record) {
        if (record.id.sequence() == 2)
          receiver->refuse(record.peer, record.id, fail(Errc::malformed, "no good"));
        else
          receiver->acknowledge(record.peer, record.id);
      },
      [&] {
        return sender.metrics.records_acknowledged.value() >= 2 &&
               sender.metrics.count(Fault::record_refused) == 1;
      }));
  sender.stop(5s);
  CHECK(sender.stage.outstanding() == 0);
  CHECK(std::filesystem::exists(folder.path() / "quarantine" / "eiger_s0_e5_2.envelope"));
  CHECK(std::filesystem::exists(folder.path() / "quarantine" / "eiger_s0_e5_2.txt"));
}
