// SPDX-License-Identifier: Apache-2.0
//
// Seals, and what verification says when something was changed after it: each change is named.
#include "hpc_sink/seal/ledger_check.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sqlite3.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "hpc_sink/seal/merkle_tree.hpp"
#include "hpc_sink/seal/published_seals.hpp"
#include "hpc_sink/seal/sealer.hpp"
#include "hpc_sink/store/file_names.hpp"
#include "hpc_sink/store/series_store.hpp"
#include "tests/support/coded_series.hpp"
#include "tests/support/sink_run.hpp"

namespace {

using namespace ff;
using namespace ff::test;
namespace pb = foreframe::wire;

// A store with one sealed series in it.
struct SealedStore {
  explicit SealedStore(const CodedSeriesOptions& options = {.frames = 37, .lost = {5, 9, 10, 11}})
      : series(make_coded_series(options)) {
    append_to(*log, series, series.records);
    run();
  }
  void run() { REQUIRE(run_over(log, quick_config(folder.path())).summary.ok()); }
  [[nodiscard]] std::filesystem::path master() const {
    return folder.path() / sink::master_file_name(series.options.uid, series.options.detector);
  }
  [[nodiscard]] std::filesystem::path data_file() const {
    for (const auto& entry : std::filesystem::directory_iterator(master().parent_path()))
      if (entry.path() != master()) return entry.path();
    FAIL("no data file");
    return {};
  }
  [[nodiscard]] std::vector<sink::Seal> seals() const {
    const auto catalogue = sink::Catalogue::open_read_only(catalogue_of(folder.path()));
    REQUIRE(catalogue.ok());
    std::vector<sink::Seal> found;
    const auto rows = (*catalogue)->seals(series.options.uid);
    REQUIRE(rows.ok());
    for (const sink::SealRow& row : *rows) found.push_back(row.seal);
    return found;
  }
  [[nodiscard]] sink::SealBody last_body() const { return sink::open_seal(seals().back()).value(); }
  [[nodiscard]] sink::LedgerCheck check(const sink::CheckOptions& options = {.key = {}, .deep = true}) const {
    const auto catalogue = sink::Catalogue::open_read_only(catalogue_of(folder.path()));
    REQUIRE(catalogue.ok());
    const auto rows = (*catalogue)->series();
    REQUIRE(rows.ok());
    for (const sink::SeriesRow& row : *rows)
      if (row.uid == series.options.uid) {
        auto checked = sink::check_store(folder.path(), **catalogue, row, options);
        REQUIRE(checked.ok());
        return *checked;
      }
    FAIL("no such series");
    return {};
  }
  void change(const std::string& sql) const {
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open(catalogue_of(folder.path()).c_str(), &database) == SQLITE_OK);
    CHECK(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(database);
  }

  CodedSeries series;
  std::shared_ptr<FakeLog> log = std::make_shared<FakeLog>();
  TemporaryFolder folder;
};

sink::LedgerCheck master_check(const std::filesystem::path& master, const sink::CheckOptions& options = {}) {
  const auto checked = sink::check_master(master, options);
  if (!checked.ok()) FAIL(checked.error().message);
  return *checked;
}

bool names(const sink::LedgerCheck& check, const std::string& words) {
  for (const std::string& broken : check.broken) UNSCOPED_INFO("broken: " << broken);
  UNSCOPED_INFO("wanted: " << words);
  return std::any_of(check.broken.begin(), check.broken.end(),
                     [&](const std::string& broken) { return broken.find(words) != std::string::npos; });
}

// Writes `value` over one element of a one-dimensional dataset.
template <typename T>
void overwrite(const std::filesystem::path& file, const std::string& dataset, hid_t type, hsize_t at,
               T value) {
  const sink::Hdf5Id opened(H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
  REQUIRE(opened.valid());
  const sink::Hdf5Id set(H5Dopen2(opened.get(), dataset.c_str(), H5P_DEFAULT), H5Dclose);
  REQUIRE(set.valid());
  const sink::Hdf5Id space(H5Dget_space(set.get()), H5Sclose);
  const hsize_t one = 1;
  H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &at, nullptr, &one, nullptr);
  const sink::Hdf5Id memory(H5Screate_simple(1, &one, nullptr), H5Sclose);
  REQUIRE(H5Dwrite(set.get(), type, memory.get(), space.get(), H5P_DEFAULT, &value) >= 0);
}

void overwrite_pixel(const std::filesystem::path& file, hsize_t row) {
  const sink::Hdf5Id opened(H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
  const sink::Hdf5Id set(H5Dopen2(opened.get(), "entry/data/data", H5P_DEFAULT), H5Dclose);
  const sink::Hdf5Id space(H5Dget_space(set.get()), H5Sclose);
  const hsize_t start[3] = {row, 3, 4}, one[3] = {1, 1, 1};
  H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start, nullptr, one, nullptr);
  const sink::Hdf5Id memory(H5Screate_simple(3, one, nullptr), H5Sclose);
  const std::uint16_t value = 4711;
  REQUIRE(H5Dwrite(set.get(), H5T_NATIVE_UINT16, memory.get(), space.get(), H5P_DEFAULT, &value) >= 0);
}

}  // namespace

TEST_CASE("a closed series is sealed: counts, windows and key, from the store and from the master alone",
          "[seal]") {
  const SealedStore store;
  const sink::SealBody body = store.last_body();
  CHECK(body.number() == 1);
  CHECK(body.reason() == "complete");
  CHECK(body.leaves() == 5);
  REQUIRE(body.streams_size() == 1);
  CHECK(body.streams(0).expected() == 37);
  CHECK(body.streams(0).stored_exact() == 33);
  CHECK(body.streams(0).lost() == 4);
  CHECK(body.streams(0).open() == 0);
  CHECK(body.streams(0).end_known());
  const auto key = sink::SealKey::load(store.folder.path() / "keys" / "sink.pem");
  REQUIRE(key.ok());
  const sink::CheckOptions options{.key = key->public_key(), .deep = true};
  for (const sink::LedgerCheck& check : {store.check(options), master_check(store.master(), options)}) {
    CHECK_FALSE(names(check, "nothing at all"));
    CHECK(check.holds());
    CHECK(check.public_key == sink::to_text(key->public_key()));
    CHECK(check.leaves == 5);
    CHECK(check.frames == 33);
    CHECK(check.decoded);
  }
}

TEST_CASE("a series' folder that was copied elsewhere is verified without store and service", "[seal]") {
  const SealedStore store;
  const TemporaryFolder elsewhere;
  std::filesystem::copy(store.master().parent_path(), elsewhere.path() / "copy",
                        std::filesystem::copy_options::recursive);
  CHECK(
      master_check(elsewhere.path() / "copy" / store.master().filename(), {.key = {}, .deep = true}).holds());
}

TEST_CASE("one state changed after the sealing is named", "[seal][tamper]") {
  const SealedStore store;
  SECTION("in the catalogue: a lost frame called stored") {
    store.change("UPDATE windows SET fates = CAST(x'0200' || substr(fates, 3) AS BLOB) WHERE window = 1");
    store.change(
        "UPDATE windows SET fates = CAST(substr(fates, 1, 2) || x'0200' || substr(fates, 5) AS BLOB) WHERE "
        "window = 1");
    const sink::LedgerCheck check = store.check();
    CHECK(names(check, "catalogue: stream 0 window 1 is not what was sealed"));
    CHECK(names(check, "window 1: its frame 1 is stored_exact here, sealed as lost"));
  }
  SECTION("in the catalogue, and the master is gone") {
    store.change("UPDATE windows SET complete = 0 WHERE window = 2");
    std::filesystem::remove(store.master());
    CHECK(names(store.check(), "catalogue: its 5 windows do not give the sealed root"));
  }
  SECTION("in the states that the master shows") {
    overwrite<std::uint8_t>(store.master(), "entry/foreframe/stream_0/state", H5T_NATIVE_UINT8, 9,
                            pb::STORED_EXACT);
    CHECK(names(master_check(store.master()), "stream 0 frame 9: it shows stored_exact, sealed as lost"));
    CHECK(names(store.check(), "stream 0 frame 9: it shows stored_exact, sealed as lost"));
  }
  SECTION("in the states beside the pixels") {
    overwrite<std::uint8_t>(store.master(), "entry/data/state", H5T_NATIVE_UINT8, 9, pb::STORED_EXACT);
    CHECK(names(master_check(store.master()), "/entry/data/state: frame 9"));
  }
  SECTION("in the master's leaves") {
    overwrite<std::uint8_t>(store.master(), "entry/foreframe/leaves/bytes", H5T_NATIVE_UINT8, 16, 3);
    CHECK(names(master_check(store.master()), "master: stream 0 window 0 is not what was sealed"));
  }
}

TEST_CASE("one changed pixel is named with its frame", "[seal][tamper]") {
  const SealedStore store;
  overwrite_pixel(store.data_file(), 2);
  const std::string name = store.data_file().filename().string();
  CHECK(store.check({.key = {}, .deep = false}).holds());  // says itself that it did not look at pixels
  CHECK(names(store.check(), name));
  CHECK(names(store.check(), "is not what was written"));
  CHECK(names(master_check(store.master(), {.key = {}, .deep = true}), name));
}

TEST_CASE("a pixel changed together with its CRC does not have the sealed CRC", "[seal][tamper]") {
  const SealedStore store;
  overwrite<std::uint32_t>(store.data_file(), "entry/data/pixel_crc32c", H5T_NATIVE_UINT32, 2, 1);
  const sink::LedgerCheck check = store.check({.key = {}, .deep = false});
  CHECK(names(check, "has other pixels than were sealed"));
}

TEST_CASE("a removed data file is named, with the frames that went with it", "[seal][tamper]") {
  const SealedStore store;
  const std::string name = store.data_file().filename().string();
  std::filesystem::remove(store.data_file());
  for (const sink::LedgerCheck& check : {store.check(), master_check(store.master())}) {
    CHECK(names(check, "file " + name + ": it is not there"));
    CHECK(names(check, "are sealed as stored, and no file here holds them"));
  }
}

TEST_CASE("a swapped seal, a foreign key and a changed body are named", "[seal][tamper]") {
  const SealedStore store;
  const auto foreign = sink::SealKey::from_seed({7});
  sink::SealBody body = store.last_body();
  const sink::Seal again = sink::sign_body(body, foreign);
  SECTION("the same words, signed by somebody else") {
    const auto own = sink::SealKey::load(store.folder.path() / "keys" / "sink.pem");
    sink::LedgerCheck check;
    sink::check_seals({again}, {.key = own->public_key(), .deep = false}, check);
    CHECK(names(check, "seal 1: signed by " + sink::to_text(foreign.public_key()) + ", not by the key"));
    const std::string signature = sink::to_hex(again.SerializeAsString());
    store.change("UPDATE seals SET seal = x'" + signature + "'");
    CHECK(names(store.check(), "master: its seal 1 is not the catalogue's"));
  }
  SECTION("other counts under the old signature") {
    body.mutable_streams(0)->set_lost(0);
    sink::Seal changed = store.seals().back();
    changed.set_body(body.SerializeAsString());
    sink::LedgerCheck check;
    sink::check_seals({changed}, {}, check);
    CHECK(names(check, "seal 1: its signature is not of these bytes"));
  }
  SECTION("counts that the windows don't have, properly signed") {
    body.mutable_streams(0)->set_lost(0);
    body.mutable_streams(0)->set_stored_exact(37);
    store.change("UPDATE seals SET seal = x'" +
                 sink::to_hex(sink::sign_body(body, foreign).SerializeAsString()) + "'");
    CHECK(names(store.check(), "the seal counts 37 frames stored_exact, the windows have 33"));
  }
  SECTION("the seal of another series") {
    const SealedStore other({.frames = 20});
    store.change("UPDATE seals SET seal = x'" + sink::to_hex(other.seals().back().SerializeAsString()) + "'");
    CHECK_FALSE(store.check().holds());
  }
}

TEST_CASE("frames that come after the seal make seal 2, chained to seal 1; nothing new makes none",
          "[seal]") {
  const CodedSeries series = make_coded_series({.frames = 24});
  std::vector<CodedRecord> early, late;
  for (const CodedRecord& record : series.records) {
    const bool held_back =
        record.header.has_block() && record.header.block().window() == 1 && record.header.block().tile() == 0;
    (held_back ? late : early).push_back(record);
  }
  SealedStore store({.frames = 1});
  const TemporaryFolder folder;
  const auto log = std::make_shared<FakeLog>();
  append_to(*log, series, early);
  REQUIRE(run_over(log, quick_config(folder.path())).summary.ok());
  const auto seals_now = [&] {
    const auto catalogue = sink::Catalogue::open_read_only(catalogue_of(folder.path()));
    return (*catalogue)->seals(series.options.uid).value();
  };
  REQUIRE(seals_now().size() == 1);
  const sink::SealBody first = sink::open_seal(seals_now()[0].seal).value();
  CHECK(first.streams(0).stored_exact() == 16);
  CHECK(first.streams(0).lost() == 8);
  CHECK(first.streams(0).open() ==
        0);  // the window's record came: that frames are missing is known, not guessed

  append_to(*log, series, series.records);  // all of it once more
  REQUIRE(run_over(log, quick_config(folder.path())).summary.ok());
  REQUIRE(seals_now().size() == 2);
  const sink::SealBody second = sink::open_seal(seals_now()[1].seal).value();
  CHECK(second.number() == 2);
  CHECK(second.streams(0).stored_exact() == 24);
  CHECK(second.previous_seal_sha256() == sink::seal_digest(seals_now()[0].seal));
  CHECK(second.detector_seal_sha256() == sink::seal_digest(seals_now()[0].seal));
  const auto master = folder.path() / sink::master_file_name(series.options.uid, "eiger");
  const sink::LedgerCheck check = master_check(master, {.key = {}, .deep = true});
  CHECK(check.holds());
  CHECK(check.seals == 2);

  REQUIRE(run_over(log, quick_config(folder.path())).summary.ok());
  CHECK(seals_now().size() == 2);
}

TEST_CASE("a seal that was taken out of a detector's chain is missed", "[seal][tamper]") {
  SealedStore store;
  for (const std::uint32_t seed : {2u, 3u}) {
    const CodedSeries next = make_coded_series({.frames = 9, .seed = seed});
    append_to(*store.log, next, next.records);
    store.run();
  }
  CHECK(store.check().holds());
  store.change("DELETE FROM seals WHERE made = 2");
  CHECK(names(store.check(), "the detector's seal before it is missing or was changed"));
}

TEST_CASE("a series sealed by a time-out says so, and counts the frames of which nothing came", "[seal]") {
  const CodedSeries series = make_coded_series({.frames = 24});
  std::vector<CodedRecord> some;
  const auto wanted = [](const CodedRecord& record) {
    if (record.header.has_block()) return record.header.block().window() != 1;
    return !record.header.has_window() || record.header.window().window() != 1;
  };
  std::copy_if(series.records.begin(), series.records.end(), std::back_inserter(some), wanted);
  std::string reason = "grace over";
  SECTION("its end came: grace over") {}
  SECTION("its end never came: idle") {
    some.pop_back();
    reason = "idle";
  }
  const TemporaryFolder folder;
  const auto log = std::make_shared<FakeLog>();
  append_to(*log, series, some);
  REQUIRE(run_over(log, quick_config(folder.path())).summary.ok());
  const auto catalogue = sink::Catalogue::open_read_only(catalogue_of(folder.path()));
  const sink::SealBody body =
      sink::open_seal((*catalogue)->seals(series.options.uid).value().at(0).seal).value();
  CHECK(body.reason() == reason);
  CHECK(body.streams(0).end_known() == (reason == "grace over"));
  CHECK(body.streams(0).expected() == 24);
  CHECK(body.streams(0).lost() == 8);
  CHECK(body.streams(0).open() == 8);
  CHECK(body.leaves() == 3);  // the silent window has its leaf too
  const auto master = folder.path() / sink::master_file_name(series.options.uid, "eiger");
  CHECK(master_check(master, {.key = {}, .deep = true}).holds());
}

TEST_CASE("the seal key is made once, for its owner alone, and openssl's PEM is read", "[seal]") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "state" / "key.pem";
  const auto made = sink::SealKey::load_or_create(path);
  REQUIRE(made.ok());
  struct stat about {};
  REQUIRE(::stat(path.c_str(), &about) == 0);
  CHECK((about.st_mode & 0777) == 0600);
  CHECK(sink::SealKey::load_or_create(path)->public_key() == made->public_key());
  for (const std::string& text : {sink::to_text(made->public_key()), sink::to_pem(made->public_key()),
                                  sink::to_text(made->public_key()) + "\n"})
    CHECK(sink::parse_public_key(text).value() == made->public_key());
  CHECK(sink::parse_public_key("ed25519:12").error().code == Errc::invalid_argument);

  // RFC 8410, section 10.3
  std::ofstream(path)
      << "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
         "-----END PRIVATE KEY-----\n";
  const auto loaded = sink::SealKey::load(path);
  REQUIRE(loaded.ok());
  CHECK(sink::to_pem(loaded->public_key()) ==
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END "
        "PUBLIC KEY-----\n");
  REQUIRE(::chmod(path.c_str(), 0644) == 0);
  CHECK(sink::SealKey::load(path).error().code == Errc::config_error);
  std::ofstream(path) << "no key";
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  CHECK(sink::SealKey::load_or_create(path).error().code == Errc::config_error);
}

TEST_CASE("seals reach the ledger topic, the latest of each series", "[seal][publish]") {
  const TemporaryFolder folder;
  transport::LogOptions options;
  options.url = "log://" + (folder.path() / "log").string();
  const CodedSeries series = make_coded_series({.frames = 12});
  const auto log = std::make_shared<FakeLog>();
  append_to(*log, series, series.records);
  const auto config = quick_config(folder.path() / "store");
  int refused = 0;
  const auto open = [&](Error& why) -> std::unique_ptr<transport::LogWriter> {
    if (++refused == 1) {
      why = fail(Errc::disconnected, "not yet");
      return nullptr;
    }
    auto writer = transport::open_log_writer(options, {transport::Topic::ledger});
    REQUIRE(writer.ok());
    return std::move(*writer);
  };
  const auto open_reader = [&](Error&) {
    return std::move(transport::open_log_reader(options, "test.ledger", {transport::Topic::ledger}).value());
  };
  REQUIRE(run_over(
              log, config, [](sink::StoreStep) {}, open, open_reader)
              .summary.ok());
  const auto reader = transport::open_log_follower(options, "test", {transport::Topic::ledger});
  REQUIRE(reader.ok());
  const auto seals = sink::read_published_seals(**reader);
  REQUIRE(seals.ok());
  REQUIRE(seals->size() == 1);
  const auto catalogue = sink::Catalogue::open_read_only(catalogue_of(config.store_path));
  const auto kept = (*catalogue)->seals(series.options.uid).value();
  CHECK(sink::check_published(seals->front(), {kept.back().seal}, {}).holds());
  CHECK((*catalogue)->unpublished_seals()->empty());
  const sink::Seal foreign =
      sink::sign_body(sink::open_seal(kept.back().seal).value(), sink::SealKey::from_seed({1}));
  CHECK(names(sink::check_published(foreign, {kept.back().seal}, {}), "is not the last one here"));
}
