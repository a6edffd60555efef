// SPDX-License-Identifier: Apache-2.0
//
// Sealing desk: who seals a series that several sinks store, when, and what becomes of the statements.
#include "hpc_sink/seal/sealing_desk.hpp"

#include <algorithm>
#include <random>
#include <thread>

#include <catch2/catch.hpp>

#include "hpc_sink/seal/ledger_check.hpp"
#include "hpc_sink/seal/published_seals.hpp"
#include "hpc_sink/store/store_catalogues.hpp"
#include "tests/support/coded_series.hpp"
#include "tests/support/sink_run.hpp"

namespace {

using namespace ff;
using namespace ff::test;
using transport::Topic;

constexpr const char* kGroup = "hpc";

// What is in the ledger topic now: the last value of each key, deleted ones left out.
std::map<std::string, transport::LogRecord> topic_state(const FakeLog& log) {
  std::map<std::string, transport::LogRecord> state;
  for (const transport::LogRecord& record : log.ledger_records(0)) {
    if (record.value.empty())
      state.erase(record.key);
    else
      state[record.key] = record;
  }
  return state;
}

std::size_t statements_in(const FakeLog& log) {
  const auto state = topic_state(log);
  return static_cast<std::size_t>(std::ranges::count_if(
      state, [](const auto& entry) { return entry.first.find("/seal/") == std::string::npos; }));
}

// One sink's catalogue, publisher and desk over a store and a topic that it may share with others.
class Desk {
 public:
  Desk(const std::filesystem::path& store, FakeLog& log, const std::string& name)
      : log_(log),
        metrics_(registry_),
        catalogue_(std::move(sink::Catalogue::open(sink::catalogue_path(store, name)).value())),
        publisher([this](Error& why) { return log_.open_writer(why); }, kGroup, *catalogue_, metrics_),
        desk({.folder = store,
              .sink = name,
              .destination = kGroup,
              .master = {},
              .grace = std::chrono::milliseconds(20),
              .replay_timeout = std::chrono::milliseconds(0),
              .grace_max = std::chrono::seconds(1),
              .idle_timeout = std::chrono::seconds(5),
              .step = [this](sink::StoreStep step) { on_step(step); }},
             sink::SealKey::load_or_create(store / "keys" / (name + ".pem")).value(),
             {.catalogue = *catalogue_,
              .publisher = publisher,
              .ownership = ownership,
              .clock = clock,
              .metrics = metrics_,
              .storing = [](const Uuid&) { return false; }}) {
    publisher.set_owner([this](const std::string& detector) { return desk.ours(detector); });
    while (publisher.partitions() == 0) REQUIRE(publisher.tick().ok());
  }

  void own_all() {
    for (const int partition : {0, 1}) ownership.assigned(partition);
    next_ = 0;
    read_ = false;
  }
  // What the feed does: the topic's records, then word that this was all.
  void read_topic() {
    const auto records = log_.ledger_records(next_);
    next_ += records.size();
    for (const transport::LogRecord& record : records)
      if (const auto generation = ownership.generation(record.position.partition))
        REQUIRE(desk.take({record.position.partition, *generation, record.key, record.value}).ok());
    if (!read_) desk.take(sink::LedgerRead{ownership.held()});
    read_ = true;
  }
  void hear(const CodedSeries& series) {
    for (const CodedRecord& record : series.records) {
      const bool is_start = record.header.has_series_start();
      if (!is_start && !record.header.has_series_end()) continue;
      sink::HeardRecord heard;
      heard.stream.key = {series.options.uid, record.header.stream()};
      heard.stream.window_frames = 8;
      heard.detector = record.header.detector();
      heard.epoch = record.header.epoch();
      heard.is_end = !is_start;
      heard.stream.geometry =
          is_start ? record.header.series_start().geometry() : record.header.series_end().geometry();
      std::string& header = is_start ? heard.stream.start_header : heard.stream.end_header;
      header = record.header.SerializeAsString();
      REQUIRE(catalogue_->hear(heard).ok());
    }
  }
  void run(int ticks) {
    for (int i = 0; i < ticks; ++i) {
      read_topic();
      clock.advance(15'000'000);
      std::this_thread::sleep_for(std::chrono::milliseconds(11));  // the desk looks every 10 ms
      REQUIRE(desk.tick().ok());
      publisher.look_again();
      REQUIRE(publisher.tick().ok());
    }
  }
  std::vector<sink::SealRow> seals(const Uuid& uid) const { return catalogue_->seals(uid).value(); }
  sink::Catalogue& catalogue() { return *catalogue_; }

  std::function<void(sink::StoreStep)> on_step = [](sink::StoreStep) {};
  sink::LedgerOwnership ownership;
  sink::PatienceClock clock;

 private:
  FakeLog& log_;
  service::Metrics registry_{"sink"};
  sink::SinkMetrics metrics_;
  std::unique_ptr<sink::Catalogue> catalogue_;
  std::size_t next_ = 0;
  bool read_ = false;

 public:
  sink::LedgerPublisher publisher;
  sink::SealingDesk desk;
};

// Two sinks store one series, each the windows of every second number; nobody seals. What they say is in `topic`.
struct TwoStored {
  CodedSeries series = make_coded_series({.frames = 37, .lost = {5}});
  TemporaryFolder store;
  FakeLog topic;

  void store_half(const std::string& name, std::uint64_t rest) {
    std::vector<CodedRecord> records;
    std::ranges::copy_if(series.records, std::back_inserter(records), [&](const CodedRecord& record) {
      if (record.header.has_block()) return record.header.block().window() % 2 == rest;
      return !record.header.has_window() || record.header.window().window() % 2 == rest;
    });
    const auto log = std::make_shared<FakeLog>();
    append_to(*log, series, records);
    auto config = quick_config(store.path());
    config.sink_name = name;
    config.log_group = kGroup;
    // It holds no partition of the ledger topic: all it does is store and say so.
    const auto no_partition = [&](Error&) {
      return std::make_unique<FakeLedgerReader>(topic, std::set<std::int32_t>{});
    };
    REQUIRE(run_over(
                log, config, [](sink::StoreStep) {}, [&](Error& why) { return topic.open_writer(why); },
                no_partition)
                .summary.ok());
  }
  TwoStored() {
    store_half("one", 0);
    store_half("two", 1);
  }
  [[nodiscard]] const Uuid& uid() const { return series.options.uid; }
  void check_sealed(std::size_t seals) const {
    const auto catalogues = sink::StoreCatalogues::open(store.path());
    REQUIRE(catalogues.ok());
    const auto rows = catalogues->series();
    REQUIRE(rows.ok());
    REQUIRE(rows->size() == 1);
    const auto catalogue = catalogues->of(uid()).value();
    CHECK(sink::build_ledger(*catalogue, rows->front())->streams.at(0).count(foreframe::wire::STORED_EXACT) ==
          36);
    const auto check = sink::check_store(store.path(), *catalogue, rows->front(), {.key = {}, .deep = true});
    REQUIRE(check.ok());
    INFO((check->broken.empty() ? "" : check->broken.front()));
    CHECK(check->holds());
    CHECK(check->seals == seals);
    CHECK(check->frames == 36);
  }
};

}  // namespace

TEST_CASE("the sink that holds the ledger's partition seals what the others stored, once", "[seal][desk]") {
  TwoStored stored;
  CHECK(statements_in(stored.topic) >= 4);
  Desk owner(stored.store.path(), stored.topic, "owner");
  owner.hear(stored.series);
  owner.run(3);
  CHECK(owner.seals(stored.uid()).empty());  // it holds no partition yet
  owner.own_all();
  owner.run(5);
  REQUIRE(owner.seals(stored.uid()).size() == 1);
  stored.check_sealed(1);
  const auto body = sink::open_seal(owner.seals(stored.uid()).back().seal);
  CHECK(body->reason() == "complete");
  CHECK(body->sealer() == "owner");
  CHECK(statements_in(stored.topic) == 0);
  CHECK(topic_state(stored.topic).contains(stored.uid().to_string() + "/hpc/seal/1"));

  SECTION("a statement that comes again is deleted, and opens nothing") {
    const auto all = stored.topic.ledger_records(0);
    Error why;
    const auto writer = stored.topic.open_writer(why);
    REQUIRE(writer
                ->produce(Topic::ledger, static_cast<std::uint32_t>(all.front().position.partition),
                          all.front().key, all.front().value, {})
                .ok());
    writer->poll(std::chrono::nanoseconds(0));
    CHECK(statements_in(stored.topic) == 1);
    owner.run(4);
    CHECK(statements_in(stored.topic) == 0);
    CHECK(owner.seals(stored.uid()).size() == 1);
  }
  SECTION("the next owner finds the seals and seals nothing anew") {
    Desk next(stored.store.path(), stored.topic, "next");
    next.hear(stored.series);
    next.own_all();
    next.run(4);
    CHECK(next.seals(stored.uid()).size() == 1);
    stored.check_sealed(1);
  }
}

TEST_CASE("a partition that is lost in the middle of a closing leaves no seal and no master",
          "[seal][desk]") {
  TwoStored stored;
  Desk loser(stored.store.path(), stored.topic, "loser");
  loser.hear(stored.series);
  loser.own_all();
  loser.read_topic();
  const auto master = stored.store.path() / stored.uid().to_string() / "eiger_master.h5";
  SECTION("before the seal") {
    loser.clock.advance(1'000'000'000);
    // Between the decision and the seal lies the hashing; the loss is noticed by another thread.
    for (const int partition : {0, 1}) loser.ownership.lost(partition);
    REQUIRE(loser.desk.tick().ok());
    CHECK(loser.seals(stored.uid()).empty());
  }
  SECTION("between seal and master") {
    loser.on_step = [&](sink::StoreStep step) {
      if (step == sink::StoreStep::sealed)
        for (const int partition : {0, 1}) loser.ownership.lost(partition);
    };
    loser.run(3);
    CHECK(loser.seals(stored.uid()).size() == 1);
    CHECK_FALSE(topic_state(stored.topic).contains(stored.uid().to_string() + "/hpc/seal/1"));
  }
  CHECK_FALSE(std::filesystem::exists(master));
  CHECK(statements_in(stored.topic) >= 4);

  Desk winner(stored.store.path(), stored.topic, "winner");
  winner.hear(stored.series);
  winner.own_all();
  winner.run(5);
  CHECK(winner.seals(stored.uid()).size() == 1);
  stored.check_sealed(1);
  // When the loser gets the partition back, the seal that was said in public is the one that it keeps.
  loser.on_step = [](sink::StoreStep) {};
  for (const int partition : {0, 1}) winner.ownership.lost(partition);
  loser.own_all();
  loser.run(4);
  REQUIRE(loser.seals(stored.uid()).size() == 1);
  CHECK(sink::open_seal(loser.seals(stored.uid()).front().seal)->sealer() == "winner");
  stored.check_sealed(1);
}

TEST_CASE("what comes after another sink's seal opens the series again: seal 2 over all of it",
          "[seal][desk]") {
  TwoStored stored;
  // The statement of a window that came late is kept back.
  Desk first(stored.store.path(), stored.topic, "first");
  first.hear(stored.series);
  first.own_all();
  first.run(5);
  REQUIRE(first.seals(stored.uid()).size() == 1);
  for (const int partition : {0, 1}) first.ownership.lost(partition);

  Desk second(stored.store.path(), stored.topic, "second");
  second.hear(stored.series);
  second.own_all();
  second.run(2);
  // Frame 5 was lost at the agent; now somebody says that it was never taken, which is worse and changes nothing, and
  // of a window beyond the end that it was vetoed, which is new.
  sink::WindowFates late{.window = 9, .complete = true, .fates = {sink::make_fate(foreframe::wire::VETOED)}};
  late.pixel_crcs.resize(1);
  const auto notes = sink::window_notes(
      {"one", kGroup}, {{stored.uid(), 0}, "eiger", 8, {}}, {late},
      [](const sink::WindowFates&) { return true; }, 77);
  REQUIRE(notes.ok());
  REQUIRE(second.catalogue().add_notes(*notes).ok());
  second.run(6);
  REQUIRE(second.seals(stored.uid()).size() == 2);
  const auto body = sink::open_seal(second.seals(stored.uid()).back().seal);
  CHECK(body->sealer() == "second");
  CHECK(body->number() == 2);
  stored.check_sealed(2);
  CHECK(statements_in(stored.topic) == 0);
}

TEST_CASE("statements of another destination are passed over and stay", "[seal][desk]") {
  TwoStored stored;
  Desk owner(stored.store.path(), stored.topic, "owner");
  owner.hear(stored.series);
  const auto notes = sink::window_notes(
      {"far", "archive"}, {{stored.uid(), 0}, "eiger", 8, {}}, {},
      [](const sink::WindowFates&) { return true; }, 1);
  REQUIRE(owner.catalogue().add_notes(*notes).ok());
  owner.own_all();
  owner.run(5);
  stored.check_sealed(1);
  CHECK(statements_in(stored.topic) == 1);
}

TEST_CASE("what the log does not take is said later, in the order of the catalogue, across restarts",
          "[seal][publish]") {
  const TemporaryFolder store;
  FakeLog log;
  const Uuid uid = Uuid::mint();
  const auto note = [&](int i) {
    return sink::window_notes(
               {"one", kGroup}, {{uid, 0}, "eiger", 8, {}}, {}, [](const sink::WindowFates&) { return true; },
               i)
        .value();
  };
  {
    Desk desk(store.path(), log, "one");
    log.fail_writes(Errc::timed_out);
    for (int i = 0; i < 100; ++i) REQUIRE(desk.catalogue().add_notes(note(i)).ok());
    desk.publisher.look_again();
    for (int i = 0; i < 3; ++i) REQUIRE(desk.publisher.tick().ok());
    CHECK(desk.publisher.waiting().value() == 100);
    CHECK(log.ledger_records(0).empty());
  }
  log.fail_writes(std::nullopt);
  Desk again(store.path(), log, "one");
  REQUIRE(again.publisher.finish(std::chrono::seconds(5)).ok());
  CHECK(again.publisher.waiting().value() == 0);
  CHECK(topic_state(log).size() == 100);
}

TEST_CASE("an old store's only catalogue becomes that of the first sink that starts on it", "[catalogue]") {
  const TemporaryFolder store;
  const CodedSeries series = make_coded_series({.frames = 20});
  const auto log = std::make_shared<FakeLog>();
  append_to(*log, series, series.records);
  REQUIRE(run_over(log, quick_config(store.path())).summary.ok());
  std::filesystem::rename(catalogue_of(store.path()), store.path() / "catalogue.sqlite");
  const auto old = sink::StoreCatalogues::open(store.path());
  REQUIRE(old.ok());
  CHECK(old->series()->size() == 1);
  REQUIRE(sink::take_up_old_catalogue(store.path(), "new").ok());
  REQUIRE(sink::take_up_old_catalogue(store.path(), "late").ok());
  CHECK_FALSE(std::filesystem::exists(store.path() / "catalogue.sqlite"));
  CHECK_FALSE(std::filesystem::exists(sink::catalogue_path(store.path(), "late")));
  const auto catalogues = sink::StoreCatalogues::open(store.path());
  REQUIRE(catalogues.ok());
  const auto rows = catalogues->series().value();
  REQUIRE(rows.size() == 1);
  CHECK(sink::check_store(store.path(), *catalogues->of(rows[0].uid).value(), rows[0], {})->holds());
}
