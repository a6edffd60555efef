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

wire::EnvelopeHeader header_in(const std::string& uid, std::uint64_t sequence) {
  wire::EnvelopeHeader header;
  header.set_series_uid(uid);
  header.set_detector("eiger");
  header.set_agent("agent");
  header.set_epoch(5);
  header.set_window_frames(16);
  header.set_sequence(sequence);
  return header;
}

void fill_geometry(foreframe::wire::StreamGeometry& geometry) {
  geometry.set_rows(4);
  geometry.set_cols(4);
  geometry.set_tile_rows(4);
  geometry.set_tile_cols(4);
  geometry.set_detector_rows(4);
  geometry.set_detector_cols(4);
  geometry.set_dtype(2);
}

/// A spool of `count` windows, each a block and its window record: offsets 2w and 2w + 1.
std::unique_ptr<transport::SegmentLog> fill_windows(const std::filesystem::path& folder,
                                                    const std::string& uid, std::uint64_t count,
                                                    std::uint8_t block_minor = 2) {
  std::filesystem::create_directories(folder);
  transport::SegmentLogOptions options;
  options.folder = folder;
  auto log = std::move(transport::SegmentLog::open(options).value());
  std::vector<std::byte> payload(64);
  payload[5] = static_cast<std::byte>(block_minor);
  for (std::uint64_t w = 0; w < count; ++w) {
    auto header = header_in(uid, 2 * w + 1);
    auto& block = *header.mutable_block();
    fill_geometry(*block.mutable_geometry());
    block.set_window(w);
    block.set_frame_count(1);
    block.set_present(1);
    REQUIRE(log->append("", wire::seal_envelope(header, payload)->bytes()).ok());
    header = header_in(uid, 2 * w + 2);
    auto& window = *header.mutable_window();
    fill_geometry(*window.mutable_geometry());
    window.set_window(w);
    window.set_frame_count(1);
    window.add_groups_per_tile(1);
    window.add_states(foreframe::wire::SENT);
    window.add_stages(foreframe::wire::STAGE_NONE);
    REQUIRE(log->append("", wire::seal_envelope(header, {})->bytes()).ok());
  }
  return log;
}

foreframe::wire::RecordSet windows_of(const std::string& uid, std::uint64_t first, std::uint64_t count) {
  foreframe::wire::RecordSet set;
  set.set_series_uid(uid);
  set.set_detector("eiger");
  auto& range = *set.add_windows();
  range.set_first(first);
  range.set_count(count);
  return set;
}

foreframe::wire::ReceiptNews receipt_news(const foreframe::wire::RecordSet& records,
                                          foreframe::wire::Receipt::Outcome outcome) {
  foreframe::wire::ReceiptNews news;
  auto& receipt = *news.add_receipts();
  *receipt.mutable_records() = records;
  receipt.set_outcome(outcome);
  receipt.set_destination("foreframe-sink");
  receipt.set_sink("sink-1");
  if (outcome != foreframe::wire::Receipt::STORED) receipt.set_reason("unknown codec");
  return news;
}

/// The sender's thread on a spool.
struct Sender {
  Sender(const std::filesystem::path& folder, const std::string& collector,
         SendStageOptions options = without_receipts())
      : metrics(registry),
        stage(std::move(options), std::move(SpoolReaders::open(folder / "spool").value()),
              open_link(collector), Quarantine(folder / "quarantine", 1 << 20), partitions, waits, health,
              metrics),
        thread([this] { ok = stage.run(spool_closed, deadline_ns).ok(); }) {}
  ~Sender() { stop(0ms); }

  void stop(std::chrono::nanoseconds patience) {
    spool_closed.store(true);
    deadline_ns.store(monotonic_now_ns() + patience.count() + 1);
    if (thread.joinable()) thread.join();
  }
  static SendStageOptions without_receipts() {
    SendStageOptions options;
    options.wait_for_receipts = false;
    return options;
  }
  static std::unique_ptr<transport::LinkSender> open_link(const std::string& collector) {
    transport::LinkSenderOptions options{"agent", {collector}, 50ms, 500ms};
    return std::move(transport::LinkSender::open(options).value());
  }

  service::Metrics registry{"agent"};
  AgentMetrics metrics;
  service::Health health;
  SpoolWaits waits;
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

TEST_CASE("what the log has is kept until its receipt comes; then the spool is free", "[agent][receipts]") {
  test::TempDir folder;
  const std::string uid = Uuid::mint().to_wire();
  auto log = fill_windows(folder.path() / "spool", uid, 10);
  auto receiver = open_receiver("tcp://127.0.0.1:0");
  std::vector<foreframe::wire::RecordSet> asked;
  std::string peer;
  receiver->on_watch = [&](const transport::PeerId& id, const foreframe::wire::Watch& watch) {
    peer = id;
    asked.insert(asked.end(), watch.records().begin(), watch.records().end());
  };
  Sender sender(folder.path(), receiver->address(), {});
  std::size_t taken = 0;
  const auto acknowledge = [&](transport::ReceivedEnvelope& record) {
    ++taken;
    receiver->acknowledge(record.peer, record.id);
  };
  REQUIRE(receive_until(*receiver, acknowledge, [&] {
    return taken == 20 && !asked.empty() && sender.metrics.records_acknowledged.value() >= 20;
  }));
  CHECK(log->lowest_cursor() == 0u);
  CHECK(receiver->send_news(peer, receipt_news(windows_of(uid, 0, 4), foreframe::wire::Receipt::STORED)));
  REQUIRE(receive_until(*receiver, acknowledge, [&] { return log->lowest_cursor() == 8u; }));
  CHECK(sender.waits.unreceipted.load() == 6);
  CHECK(receiver->send_news(peer, receipt_news(windows_of(uid, 0, 10), foreframe::wire::Receipt::STORED)));
  REQUIRE(receive_until(*receiver, acknowledge, [&] { return log->lowest_cursor() == 20u; }));
  CHECK(taken == 20);  // nothing went twice
}

TEST_CASE("a replay request sends a window's records again, and only those", "[agent][receipts]") {
  test::TempDir folder;
  const std::string uid = Uuid::mint().to_wire();
  auto log = fill_windows(folder.path() / "spool", uid, 10);
  auto receiver = open_receiver("tcp://127.0.0.1:0");
  std::string peer;
  receiver->on_watch = [&](const transport::PeerId& id, const foreframe::wire::Watch&) { peer = id; };
  Sender sender(folder.path(), receiver->address(), {});
  std::vector<std::uint64_t> sequences;
  const auto acknowledge = [&](transport::ReceivedEnvelope& record) {
    sequences.push_back(record.id.sequence());
    receiver->acknowledge(record.peer, record.id);
  };
  REQUIRE(receive_until(*receiver, acknowledge,
                        [&] { return sender.metrics.records_acknowledged.value() >= 20 && !peer.empty(); }));
  foreframe::wire::ReceiptNews news;
  auto& request = *news.add_replays();
  *request.mutable_records() = windows_of(uid, 3, 2);
  request.set_requester("sink-1");
  CHECK(receiver->send_news(peer, news));
  REQUIRE(receive_until(*receiver, acknowledge, [&] {
    return sequences.size() >= 24 && sender.metrics.records_resent.value() >= 4;
  }));
  CHECK(std::vector<std::uint64_t>(sequences.begin() + 20, sequences.end()) ==
        std::vector<std::uint64_t>{7, 8, 9, 10});
  CHECK(sender.metrics.records_resent.value() == 4);
  sender.stop(5s);
  CHECK(sender.stage.outstanding() == 0);
}

TEST_CASE("without a receipt the records go again after the time-out, also of an earlier run",
          "[agent][receipts]") {
  test::TempDir folder;
  const std::string uid = Uuid::mint().to_wire();
  auto log = fill_windows(folder.path() / "spool", uid, 3);
  auto receiver = open_receiver("tcp://127.0.0.1:0");
  std::size_t taken = 0;
  const auto acknowledge = [&](transport::ReceivedEnvelope& record) {
    ++taken;
    receiver->acknowledge(record.peer, record.id);
  };
  {
    Sender first(folder.path(), receiver->address(), {});
    REQUIRE(receive_until(*receiver, acknowledge,
                          [&] { return first.metrics.records_acknowledged.value() >= 6; }));
    first.stop(5s);
  }
  SendStageOptions options;
  options.receipts.timeout = 1s;
  std::vector<foreframe::wire::RecordSet> asked;
  receiver->on_watch = [&](const transport::PeerId&, const foreframe::wire::Watch& watch) {
    asked.insert(asked.end(), watch.records().begin(), watch.records().end());
  };
  Sender second(folder.path(), receiver->address(), options);
  REQUIRE(receive_until(*receiver, acknowledge,
                        [&] { return taken >= 12 && second.metrics.records_resent.value() >= 6; }));
  CHECK(second.metrics.records_sent.value() == 0);
  CHECK(second.metrics.records_resent.value() == 6);
  REQUIRE_FALSE(asked.empty());
  CHECK(asked[0].windows(0).count() == 3);  // asked before anything went again
}

TEST_CASE("what a sink dead-letters is quarantined with its reason and freed", "[agent][receipts]") {
  test::TempDir folder;
  const std::string uid = Uuid::mint().to_wire();
  auto log = fill_windows(folder.path() / "spool", uid, 2);
  auto receiver = open_receiver("tcp://127.0.0.1:0");
  std::string peer;
  receiver->on_watch = [&](const transport::PeerId& id, const foreframe::wire::Watch&) { peer = id; };
  Sender sender(folder.path(), receiver->address(), {});
  const auto acknowledge = [&](transport::ReceivedEnvelope& record) {
    receiver->acknowledge(record.peer, record.id);
  };
  REQUIRE(receive_until(*receiver, acknowledge,
                        [&] { return sender.metrics.records_acknowledged.value() >= 4 && !peer.empty(); }));
  CHECK(receiver->send_news(peer,
                            receipt_news(windows_of(uid, 0, 1), foreframe::wire::Receipt::DEAD_LETTERED)));
  REQUIRE(receive_until(*receiver, acknowledge, [&] { return log->lowest_cursor() == 2u; }));
  for (const char* name : {"eiger_s0_e5_1.envelope", "eiger_s0_e5_2.envelope", "eiger_s0_e5_1.txt"})
    CHECK(std::filesystem::exists(folder.path() / "quarantine" / name));
  CHECK_FALSE(std::filesystem::exists(folder.path() / "quarantine" / "eiger_s0_e5_3.envelope"));
}

TEST_CASE("what a collector says it misses is sent again, unless it was acknowledged", "[agent]") {
  test::TempDir folder;
  auto log = fill_spool(folder.path() / "spool", 10);
  auto receiver = open_receiver("tcp://127.0.0.1:0");
  Sender sender(folder.path(), receiver->address());
  std::vector<std::uint64_t> sequences;
  std::string peer;
  const auto take = [&](transport::ReceivedEnvelope& record) {
    sequences.push_back(record.id.sequence());
    peer = record.peer;
    if (record.id.sequence() != 4 && record.id.sequence() != 7) receiver->acknowledge(record.peer, record.id);
  };
  REQUIRE(receive_until(*receiver, take, [&] {
    return sequences.size() == 10 && sender.metrics.records_acknowledged.value() >= 8;
  }));
  foreframe::wire::Missing missing;
  auto& range = *missing.add_records();
  range.set_detector("eiger");
  range.set_epoch(5);
  range.set_first_sequence(2);
  range.set_count(4);  // 2 ... 5, of which 4 is not acknowledged
  REQUIRE(receiver->send_missing(peer, missing));
  REQUIRE(receive_until(*receiver, take, [&] { return sequences.size() >= 11; }));
  CHECK(sequences.back() == 4);
  const auto acknowledge_all = [&](transport::ReceivedEnvelope& record) {
    sequences.push_back(record.id.sequence());
  };
  range.set_first_sequence(7);
  range.set_count(UINT64_MAX);  // hostile, or of a collector that knows no better
  REQUIRE(receiver->send_missing(peer, missing));
  REQUIRE(receive_until(*receiver, acknowledge_all, [&] { return sequences.size() >= 12; }));
  CHECK(sequences.back() == 7);
  CHECK(sequences.size() == 12);
  CHECK(sender.metrics.records_resent.value() == 2);
}

TEST_CASE("what was sent again and not acknowledged goes once more to the next collector, the whole window",
          "[agent][receipts]") {
  test::TempDir folder;
  const std::string uid = Uuid::mint().to_wire();
  auto log = fill_windows(folder.path() / "spool", uid, 4);
  auto receiver = open_receiver("tcp://127.0.0.1:0");
  const std::string address = receiver->address();
  std::string peer;
  receiver->on_watch = [&](const transport::PeerId& id, const foreframe::wire::Watch&) { peer = id; };
  Sender sender(folder.path(), address, {});
  REQUIRE(receive_until(
      *receiver, [&](transport::ReceivedEnvelope& record) { receiver->acknowledge(record.peer, record.id); },
      [&] { return sender.metrics.records_acknowledged.value() >= 8 && !peer.empty(); }));
  foreframe::wire::ReceiptNews news;
  *news.add_replays()->mutable_records() = windows_of(uid, 2, 1);
  CHECK(receiver->send_news(peer, news));
  std::size_t again = 0;
  REQUIRE(receive_until(
      *receiver, [&](auto&) { ++again; }, [&] { return again >= 2; }));  // and dies with them
  receiver.reset();
  receiver = open_receiver(address);
  std::vector<std::uint64_t> sequences;
  REQUIRE(receive_until(
      *receiver,
      [&](transport::ReceivedEnvelope& record) {
        sequences.push_back(record.id.sequence());
        receiver->acknowledge(record.peer, record.id);
      },
      [&] { return sequences.size() >= 2; }));
  CHECK(sequences == std::vector<std::uint64_t>{5, 6});
}

TEST_CASE(
    "a window with a block that a sink can't decode yet stays in the spool, and nothing else waits for it",
    "[agent][receipts]") {
  test::TempDir folder;
  const std::string uid = Uuid::mint().to_wire();
  auto log = fill_windows(folder.path() / "spool", uid, 1, 1);
  auto receiver = open_receiver("tcp://127.0.0.1:0");
  std::string peer;
  receiver->on_watch = [&](const transport::PeerId& id, const foreframe::wire::Watch&) { peer = id; };
  Sender sender(folder.path(), receiver->address(), {});
  std::vector<std::uint64_t> sequences;
  const auto acknowledge = [&](transport::ReceivedEnvelope& record) {
    sequences.push_back(record.id.sequence());
    receiver->acknowledge(record.peer, record.id);
  };
  REQUIRE(receive_until(*receiver, acknowledge,
                        [&] { return !peer.empty() && sender.metrics.records_acknowledged.value() >= 2; }));
  foreframe::wire::ReceiptNews news;
  auto& ability = *news.add_abilities();
  ability.set_destination("foreframe-sink");
  ability.set_sink("old");
  ability.set_block_minor(1);
  CHECK(receiver->send_news(peer, news));
  REQUIRE(receive_until(*receiver, acknowledge, [&] { return sender.metrics.abilities.value() >= 1; }));
  // Window 1: a block of an older version, then one that is too new, then its record. Window 2: all of the older one.
  std::uint64_t sequence = 2;
  const auto append = [&](std::uint64_t window, std::optional<std::uint8_t> block_minor) {
    auto header = header_in(uid, ++sequence);
    std::vector<std::byte> payload;
    if (block_minor) {
      auto& block = *header.mutable_block();
      fill_geometry(*block.mutable_geometry());
      block.set_window(window);
      block.set_frame_count(1);
      block.set_present(1);
      payload.resize(64);
      payload[5] = static_cast<std::byte>(*block_minor);
    } else {
      auto& record = *header.mutable_window();
      fill_geometry(*record.mutable_geometry());
      record.set_window(window);
      record.set_frame_count(1);
      record.add_groups_per_tile(2);
      record.add_states(foreframe::wire::SENT);
      record.add_stages(foreframe::wire::STAGE_NONE);
    }
    REQUIRE(log->append("", wire::seal_envelope(header, payload)->bytes()).ok());
  };
  for (const std::optional<std::uint8_t> minor : {std::optional<std::uint8_t>(1), {2}, {}}) append(1, minor);
  for (const std::optional<std::uint8_t> minor : {std::optional<std::uint8_t>(1), {}}) append(2, minor);
  REQUIRE(receive_until(*receiver, acknowledge, [&] {
    return sender.metrics.records_acknowledged.value() >= 5 &&
           sender.health.troubles().find("sinks") != std::string::npos;
  }));
  CHECK(sequences == std::vector<std::uint64_t>{1, 2, 3, 6, 7});
  CHECK(sender.metrics.windows_held.value() == 1);
  CHECK(sender.health.troubles().find("sink old of foreframe-sink decodes blocks up to 0.1") !=
        std::string::npos);
  CHECK(log->lowest_cursor() == 0u);
  // A request for it sends nothing: what is sent again is a whole window.
  foreframe::wire::ReceiptNews request;
  *request.add_replays()->mutable_records() = windows_of(uid, 1, 2);
  CHECK(receiver->send_news(peer, request));
  REQUIRE(receive_until(*receiver, acknowledge, [&] { return sequences.size() >= 5; }));
  CHECK(std::ranges::count(sequences, 3u) == 1);
  ability.set_block_minor(2);
  CHECK(receiver->send_news(peer, news));
  REQUIRE(receive_until(*receiver, acknowledge, [&] {
    return sender.metrics.records_acknowledged.value() >= 7 && sender.metrics.windows_held.value() == 0;
  }));
  CHECK(sender.health.troubles().find("sinks") == std::string::npos);
  CHECK(std::ranges::count(sequences, 4u) == 1);
  CHECK(std::ranges::count(sequences, 5u) == 1);
  sender.stop(5s);
  CHECK(sender.stage.outstanding() == 0);
}
